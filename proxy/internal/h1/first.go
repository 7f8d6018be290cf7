// A connection's first request, for a server that can do without net/http. Most
// connections to a proxy for WebSockets bring one request, for an upgrade: it is read
// and answered without what net/http sets up for more.

package h1

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// PlainUpgrade returns the length of the head at the beginning of buf if net/http is not
// needed to understand it: a GET over HTTP/1.1 in origin-form that asks for an upgrade,
// without any header that frames a body or announces one. It returns 0 if not, or if the
// head is not complete.
func PlainUpgrade(buf []byte, limits Limits) int {
	scratch := fieldSlices.Get().(*[]Field)
	defer fieldSlices.Put(scratch)
	h, n, err := ParseHead(buf, *scratch, limits)
	if err != nil {
		return 0
	}
	defer clear(h.Fields)
	*scratch = h.Fields[:0]
	if !h.isPlainUpgrade() {
		return 0
	}
	return n
}

func (h *Head) isPlainUpgrade() bool {
	if string(h.Method) != http.MethodGet || h.Minor != 1 || h.Target[0] != '/' {
		return false
	}
	asks := false
	for _, f := range h.Fields {
		switch {
		case framesBody(f.Name):
			return false
		case httpsyntax.EqualFold(f.Name, "upgrade"):
			asks = true
		}
	}
	return asks
}

// framesBody says whether a field is about a body, whatever its value.
func framesBody(name []byte) bool {
	return httpsyntax.EqualFold(name, "content-length") || httpsyntax.EqualFold(name, "transfer-encoding") ||
		httpsyntax.EqualFold(name, "trailer") || httpsyntax.EqualFold(name, "expect")
}

// AdoptState tells the Conn what is known of a connection that something else has had
// since its beginning: the peer, which the kernel forgets when the peer resets it, nil if
// the connection knows it; the deadline of its first head, zero if it has none; the bytes
// that were read; and what was found out about the request in them, see TakeHandoff. It
// must be called before others know the Conn.
func (c *Conn) AdoptState(peer net.Addr, headBy time.Time, read []byte, handoff any) {
	c.peer, c.handoff = peer, handoff
	c.keep(read)
	if !headBy.IsZero() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headBy = headBy
		c.setReadDeadlineLocked()
	}
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr {
	if c.peer != nil {
		return c.peer
	}
	return c.Conn.RemoteAddr()
}

// TakeHandoff returns what was found out about the first request before the Conn was
// made, once; nil if nothing was.
func (c *Conn) TakeHandoff() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	handoff := c.handoff
	c.handoff = nil
	return handoff
}

// NewRequest returns the request of a [PlainUpgrade]'s head, as net/http's server would
// have made it, but for what is not in the head: RemoteAddr, TLS and
// the context are the caller's to set. names is how the names of its header are
// spelled. The error is of a target that net/url does not understand.
func NewRequest(head string) (r *http.Request, names spelling.Names, err error) {
	line, rest, _ := strings.Cut(head, "\r\n")
	_, target, _ := strings.Cut(line, " ")
	target, _, _ = strings.Cut(target, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, nil, err
	}
	header, names := newHeader(rest)
	host := header["Host"][0]
	delete(header, "Host")
	return &http.Request{
		Method: http.MethodGet, RequestURI: target, URL: u, Host: host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}, names, nil
}

// newHeader parses lines up to the empty one, which were judged before. Values of
// names that occur once are cut from one slice, as net/textproto does.
func newHeader(lines string) (header http.Header, names spelling.Names) {
	n := strings.Count(lines, "\n")
	header, values := make(http.Header, n), make([]string, n)
	for line, rest, _ := strings.Cut(lines, "\r\n"); line != ""; line, rest, _ = strings.Cut(rest, "\r\n") {
		spelled, value, _ := strings.Cut(line, ":")
		name, value := http.CanonicalHeaderKey(spelled), strings.Trim(value, " \t")
		if before := header[name]; before != nil {
			header[name] = append(before, value)
			continue
		}
		names.NoteText(spelled, name)
		values[0] = value
		header[name], values = values[:1:1], values[1:]
	}
	if p := header["Pragma"]; len(p) > 0 && p[0] == "no-cache" && header["Cache-Control"] == nil {
		header["Cache-Control"] = []string{"no-cache"} // as net/http has it (RFC 9111 section 5.4)
	}
	return header, names
}
