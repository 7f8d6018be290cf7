package auth

// API keys: random texts of 128 bits or more, of which a file keeps the hashes.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// APIKeys is an entry by key.
type APIKeys struct {
	Keys    KeyFile
	From    []Place // the first that has a value decides
	Forward Forwarding
}

// KeyFile is the names of API keys by the hash of each.
type KeyFile map[[sha256.Size]byte]string

// ParseKeyFile reads one `NAME sha256:HEX` a line. Blank lines and those that begin with #
// are skipped. The error names the line, and never quotes a hash.
func ParseKeyFile(data []byte) (KeyFile, error) {
	keys, names := KeyFile{}, map[string]bool{}
	err := eachLine(data, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return errors.New("wanted NAME sha256:HEX")
		}
		hash, err := parseSHA256(fields[1], "sha256:")
		if err != nil {
			return err
		}
		name := fields[0]
		switch {
		case names[name]:
			return fmt.Errorf("the name %q is there already", name)
		case keys[hash] != "":
			return fmt.Errorf("%q and %q have the same key", keys[hash], name)
		}
		keys[hash], names[name] = name, true
		return nil
	})
	if err == nil && len(keys) == 0 {
		err = errors.New("contains no key")
	}
	return keys, err
}

func parseSHA256(s, prefix string) (hash [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return hash, fmt.Errorf("wanted %sHEX", prefix)
	}
	if n, err := hex.Decode(hash[:], []byte(digits)); err != nil || n != len(hash) || len(digits) != 2*len(hash) {
		return hash, errors.New("wanted 64 hexadecimal digits")
	}
	return hash, nil
}

// eachLine calls f for each line of a file but comments and blank ones. Lines may end with
// CRLF.
func eachLine(data []byte, f func(line string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 64<<10)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

type apiKeyEntry struct {
	APIKeys
	guard
	id    Fingerprint
	names map[string]bool
}

func newAPIKeyEntry(spec APIKeys, g guard, id Fingerprint) *apiKeyEntry {
	e := &apiKeyEntry{APIKeys: spec, guard: g, id: id, names: make(map[string]bool, len(spec.Keys))}
	for _, name := range spec.Keys {
		e.names[name] = true
	}
	return e
}

func (e *apiKeyEntry) check(_ context.Context, r *Request) (*Grant, *Refusal) {
	for _, place := range e.From {
		key, present, err := place.find(r, "Bearer")
		if !present {
			continue
		}
		if refusal := e.blocked(r.Client); refusal != nil {
			return nil, refusal
		}
		if err != nil {
			return nil, e.failed(r.Client, bad(fmt.Errorf("API key: %w", err)))
		}
		// The lookup compares hashes: its time tells nothing of any key.
		name := e.Keys[sha256.Sum256([]byte(key))]
		if name == "" {
			return nil, e.failed(r.Client, bad(errors.New("unknown API key")))
		}
		return &Grant{Identity: Identity{User: name, Entry: e.id, Record: name}, Cut: e.Forward.cut(place)}, nil
	}
	return nil, nil
}

func (e *apiKeyEntry) challenge() string        { return "ApiKey" } // not registered, but a 401 has to name something
func (e *apiKeyEntry) owns() []string           { return nil }
func (e *apiKeyEntry) still(id Identity) bool   { return e.names[id.Record] }
func (e *apiKeyEntry) fingerprint() Fingerprint { return e.id }
func (e *apiKeyEntry) places() []Place          { return e.Forward.hidden(e.From) }
