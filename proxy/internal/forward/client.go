package forward

// What a backend is told about the client: X-Forwarded-*, or Forwarded (RFC
// 7239), the client's certificate (RFC 9440) and the request's id.

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
)

// aboutClient says whether a header tells a backend who asks, and by which id.
// From a stranger it is a lie or a guess.
func aboutClient(name string) bool {
	const prefix = "X-Forwarded-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) || listed(clientHeaders, name)
}

var clientHeaders = []string{"Forwarded", "X-Forwarded", "X-Real-Ip", "Client-Cert", "Client-Cert-Chain", "X-Request-Id"}

func dropClaims(h http.Header) {
	for name := range h {
		if aboutClient(name) {
			delete(h, name)
		}
	}
}

// RequestID is the id that a trusted proxy has given to the request, in at most
// 128 visible characters; "" if there is none to believe.
func (c Client) RequestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); c.Trusted && len(id) <= 128 && visible(id) {
		return id
	}
	return ""
}

// OverTLS says whether the client came over TLS, here or to a trusted proxy that
// says so.
func (c Client) OverTLS(h http.Header) bool {
	return c.Secure || c.Trusted && strings.EqualFold(h.Get("X-Forwarded-Proto"), "https")
}

func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (p *Policy) tellClient(h http.Header, c Client) {
	switch p.Forwarded {
	case ForwardedX:
		tellX(h, c)
	case ForwardedRFC7239:
		appendLine(h, "Forwarded", forwardedElement(c))
	}
	if c.Certificate != nil && h.Get("Client-Cert") == "" {
		h.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Certificate.Raw)+":")
	}
}

// tellX leaves what a trusted proxy has said and appends its address. Any
// dropped claims are gone by now, so that what is here is believed.
func tellX(h http.Header, c Client) {
	if addr := clientIP(c.Addr); addr.IsValid() {
		appendLine(h, "X-Forwarded-For", addr.String())
	}
	setDefault(h, "X-Forwarded-Proto", c.proto())
	setDefault(h, "X-Forwarded-Host", c.Host)
}

// proto is http or https, for WebSockets too: what backends expect, and build
// their links by.
func (c Client) proto() string {
	if c.Secure {
		return "https"
	}
	return "http"
}

// forwardedElement is one hop in RFC 7239's words: an IPv6 address goes in
// brackets and quotes (section 6), and so does any host that is not a token.
func forwardedElement(c Client) string {
	element := "for=unknown"
	if addr := clientIP(c.Addr); addr.Is6() {
		element = `for="[` + addr.String() + `]"`
	} else if addr.IsValid() {
		element = "for=" + addr.String()
	}
	if c.Host != "" {
		element += ";host=" + quotedUnlessToken(c.Host)
	}
	return element + ";proto=" + c.proto()
}

// clientIP is the address alone, an IPv4 one as such, without the zone that
// means nothing elsewhere.
func clientIP(peer netip.AddrPort) netip.Addr { return peer.Addr().Unmap().WithZone("") }

func quotedUnlessToken(value string) string {
	if !strings.ContainsFunc(value, notToken) {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// notToken is what may not stand in a token (RFC 9110, section 5.6.2).
func notToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// appendLine puts value behind what the header says already, in one line.
func appendLine(h http.Header, name, value string) {
	h.Set(name, strings.Join(append(h.Values(name), value), ", "))
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" && value != "" {
		h.Set(name, value)
	}
}
