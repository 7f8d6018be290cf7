package routing

// What trusted proxies report about the client of a request.

import (
	"cmp"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// Trusted is the set of networks whose X-Forwarded-* and Forwarded are believed.
type Trusted []netip.Prefix

func (t Trusted) Contains(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Reported returns what the trusted proxies report about a request that peer sent, from
// X-Forwarded-* and Forwarded. If both are present they must agree: a proxy that sets
// only one of them may pass on the other as its client wrote it.
func (t Trusted) Reported(peer netip.Addr, h http.Header) (forward.Reported, error) {
	if !t.Contains(peer) {
		return forward.Reported{}, nil
	}
	x, f := t.xForwarded(h), t.forwarded(h)
	switch {
	case x.named && f.named && x.client() != f.client():
		return forward.Reported{}, contradiction("client", x.client(), f.client())
	case x.proto != "" && f.proto != "" && x.proto != f.proto:
		return forward.Reported{}, contradiction("proto", x.proto, f.proto)
	case x.host != "" && f.host != "" && !sameHost(x.host, f.host):
		return forward.Reported{}, contradiction("host", x.host, f.host)
	}
	if !x.named {
		x.addrs = f.addrs
	}
	slices.Reverse(x.addrs)
	return forward.Reported{For: x.addrs, Proto: cmp.Or(x.proto, f.proto), Host: cmp.Or(x.host, f.host)}, nil
}

func contradiction(what string, x, f any) error {
	return fmt.Errorf("X-Forwarded-* and Forwarded contradict each other: %s %v and %v", what, x, f)
}

func sameHost(a, b string) bool {
	a, _ = match.NormalizeHost(a)
	b, _ = match.NormalizeHost(b)
	return a == b
}

// report is the trusted part of X-Forwarded-*, or of Forwarded.
type report struct {
	named bool         // the client is named, be it as "unknown"
	addrs []netip.Addr // of the hops, the nearest first
	proto string       // http or https
	host  string
}

// client returns the address of the farthest hop, or the zero Addr if the nearest hop
// has no address.
func (r report) client() netip.Addr {
	if len(r.addrs) == 0 {
		return netip.Addr{}
	}
	return r.addrs[len(r.addrs)-1]
}

// add appends one hop, as its node says. It reports whether the next entry can be trusted
// too: it was written by this hop.
func (t Trusted) add(r *report, node string) bool {
	r.named = true
	a, ok := forwardedAddr(node)
	if ok {
		r.addrs = append(r.addrs, a)
	}
	return ok && t.Contains(a)
}

// xForwarded reads X-Forwarded-For from its end, up to the first hop that is not trusted.
// Proxies either replace X-Forwarded-Proto and X-Forwarded-Host or append to them. Where
// there are several values, the outermost trusted proxy's is as far from the end as the
// last trusted entry of X-Forwarded-For.
func (t Trusted) xForwarded(h http.Header) report {
	var r report
	hops := 0
	for node := range fromTheEnd(h["X-Forwarded-For"], cutComma) {
		hops++
		if !t.add(&r, node) {
			break
		}
	}
	r.proto = knownProto(entryFromTheEnd(h["X-Forwarded-Proto"], hops))
	r.host = knownHost(entryFromTheEnd(h["X-Forwarded-Host"], hops))
	return r
}

// forwarded reads Forwarded from its end, up to the first hop that is not trusted. The
// proto and host of an outer proxy replace those of an inner one.
func (t Trusted) forwarded(h http.Header) report {
	var r report
	for text := range fromTheEnd(h["Forwarded"], forward.CutElement) {
		if strings.TrimSpace(text) == "" {
			continue
		}
		e, ok := forward.ParseElement(text)
		if !ok {
			r.named = true
			break
		}
		r.proto = cmp.Or(knownProto(e.Proto), r.proto)
		r.host = cmp.Or(knownHost(e.Host), r.host)
		if e.For == "" || !t.add(&r, e.For) {
			break
		}
	}
	return r
}

// fromTheEnd yields the entries of a list header, the last entry of the last line first.
func fromTheEnd(lines []string, cut func(string) (before, last string, more bool)) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; { // an empty line has one entry, an empty one
				var entry string
				if line, entry, more = cut(line); !yield(entry) {
					return
				}
			}
		}
	}
}

func cutComma(s string) (before, last string, more bool) {
	comma := strings.LastIndexByte(s, ',')
	return s[:max(comma, 0)], s[comma+1:], comma >= 0
}

// entryFromTheEnd returns the nth entry from the end, or the first entry if there are
// fewer than n.
func entryFromTheEnd(lines []string, n int) (entry string) {
	for entry = range fromTheEnd(lines, cutComma) {
		if n--; n <= 0 {
			break
		}
	}
	return strings.TrimSpace(entry)
}

// knownProto returns http for http and ws, https for https and wss, and otherwise "".
func knownProto(s string) string {
	switch strings.ToLower(s) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

// knownHost returns s if it is a host, and otherwise "": it may become part of a Location.
func knownHost(s string) string {
	if _, err := match.NormalizeHost(s); err != nil {
		return ""
	}
	return s
}

// forwardedAddr parses a node of X-Forwarded-For or Forwarded (RFC 7239, section 6): an
// address with or without a port, which may be obfuscated. An IPv6 address is in brackets,
// but some proxies omit them. ok is false for any other node, such as "unknown".
func forwardedAddr(node string) (a netip.Addr, ok bool) {
	host, port := strings.TrimSpace(node), ""
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		if host, port, ok = strings.Cut(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		host, port = host[:i], host[i:]
	}
	a, err := netip.ParseAddr(host)
	if err != nil || !isNodePort(port) {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

// isNodePort accepts "", ":80" and ":_hidden".
func isNodePort(s string) bool {
	if s == "" {
		return true
	}
	s, ok := strings.CutPrefix(s, ":")
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return ok
	}
	return ok && len(s) > 1 && s[0] == '_'
}
