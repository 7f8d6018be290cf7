package forward

// Which headers go to a backend and which come back: hop-by-hop ones end here
// (RFC 9110, section 7.6.1), what an untrusted client claims about itself is dropped, and
// what the proxy knows is said in its place.

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// hopByHop headers concern one connection alone, Connection listing them or not.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Http2-Settings",                            // RFC 7540, section 3.2.1
	"Proxy-Authenticate", "Proxy-Authorization", // between the client and a proxy
	"Proxy-Authentication-Info",
}

// endToEnd headers cannot be named in Connection: a client that names one wants
// a backend not to see what it decides by. (What tells about the client neither;
// see aboutClient.)
var endToEnd = []string{
	"Host", "Content-Length", "Content-Type", "Content-Encoding", "Authorization", "Cookie", "Origin",
	"Date", "Via", "Set-Cookie", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
	"Sec-WebSocket-Extensions", "Sec-WebSocket-Accept",
}

// RequestHeader is the header for the backend, made anew: for a forwarded
// request and for a tunnel's handshake alike. Host is not in it (see
// RequestHost), nor Connection, Upgrade or the body's framing: the code that
// writes the request adds its own. id is the request's; it does not replace the one
// that a trusted proxy has given (see Client.RequestID).
func (p *Policy) RequestHeader(in *http.Request, c Client, id string) http.Header {
	trailers := httpsyntax.HasToken(in.Header["Te"], "trailers")
	h := in.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	strip(h)
	dropAliases(h)
	if !c.Trusted {
		dropClaims(h)
	}
	if trailers {
		h.Set("Te", "trailers")
	}
	h.Del("Host")
	h.Del("Content-Length")
	countForward(in.Method, h)
	p.tellClient(h, c)
	maps.Copy(h, c.Identity)
	if id != "" && c.RequestID(h) == "" {
		h.Set("X-Request-Id", id)
	}
	p.Request.dropAliases(h)
	p.Request.apply(h)
	h.Del("Host")
	return h
}

// ResponseHeader turns a backend's header into the client's, in place, for every
// status. On a 101 and a 426 the caller puts Connection and Upgrade back.
func (p *Policy) ResponseHeader(h http.Header) {
	strip(h)
	p.Response.apply(h)
}

// strip removes what is hop-by-hop, and what Connection names.
func strip(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); !protected(name) {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// dropAliases removes what a backend may mistake for a header that only the
// proxy writes: through an environment variable, as CGI, WSGI and PHP have it,
// - and _ are one. No proxy spells them so, and one that is trusted may have
// passed on a client's unread.
func dropAliases(h http.Header) {
	for name := range h {
		if !strings.Contains(name, "_") {
			continue
		}
		if meant := strings.ReplaceAll(name, "_", "-"); protected(meant) || listed(hopByHop, meant) {
			delete(h, name)
		}
	}
}

// isAlias says whether two header names that differ in more than case are one
// where - and _ are.
func isAlias(a, b string) bool {
	if len(a) != len(b) || httpsyntax.EqualFold(a, b) {
		return false
	}
	dashed := func(s string) string { return strings.ReplaceAll(s, "_", "-") }
	return httpsyntax.EqualFold(dashed(a), dashed(b))
}

func protected(name string) bool { return aboutClient(name) || listed(endToEnd, name) }

func listed(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return httpsyntax.EqualFold(n, name) })
}
