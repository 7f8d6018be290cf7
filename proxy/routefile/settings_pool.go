package routefile

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
)

// settingsPool has the settings that the routes of a file set. Most routes of a large file
// set nothing or the same as many others, and settings are the largest part of a route.
type settingsPool map[[sha256.Size]byte]*Settings

// intern returns settings that are equal to s, the same each time.
func (pool *settingsPool) intern(s *Settings) *Settings {
	if s == nil {
		return nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return s
	}
	if *pool == nil {
		*pool = settingsPool{}
	}
	sum := sha256.Sum256(data)
	if known := (*pool)[sum]; known != nil && reflect.DeepEqual(known, s) {
		return known
	}
	(*pool)[sum] = s
	return s
}
