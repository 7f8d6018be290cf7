package routefile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Durations and sizes as text.

// FormatDuration writes d as the routes file does: "1h30m", "500ms"; negative is "off".
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "off"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeUnits are the units of a size, the longest first in bytes for FormatSize.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// FormatSize writes a number of bytes as the routes file does: "64KiB", "10MB",
// "1000"; negative is "off". The binary unit is preferred; the result is exact.
func FormatSize(n int64) string {
	if n < 0 {
		return "off"
	}
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 && u.bytes >= 1000 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// FormatCount writes a count; negative is "off".
func FormatCount(n int) string {
	if n < 0 {
		return "off"
	}
	return strconv.Itoa(n)
}

// durationPattern and sizePattern are what parseDuration and parseSize accept, for the schema.
const (
	durationPattern = `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`
	sizePattern     = `^(0|[1-9][0-9]*)(GiB|GB|MiB|MB|KiB|KB|kB|B)?$`
)

// maxDuration keeps sums of durations from overflowing.
const maxDuration = 10 * 365 * 24 * time.Hour

// parseDuration reads "30s", "1h30m" or "500ms". A bare number is refused, as its unit would
// be a guess.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if s == "0" || s == "-0" || strings.HasPrefix(s, "+") || d == 0 && strings.HasPrefix(s, "-") {
		err = errors.New("not as the routes file writes it")
	}
	switch {
	case err != nil && isDigits(s):
		return 0, fmt.Errorf("has no unit: write %ss", s)
	case err != nil && durationFor(s) != "":
		return 0, fmt.Errorf("is not a duration: write %s", durationFor(s))
	case err != nil:
		return 0, fmt.Errorf("is not a duration: wanted, for example, 30s, 500ms or 1h30m")
	case d < 0:
		return 0, fmt.Errorf("is negative: wanted a duration such as 30s, or off")
	case d > maxDuration:
		return 0, fmt.Errorf("is too long: wanted at most ten years (%dh)", maxDuration/time.Hour)
	}
	return d, nil
}

// maxSize is the largest allowed size: 1024 GiB.
const maxSize = 1 << 40

// parseSize reads "64KiB", "10MB" or a bare number of bytes.
func parseSize(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	if !isDigits(number) || number != "0" && number[0] == '0' {
		if fix := sizeFor(s); fix != "" {
			return 0, fmt.Errorf("is not a size: write %s", fix)
		}
		return 0, fmt.Errorf("is not a size: wanted bytes, such as 4096, 64KiB or 10MB")
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > maxSize/unit {
		return 0, fmt.Errorf("is too large: wanted at most 1024GiB")
	}
	return n * unit, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
