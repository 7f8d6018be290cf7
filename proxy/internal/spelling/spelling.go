// Package spelling gives header names the letters back in which they were sent.
//
// Case means nothing in them (RFC 9110, section 5.1), and all that is decided here
// is decided by the canonical names of net/http. But some software compares case:
// a SOAPAction, a DNT or an api_key that arrives as Soapaction, Dnt or Api_key is
// missed. So the spelling of a head's names that are not canonical is kept beside
// it, and is put back in the last step before the header is written.
package spelling

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Names are names as they were spelled, the first spelling of each. They hold none
// that is spelled as net/http spells it, and none that keeps that spelling in
// any case, see Fixed. The zero value is empty.
type Names []string

// most is how many names of one head are kept; further ones are written canonically.
// A head has at most a hundred lines by default.
const most = 128

// Note keeps the spelling of a token, if it has to be kept.
func (n *Names) Note(name []byte) {
	if IsCanonical(name) || len(*n) >= most {
		return
	}
	n.add(string(name))
}

// NoteText is Note for a name whose canonical spelling is known.
func (n *Names) NoteText(name, canonical string) {
	if name != canonical && len(*n) < most {
		n.add(strings.Clone(name)) // not a part of the head, which would stay with it
	}
}

func (n *Names) add(name string) {
	if !Fixed(name) && !slices.ContainsFunc(*n, func(have string) bool { return httpsyntax.EqualFold(have, name) }) {
		*n = append(*n, name)
	}
}

// IsCanonical says whether a token is spelled as textproto.CanonicalMIMEHeaderKey
// would spell it.
func IsCanonical(name []byte) bool {
	first := true
	for _, c := range name {
		if first && 'a' <= c && c <= 'z' || !first && 'A' <= c && c <= 'Z' {
			return false
		}
		first = c == '-'
	}
	return true
}

// fixed are the names whose spelling never changes: somebody looks them up in a
// header that may have been respelled, and would act as if they were missing.
var fixed = []string{
	// http.Transport and http.Request.Write. Of the first five they would write a
	// second line; by the others they decide whether a body waits, and whether a
	// request may be sent again.
	"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer",
	"Connection", "Expect", "Idempotency-Key", "X-Idempotency-Key",
	// http.Server, which frames the answer by some of these (Content-Length, ...) and
	// adds others that it finds missing.
	"Content-Type", "Content-Encoding", "Date", "Upgrade",
	// Package upstream: a login of the connection.
	"Authorization",
	// Hop-by-hop: the proxy's own, wherever they are written.
	"Te", "Keep-Alive", "Proxy-Connection",
}

// rfc6455 are the names of the handshake that net/http spells in its own way:
// canonical name, and as RFC 6455 has it.
var rfc6455 = [...][2]string{
	{"Sec-Websocket-Accept", "Sec-WebSocket-Accept"},
	{"Sec-Websocket-Extensions", "Sec-WebSocket-Extensions"},
	{"Sec-Websocket-Key", "Sec-WebSocket-Key"},
	{"Sec-Websocket-Protocol", "Sec-WebSocket-Protocol"},
	{"Sec-Websocket-Version", "Sec-WebSocket-Version"},
}

// Fixed says that a name has one spelling, however it was sent.
func Fixed(name string) bool {
	const handshake = "Sec-Websocket-"
	if len(name) > len(handshake) && httpsyntax.EqualFold(name[:len(handshake)], handshake) {
		for _, names := range rfc6455 {
			if httpsyntax.EqualFold(name, names[0]) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(fixed, func(f string) bool { return httpsyntax.EqualFold(f, name) })
}

// Respell gives one canonical name in h the spelling of name. It does nothing
// where the name is fixed or not there, or was respelled before: so the first
// of two spellings counts, for all lines of the name.
func Respell(h http.Header, name string) {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if canonical == name {
		return
	}
	values, ok := h[canonical]
	if !ok || Fixed(name) {
		return
	}
	delete(h, canonical)
	h[name] = slices.Concat(h[name], values)
}

// RespellHandshake spells the names of a handshake as RFC 6455 does, however they
// were sent: servers and clients, small ones above all, compare the case.
func RespellHandshake(h http.Header) {
	for _, names := range rfc6455 {
		if values, ok := h[names[0]]; ok {
			delete(h, names[0])
			h[names[1]] = slices.Concat(h[names[1]], values)
		}
	}
}
