package routefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Targets: where a route sends its requests.

// Target is the destination of a route's requests.
type Target struct {
	Raw    string // as written
	Scheme string // ws, wss, http, https, unix+ws, unix+http, pool, internal
	Host   string // host[:port] in lower case; the socket's path; the pool's name; echo or status
	Path   string // template; "" keeps the request's own path
	Query  string // template, without "?"
	Pos    Pos    `json:"-"`
}

// targetSchemes in the order they are offered.
var targetSchemes = append(backendSchemes, "pool", "internal")

// backendSchemes are those of servers.
var backendSchemes = []string{"ws", "wss", "http", "https", "unix+ws", "unix+http"}

// internalNames are the targets that the proxy serves itself.
var internalNames = []string{"echo", "status"}

// targetKey reads a target with its position. get returns nil where there is none.
func targetKey[T any](parse func(string) (Target, error), get func(*T) *Target, put func(*T, Target)) *Key {
	write := func(src any) node {
		if t := get(src.(*T)); t != nil {
			return yamledit.TextNode(t.Raw)
		}
		return nil
	}
	return &Key{Kind: KindText, write: write, set: func(p *parser, k *Key, n node, dst any) {
		checks := func(s string) error { _, err := parse(s); return err }
		if !p.wantText(n, checks) {
			return
		}
		t, err := parse(n.Value)
		if err != nil {
			p.bad(n, "%v", err)
		}
		t.Pos = p.file.pos(n)
		put(dst.(*T), t)
	}}
}

// parseTarget reads "scheme://host[:port][/path][?query]", "unix+ws:///socket[:/path]",
// "pool://NAME[/path]" or "internal://echo". Captures are allowed in path and query only: a
// request must never choose its own destination (CVE-2023-25690).
func parseTarget(raw string) (Target, error) {
	t := Target{Raw: raw}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return t, fmt.Errorf("wanted scheme://host[:port][/path], the scheme %s%s", oneOf(targetSchemes), instead(targetFor(raw, targetSchemes)))
	}
	t.Scheme = httpsyntax.Lower(scheme)
	if !slices.Contains(targetSchemes, t.Scheme) {
		return t, fmt.Errorf("unknown scheme %q%s", yamledit.Clip(scheme), didYouMeanOr(t.Scheme, targetSchemes))
	}
	if err := checkTargetBytes(rest); err != nil {
		return t, err
	}
	rest, query, asked := strings.Cut(rest, "?")
	if t.Query = query; asked && query == "" {
		return t, errors.New("empty query: remove the \"?\"")
	}
	if strings.HasPrefix(t.Scheme, "unix+") {
		return t, t.readSocket(rest)
	}
	return t, t.readHost(rest)
}

// didYouMeanOr suggests the nearest word, else all of them.
func didYouMeanOr(word string, words []string) string {
	if near := didYouMean(word, words); near != "" {
		return near
	}
	return ": wanted " + oneOf(words)
}

// checkTargetBytes refuses what is not allowed in a request line or a URL, so that nothing
// needs to be encoded later.
func checkTargetBytes(s string) error {
	for i, r := range s {
		switch {
		case r <= ' ' || r == 0x7f || r > 0x7e:
			return fmt.Errorf("%q is not allowed in a target: percent-encode it", r)
		case strings.ContainsRune("\"<>\\^`|", r):
			return fmt.Errorf("%q is not allowed in a target: percent-encode it", r)
		case r == '#':
			return errors.New("a target has no fragment: remove the \"#\"")
		case r == '%' && !isEscape(s[i:]):
			return fmt.Errorf("%q is not a valid escape: wanted %% and two hexadecimal digits", s[i:min(len(s), i+3)])
		}
	}
	return nil
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// readSocket reads "/run/app.sock" or "/run/app.sock:/path".
func (t *Target) readSocket(s string) error {
	if !strings.HasPrefix(s, "/") {
		return fmt.Errorf("wanted three slashes and the socket's absolute path: %s:///run/app.sock", t.Scheme)
	}
	socket, path, found := strings.Cut(s, ":/")
	if strings.ContainsAny(socket, "${}") {
		return errors.New("captures are allowed in the path and query only, not in the socket's path")
	}
	if strings.HasSuffix(socket, "/") || strings.HasSuffix(socket, ":") {
		return fmt.Errorf("wanted the socket's file: %s:///run/app.sock:/path", t.Scheme)
	}
	if t.Host = socket; found {
		t.Path = "/" + path
	}
	return nil
}

// readHost reads "host[:port][/path]", "NAME[/path]" or "echo".
func (t *Target) readHost(s string) error {
	host, path, found := strings.Cut(s, "/")
	if t.Host = httpsyntax.Lower(host); found {
		t.Path = "/" + path
	}
	if strings.Contains(host, "@") {
		return errors.New("a target cannot contain a user name or password: use headers.request.set")
	}
	if strings.ContainsAny(host, "${}") {
		return errors.New("captures are allowed in the path and query only, not in the host or port")
	}
	switch t.Scheme {
	case "pool":
		t.Host = host // names keep their case
		return checkName(host)
	case "internal":
		return t.checkInternal(host)
	}
	return checkAuthority(host)
}

func (t *Target) checkInternal(name string) error {
	if !slices.Contains(internalNames, t.Host) {
		return fmt.Errorf("unknown internal target %q: wanted internal://%s", yamledit.Clip(name), strings.Join(internalNames, " or internal://"))
	}
	if t.Path != "" || t.Query != "" {
		return fmt.Errorf("an internal target has no path or query: write internal://%s", t.Host)
	}
	return nil
}

// parseBackendURL reads the URL of a pool's backend: a target without path,
// query and captures, and never another pool.
func parseBackendURL(raw string) (Target, error) {
	scheme, _, found := strings.Cut(raw, "://")
	switch lower := httpsyntax.Lower(scheme); {
	case !found:
		return Target{Raw: raw}, fmt.Errorf("wanted scheme://host[:port], the scheme %s%s", oneOf(backendSchemes), instead(targetFor(raw, backendSchemes)))
	case lower == "pool" || lower == "internal":
		return Target{Raw: raw}, fmt.Errorf("a backend is a server: wanted the scheme %s", oneOf(backendSchemes))
	case !slices.Contains(backendSchemes, lower):
		return Target{Raw: raw}, fmt.Errorf("unknown scheme %q%s", yamledit.Clip(scheme), didYouMeanOr(lower, backendSchemes))
	}
	t, err := parseTarget(raw)
	if err != nil {
		return t, err
	}
	if t.Path != "" || t.Query != "" {
		return t, fmt.Errorf("a backend's URL has no path: write %q, and the path in the route's target, as in pool://NAME/path", t.Scheme+"://"+t.Host)
	}
	return t, nil
}
