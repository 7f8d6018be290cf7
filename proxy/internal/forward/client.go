package forward

// What a backend is told about the client: X-Forwarded-*, or Forwarded (RFC
// 7239), the client's certificate (RFC 9440) and the request's id.

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// aboutClient reports whether a header tells a backend which client asks, or the
// request's id. From a peer that is no trusted proxy it is a lie or a guess.
func aboutClient(name string) bool {
	const prefix = "X-Forwarded-"
	return len(name) >= len(prefix) && httpsyntax.EqualFold(name[:len(prefix)], prefix) || listed(clientHeaders, name)
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

func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (p *Policy) tellClient(h http.Header, c Client) {
	switch p.Forwarded {
	case ForwardedX:
		tellX(h, c)
	case ForwardedRFC7239:
		tellForwarded(h, c)
	}
	if c.Certificate != nil && h.Get("Client-Cert") == "" {
		h.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Certificate.Raw)+":")
	}
}

// tellX leaves what a trusted proxy has said and appends its address. What it
// has said in Forwarded alone is translated, or the backend would be told of
// another client than the proxy goes by. Any dropped claims are gone by now.
func tellX(h http.Header, c Client) {
	if !says(h, "X-Forwarded-For") {
		for _, addr := range c.Reported.For {
			appendLine(h, "X-Forwarded-For", addr.String())
		}
	}
	peer := clientIP(c.Addr)
	if peer.IsValid() {
		appendLine(h, "X-Forwarded-For", peer.String())
	}
	if len(c.Reported.For) > 0 {
		h.Set("X-Real-Ip", c.Reported.For[0].String()) // a trusted proxy may pass on its client's
	} else if peer.IsValid() {
		setDefault(h, "X-Real-Ip", peer.String())
	}
	setDefault(h, "X-Forwarded-Proto", c.Proto())
	setDefault(h, "X-Forwarded-Host", c.PublicHost())
}

// tellForwarded is tellX in RFC 7239's words: one element for each hop.
func tellForwarded(h http.Header, c Client) {
	if r := c.Reported; !says(h, "Forwarded") && (len(r.For) > 0 || r.Proto != "" || r.Host != "") {
		appendLine(h, "Forwarded", forwardedElement(first(r.For), r.Host, r.Proto))
		for _, addr := range r.For[min(1, len(r.For)):] {
			appendLine(h, "Forwarded", forwardedElement(addr, "", ""))
		}
	}
	appendLine(h, "Forwarded", forwardedElement(clientIP(c.Addr), c.Host, c.hopProto()))
}

func first(addrs []netip.Addr) netip.Addr {
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return addrs[0]
}

// hopProto is how the request came here.
func (c Client) hopProto() string {
	if c.Secure {
		return "https"
	}
	return "http"
}

// forwardedElement is one hop in RFC 7239's words: an IPv6 address goes in
// brackets and quotes (section 6), and so does any host that is not a token.
func forwardedElement(addr netip.Addr, host, proto string) string {
	element := "for=unknown"
	if addr.Is6() {
		element = `for="[` + addr.String() + `]"`
	} else if addr.IsValid() {
		element = "for=" + addr.String()
	}
	if host != "" {
		element += ";host=" + quotedUnlessToken(host)
	}
	if proto != "" {
		element += ";proto=" + proto
	}
	return element
}

// clientIP is the address alone, an IPv4 one as such, without the zone that
// means nothing elsewhere.
func clientIP(peer netip.AddrPort) netip.Addr { return peer.Addr().Unmap().WithZone("") }

func quotedUnlessToken(value string) string {
	if httpsyntax.IsToken(value) {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// appendLine puts value behind what the header says already, in one line.
func appendLine(h http.Header, name, value string) {
	h.Set(name, strings.Join(append(h.Values(name), value), ", "))
}

// says reports whether any line of the name has a value: the first may be empty.
func says(h http.Header, name string) bool { return strings.Join(h.Values(name), "") != "" }

func setDefault(h http.Header, name, value string) {
	if !says(h, name) && value != "" {
		h.Set(name, value)
	}
}
