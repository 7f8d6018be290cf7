package routefile

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestUnitsRoundTrip(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "off", 30 * time.Second: "30s", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h", 500 * time.Millisecond: "500ms",
		time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 100 * time.Second: "1m40s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		} else if back, err := parseDuration(got); d > 0 && (err != nil || back != d) {
			t.Errorf("%q reads as %v, %v", got, back, err)
		}
	}
	for n, want := range map[int64]string{
		-1: "off", 0: "0", 999: "999", 1000: "1KB", 1024: "1KiB", 64 << 10: "64KiB", 10e6: "10MB", 1 << 30: "1GiB", 1 << 20: "1MiB", 1025: "1025",
	} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		} else if back, err := parseSize(got); n >= 0 && (err != nil || back != n) {
			t.Errorf("%q reads as %v, %v", got, back, err)
		}
	}
	if FormatCount(-1) != "off" || FormatCount(5) != "5" {
		t.Error("FormatCount")
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"host", "path", "path_prefix", "path_regex", "headers", "timeouts"}
	for name, want := range map[string]string{
		"hots": "host", "hosts": "host", "pathprefix": "path_prefix", "pathregexp": "path_regex", "timeout": "timeouts",
		"x": "", "completely": "", "header": "headers", "": "",
	} {
		if got := nearest(name, candidates); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// FuzzUnits holds the patterns of the schema to what is read.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"30s", "1h30m", "500ms", "1.5h", ".5s", "1.s", "5", "0", "-1s", "+1s", "-0", "-0s", "-0.0h", "2d", "64KiB", "10MB", "0B", "010", "1µs", "1μs", "99999999999999999999GiB", "1h1h"} {
		f.Add(s)
	}
	durations, sizes := regexp.MustCompile(durationPattern), regexp.MustCompile(sizePattern)
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDuration(s); err == nil && (!durations.MatchString(s) || d < 0) {
			t.Errorf("duration %q is read as %v; the schema refuses it", s, d)
		} else if err != nil && durations.MatchString(s) && !strings.Contains(err.Error(), "too long") && len(s) < 9 {
			t.Errorf("duration %q is refused (%v); the schema accepts it", s, err)
		}
		if n, err := parseSize(s); err == nil && (!sizes.MatchString(s) || n < 0 || n > maxSize) {
			t.Errorf("size %q is read as %d; the schema refuses it", s, n)
		} else if err != nil && sizes.MatchString(s) && !strings.Contains(err.Error(), "too large") {
			t.Errorf("size %q is refused (%v); the schema accepts it", s, err)
		}
	})
}
