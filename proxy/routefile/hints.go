package routefile

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Hints: what to write instead of what other programs, or people, write for the same. Each
// returns "" where it does not know. hints_test.go has them all.

// instead returns ": write " and what to write, or "".
func instead(fix string) string {
	if fix == "" {
		return ""
	}
	return ": write " + fix
}

var durationPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([a-z]*)[ ,]*`)

var durationUnits = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond, "millis": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// durationFor reads "5", "5 min", "1d" and "1h 30m". A number without a unit is of seconds,
// as in Apache, nginx and Kubernetes.
func durationFor(s string) string {
	sum, rest := time.Duration(0), strings.ToLower(strings.TrimSpace(s))
	for rest != "" {
		part := durationPart.FindStringSubmatch(rest)
		if part == nil {
			return ""
		}
		unit, known := durationUnits[part[2]]
		n, err := strconv.ParseFloat(part[1], 64)
		if !known || err != nil || n*float64(unit) > float64(maxDuration) {
			return ""
		}
		sum, rest = sum+time.Duration(n*float64(unit)), rest[len(part[0]):]
	}
	if sum <= 0 || sum > maxDuration {
		return ""
	}
	return FormatDuration(sum)
}

var sizeParts = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([kmg]?)(i?)(?:b|bytes?)?$`)

// sizeFor reads "64k", "64 KiB" and "10m". One letter is the binary unit, as in Apache and nginx.
func sizeFor(s string) string {
	s = strings.ToLower(strings.NewReplacer("_", "", ",", "").Replace(strings.TrimSpace(s)))
	part := sizeParts.FindStringSubmatch(s)
	if part == nil || len(part[1]) > 1 && s[0] == '0' && s[1] != '.' {
		return ""
	}
	base := 1024.0
	if part[3] == "" && part[2] != "" && strings.HasSuffix(s, "b") {
		base = 1000
	}
	n, err := strconv.ParseFloat(part[1], 64)
	for range strings.Index("kmg", part[2]) + min(1, len(part[2])) { // Index finds "" too
		n *= base
	}
	if err != nil || n != float64(int64(n)) || n > maxSize {
		return ""
	}
	return FormatSize(int64(n))
}

// wholeFor reads "1_000", "1e3", "0x10" and "5/s". A leading zero may be octal or not.
func wholeFor(s string) string {
	s = strings.NewReplacer("_", "", ",", "", "'", "", " ", "").Replace(strings.ToLower(s))
	s = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(s, "/s"), "r"), "+") // nginx has 5r/s
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") || strings.HasPrefix(s, "0b") {
		if n, err := strconv.ParseInt(s, 0, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
		return ""
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n != float64(int64(n)) || len(s) > 1 && s[0] == '0' {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// offWords are what other programs call off.
var offWords = []string{"none", "no", "never", "false", "unlimited", "infinite", "infinity", "inf", "disabled", "disable", "-1"}

// offFor reads what switches a limit off elsewhere.
func offFor(k *Key, s string) string {
	if k.Zero && slices.Contains(offWords, strings.ToLower(s)) {
		return "off"
	}
	return ""
}

// addressFor reads a listener's address without its colon, with a scheme or a star.
func addressFor(s string) string {
	_, rest, schemed := strings.Cut(s, "://")
	switch {
	case schemed:
		rest = strings.TrimSuffix(rest, "/")
		if CheckAddress(rest) != nil {
			return ""
		}
		return strconv.Quote(rest)
	case isDigits(s) && httpsyntax.IsPort(s):
		return strconv.Quote(":" + s)
	case strings.HasPrefix(s, "*:"):
		return strconv.Quote(s[1:]) + " for every address"
	case strings.HasPrefix(s, "/"):
		return strconv.Quote("unix:" + s)
	case strings.HasSuffix(s, "/tcp"):
		return addressFor(strings.TrimSuffix(s, "/tcp"))
	case checkAuthority(bracketed(s)) == nil:
		if _, _, ported := httpsyntax.CutPort(bracketed(s)); ported {
			return strconv.Quote(bracketed(s))
		}
		return strconv.Quote(bracketed(s)+":8080") + ", for example"
	}
	return ""
}

// bracketed puts an IPv6 address in brackets: "::1:80" is "[::1]:80". Other hosts stay.
func bracketed(s string) string {
	if strings.Count(s, ":") < 2 || strings.HasPrefix(s, "[") {
		return s
	}
	i := strings.LastIndexByte(s, ':')
	if addr, err := netip.ParseAddr(s[:i]); err == nil && addr.Is6() && isDigits(s[i+1:]) {
		return "[" + s[:i] + "]" + s[i:]
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		return "[" + s + "]"
	}
	return s
}

// targetFor reads a target without its scheme, or with one slash too few or too many.
func targetFor(s string, schemes []string) string {
	fix := ""
	scheme, rest, found := strings.Cut(s, ":")
	switch {
	case found && slices.Contains(schemes, scheme) && !isDigits(rest):
		fix = scheme + "://" + strings.TrimLeft(rest, "/")
		if strings.HasPrefix(scheme, "unix+") {
			fix = scheme + ":///" + strings.TrimLeft(rest, "/")
		}
	case found && scheme == "unix" && strings.HasPrefix(rest, "/"):
		fix = "unix+ws:///" + strings.TrimLeft(rest, "/")
	case slices.Contains(internalNames, s) && slices.Contains(schemes, "internal"):
		fix = "internal://" + s
	case isDigits(s) && httpsyntax.IsPort(s):
		fix = "ws://127.0.0.1:" + s
	case strings.ContainsAny(s, ".:") || s == "localhost":
		host, path, _ := strings.Cut(s, "/")
		fix = "ws://" + bracketed(host)
		if path != "" {
			fix += "/" + path
		}
	}
	if fix == "" {
		return ""
	}
	if t, err := parseTarget(fix); err != nil || !slices.Contains(schemes, t.Scheme) {
		return ""
	}
	return strconv.Quote(fix)
}

// networkFor reads a netmask, stars, a part of an address as Apache has it, and an address
// with a port.
func networkFor(s string) string {
	switch strings.ToLower(s) {
	case "*", "any", "all", "everything", "0", "0/0", "::", "0.0.0.0":
		return "0.0.0.0/0 and ::/0"
	case "localhost", "loopback":
		return "127.0.0.1 and ::1"
	case "private":
		return "10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16"
	}
	host, mask, masked := strings.Cut(s, "/")
	if addr, err := netip.ParseAddr(mask); masked && err == nil && addr.Is4() {
		return networkWithMask(host, addr)
	}
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.WithZone("").String()
	}
	if addr, err := netip.ParseAddrPort(bracketed(s)); err == nil {
		return addr.Addr().String()
	}
	parts := strings.Split(strings.TrimRight(s, ".*"), ".")
	if len(parts) > 3 || masked {
		return ""
	}
	bits := 8 * len(parts)
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	if addr, err := netip.ParseAddr(strings.Join(parts, ".")); err == nil {
		return netip.PrefixFrom(addr, bits).String()
	}
	return ""
}

func networkWithMask(host string, mask netip.Addr) string {
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is4() {
		return ""
	}
	for bits := range 33 {
		p := netip.PrefixFrom(addr, bits).Masked()
		if netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr() == mask {
			return p.String()
		}
	}
	return ""
}

var (
	starSegment  = regexp.MustCompile(`^(.*/)\*+$`)                                 // /api/*
	colonCapture = regexp.MustCompile(`/:([A-Za-z_][A-Za-z0-9_]*)(\([^/]*\))?`)     // Express, Rails
	angleCapture = regexp.MustCompile(`<(?:[a-z]+:)?([A-Za-z_][A-Za-z0-9_]*)>`)     // Flask
	wordyCapture = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(?::[^{}]*|\*)\}`) // gorilla/mux, JAX-RS
	starCapture  = regexp.MustCompile(`/\{\*?\*?([A-Za-z_][A-Za-z0-9_]*)(\.\.\.|\*)?\}$`)
)

// checkPath accepts a path or a prefix, unless it is of another program's grammar, where it
// would match hardly any request.
func checkPath(key string) func(string) error {
	return func(s string) error {
		if s == "" {
			return checkNotEmpty(s)
		}
		switch scheme, rest, schemed := strings.Cut(s, "://"); {
		case schemed && isScheme(scheme):
			host, path, _ := strings.Cut(rest, "/")
			return fmt.Errorf("a path has no scheme and no host: write host: %s and %s: /%s", host, key, path)
		case strings.HasPrefix(s, "^"), strings.HasPrefix(s, "~"):
			return fmt.Errorf("a regular expression: write path_regex: '%s'", strings.TrimLeft(s, "~* "))
		case s[0] != '/' && !strings.ContainsAny(s, " ?#"):
			if err := checkPathWords(key, "/"+s); err != nil {
				return err // a slash would not be all
			}
			return fmt.Errorf("want a leading slash: write %s: /%s", key, s)
		}
		return checkPathWords(key, s)
	}
}

// checkPathWords refuses stars and foreign captures.
func checkPathWords(key, s string) error {
	if m := starSegment.FindStringSubmatch(s); m != nil && !strings.Contains(m[1], "{") && checkPathWords("path_prefix", m[1]) == nil {
		return fmt.Errorf("* is no wildcard: write path_prefix: %s", m[1])
	}
	if strings.Contains(s+"/", "*/") {
		return fmt.Errorf("* is no wildcard: write {name} for one segment, or path_regex")
	}
	if m := starCapture.FindStringSubmatch(s); m != nil && (m[2] != "" || strings.Contains(m[0], "{*")) {
		return fmt.Errorf("a capture is one segment: write path_regex: '^%s(?P<%s>.*)'", regexp.QuoteMeta(s[:len(s)-len(m[0])+1]), m[1])
	}
	if bare := wordyCapture.ReplaceAllString(s, "{$1}"); bare != s {
		return fmt.Errorf("a capture is one segment of any characters: write %q, or path_regex", bare)
	}
	fix := colonCapture.ReplaceAllString(s, "/{$1}")
	fix = angleCapture.ReplaceAllString(fix, "{$1}")
	if fix != s {
		if key == "path" {
			return fmt.Errorf("captures are in braces: write path: %q", fix)
		}
		return fmt.Errorf("captures are in braces, and in path: write path: %q, or path_regex", fix)
	}
	return nil
}

// checkHostPattern finds what is of another program's grammar in match.host; package match
// checks the rest.
func checkHostPattern(s string) error {
	_, rest, schemed := strings.Cut(s, "://")
	if !schemed {
		rest = s
	}
	host, path, pathed := strings.Cut(rest, "/")
	switch {
	case pathed && path != "":
		return fmt.Errorf("a host has no path: write host: %s and path_prefix: /%s", host, path)
	case schemed || pathed:
		return fmt.Errorf("wanted the name alone: write %q", host)
	case strings.HasPrefix(s, "."):
		return fmt.Errorf("write %q for every subdomain", "*"+s)
	case strings.HasPrefix(s, "~"), strings.HasPrefix(s, "^"):
		return fmt.Errorf("a host cannot be a regular expression: wanted a name, or * as its first label, as in *.example.com")
	case bracketed(s) != s:
		return fmt.Errorf("write an IPv6 address in brackets: %q", bracketed(s))
	}
	return checkAddressLike(s)
}

// checkAddressLike refuses a host whose last label is a number, unless it is an IPv4 address:
// no name ends so (RFC 3696 section 2), and resolvers and browsers differ about 10.1 and 010.0.0.1.
func checkAddressLike(host string) error {
	last := host[strings.LastIndexByte(strings.TrimSuffix(host, "."), '.')+1:]
	if !isDigits(strings.TrimSuffix(last, ".")) {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("no IPv4 address: wanted four numbers from 0 to 255, without leading zeros")
	}
	return nil
}

// checkRegex refuses the characters that the escapes \b and \0 are in double quotes: in an
// expression \b is a word's boundary, and nobody means a backspace.
func checkRegex(s string) error {
	if strings.ContainsAny(s, "\b\x00") {
		return fmt.Errorf(`has a control character, which "\b" and "\0" are in double quotes: write the expression in single quotes`)
	}
	return checkNotEmpty(s)
}

// originFor reads an origin without its scheme, or the word that is one.
func originFor(s string) string {
	switch s {
	case "*", "all":
		return "origins: any"
	case "self", "'self'", "same-origin", "same_host":
		return "same-host"
	}
	host := strings.TrimSuffix(s, "/")
	if scheme, rest, found := strings.Cut(host, "://"); found && scheme != httpsyntax.Lower(scheme) {
		return httpsyntax.Lower(scheme) + "://" + rest
	}
	if strings.Contains(host, ".") && checkAuthority(strings.TrimPrefix(host, "*.")) == nil {
		return "https://" + host
	}
	return ""
}
