// Who may open a tunnel from a browser: the Origin check (RFC 6454 section 7;
// RFC 6455 section 10.2). Browsers send WebSocket handshakes to any host, with
// its cookies; the Origin is the server's only means against that.

package wsproto

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// OriginRules say which origins pass. The zero value is the default, same-host.
// Immutable, safe for concurrent use.
type OriginRules struct {
	any      bool
	list     bool // patterns are given: same-host only if sameHost
	sameHost bool
	null     bool
	file     bool
	patterns []originPattern
}

// originPattern is scheme://host[:port], or scheme://*.domain for every host
// below domain.
type originPattern struct {
	origin   origin
	wildcard bool
}

type origin struct {
	scheme string // lower case
	host   string // lower case, IPv6 in brackets
	port   string // the scheme's default is filled in; "" where it has none
}

// ParseOrigins compiles a route's allow-list. An element is
// "scheme://host[:port]", "scheme://*.domain[:port]" (any depth, not the
// domain itself), "same-host" (the origin's host name is the request's, ports
// and scheme ignored), "null" (pages without an origin: files, sandboxed frames),
// "file://" (what some libraries and embedded browsers send instead) or "any". An
// empty list is same-host. Without a port a
// pattern means its scheme's default port.
func ParseOrigins(list []string) (OriginRules, error) {
	rules := OriginRules{list: len(list) > 0}
	for _, s := range list {
		switch s {
		case "any":
			rules.any = true
		case "same-host":
			rules.sameHost = true
		case nullOrigin:
			rules.null = true
		case fileOrigin:
			rules.file = true
		default:
			p, err := parseOriginPattern(s)
			if err != nil {
				return OriginRules{}, err
			}
			rules.patterns = append(rules.patterns, p)
		}
	}
	return rules, nil
}

// Origins that name no host (RFC 6454 section 7.1 has the first only).
const (
	nullOrigin = "null"
	fileOrigin = "file://"
)

func parseOriginPattern(s string) (originPattern, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	domain, wildcard := strings.CutPrefix(rest, "*.")
	o, valid := parseOrigin(scheme + "://" + domain)
	if !ok || !valid || wildcard && strings.HasPrefix(o.host, "[") {
		return originPattern{}, fmt.Errorf("origin %q: want scheme://host[:port], scheme://*.domain, null, file://, same-host or any", s)
	}
	return originPattern{origin: o, wildcard: wildcard}, nil
}

func (p originPattern) allows(o origin) bool {
	if o.scheme != p.origin.scheme || o.port != p.origin.port {
		return false
	}
	if p.wildcard {
		sub, ok := strings.CutSuffix(o.host, "."+p.origin.host)
		return ok && sub != ""
	}
	return o.host == p.origin.host
}

// CheckOrigin returns nil when the request may open a tunnel: it has no Origin
// (no browser), or one that rules allow. host is the request's Host, with or
// without a port. Two Origin lines are refused, except where any origin may pass. The refusal is 403; its Hint, for the log, says what to
// write in the routes file.
func CheckOrigin(h http.Header, host string, rules OriginRules) *Refusal {
	lines := h["Origin"]
	switch {
	case len(lines) == 0 || rules.any:
		return nil
	case len(lines) > 1:
		return refuseOrigin("more than one Origin", "the request has more than one Origin: none can be trusted")
	case lines[0] == nullOrigin && rules.null, httpsyntax.EqualFold(lines[0], fileOrigin) && rules.file:
		return nil
	case lines[0] == nullOrigin, httpsyntax.EqualFold(lines[0], fileOrigin):
		return refuseOrigin("origin not allowed", fmt.Sprintf("origin %q is not allowed: to let it in, with every file and sandboxed "+
			"frame, write origins: [%q]", lines[0], httpsyntax.Lower(lines[0])))
	}
	o, ok := parseOrigin(lines[0])
	if !ok {
		return refuseOrigin("origin not allowed", fmt.Sprintf("origin %q is not scheme://host[:port]", lines[0]))
	}
	if rules.allow(o, host) {
		return nil
	}
	return refuseOrigin("origin not allowed", fmt.Sprintf("origin %q is not allowed: to let it in, write origins: [%s]", lines[0], o))
}

func (r OriginRules) allow(o origin, host string) bool {
	if (r.sameHost || !r.list) && sameHost(o, host) {
		return true
	}
	for _, p := range r.patterns {
		if p.allows(o) {
			return true
		}
	}
	return false
}

func sameHost(o origin, host string) bool {
	name, _, ok := splitPort(httpsyntax.Lower(strings.TrimSuffix(host, ":"))) // an empty port is the scheme's
	return ok && strings.TrimSuffix(name, ".") == strings.TrimSuffix(o.host, ".")
}

func refuseOrigin(text, hint string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Text: text, Hint: hint}
}

// parseOrigin reads a serialized origin (RFC 6454 section 6.2): a scheme, a
// host, perhaps a port, and nothing else.
func parseOrigin(s string) (origin, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) {
		return origin{}, false
	}
	host, port, ok := splitPort(httpsyntax.Lower(rest))
	if !ok {
		return origin{}, false
	}
	scheme = httpsyntax.Lower(scheme)
	if port == "" {
		port = defaultPort(scheme)
	}
	return origin{scheme: scheme, host: host, port: port}, true
}

// String prints the origin as a browser would.
func (o origin) String() string {
	if o.port == defaultPort(o.scheme) {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + o.port
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// splitPort cuts host[:port] and checks both parts; host is a name, an IPv4
// address, or an IPv6 address in brackets.
func splitPort(s string) (host, port string, ok bool) {
	host, port, found := httpsyntax.CutPort(s)
	if addr, err := httpsyntax.ParseIPv6(host); err == nil {
		host = "[" + addr.String() + "]"
	}
	return host, port, httpsyntax.CheckHost(host) == nil && (!found || httpsyntax.IsPort(port))
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := httpsyntax.LowerByte(s[i])
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}
