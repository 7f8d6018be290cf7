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

// FirstRequest is the request of a connection from which nothing was read before.
// It belongs to one goroutine, and ends before the connection's first Read.
type FirstRequest struct {
	Conn *Conn
	Head string // the text of its head; "" if net/http must read the request
}

// FirstRequest waits for the head of the connection's first request. Head is set only
// where net/http is not needed to understand it: a GET over HTTP/1.1 in origin-form
// that asks for an upgrade, without any header that frames a body or announces one.
// For anything else, bad requests included, Reads deliver all that came, as if
// FirstRequest had not been called. The error says that nothing came at all: there is
// no request to answer, and the connection is to be closed.
func (c *Conn) FirstRequest() (FirstRequest, error) {
	c.startHeadClock()
	var scan headScan
	for {
		end, err := scan.scan(c.early.bytes(), c.limits.HeadBytes, c.limits.Fields)
		switch {
		case err == nil && c.isPlainUpgrade(c.early.bytes()[:end]):
			return FirstRequest{c, string(c.early.bytes()[:end])}, nil
		case err != ErrIncomplete:
			return FirstRequest{Conn: c}, nil // Read judges it
		}
		if err := c.fillFirst(); err != nil {
			if c.early != nil {
				err = nil // the next Read meets it again
			}
			return FirstRequest{Conn: c}, err
		}
	}
}

// fillFirst reads into pooled memory: heads are larger than any scratch on the
// stack should be.
func (c *Conn) fillFirst() error {
	if c.early == nil {
		c.mu.Lock()
		c.early = newBuffer()
		c.mu.Unlock()
	}
	err := c.fill(nil, c.limits.HeadBytes+1)
	if err != nil && c.early.len() == 0 {
		c.mu.Lock()
		c.early.release()
		c.early = nil
		c.mu.Unlock()
	}
	return err
}

func (c *Conn) isPlainUpgrade(b []byte) bool {
	scratch := fieldSlices.Get().(*[]Field)
	defer fieldSlices.Put(scratch)
	h, err := parseHead(b, *scratch)
	if err != nil {
		return false
	}
	defer clear(h.Fields)
	*scratch = h.Fields[:0]
	return h.isPlainUpgrade()
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

// PlainUpgrade returns the length of the head at the beginning of buf if
// [Conn.FirstRequest] would return it, and 0 if not, or if it is not complete.
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

// AdoptState tells the Conn what is known of a connection that an event loop has had
// since its beginning: the peer, which the kernel forgets when the peer resets it; the
// deadline of its first head, zero if it has none; and the bytes that were read. It must
// be called before FirstRequest, and before others know the Conn.
func (c *Conn) AdoptState(peer net.Addr, headBy time.Time, read []byte) {
	c.peer = peer
	c.keep(read)
	if headBy.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headBy = headBy
	_ = c.Conn.SetReadDeadline(headBy)
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr {
	if c.peer != nil {
		return c.peer
	}
	return c.Conn.RemoteAddr()
}

// Consume takes the head out of what Reads deliver. What follows it is held, as behind
// every request for an upgrade, until Detach; a Read of one byte ends when the client
// leaves, see [Conn.Await], and with a deadline.
func (f FirstRequest) Consume() {
	c := f.Conn
	c.stopHeadClock()
	c.take(len(f.Head))
	c.heads++
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upgrade, c.awaited, c.state = true, true, holding
}

// Return undoes Consume: Reads deliver the head after all, with what has come behind
// it. handoff is for the handler of the request, see [Conn.TakeHandoff].
func (f FirstRequest) Return(handoff any) {
	c := f.Conn
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := c.early
	c.early = newBuffer()
	c.early.append([]byte(f.Head))
	c.early.append(behind.bytes())
	if behind != nil {
		behind.release()
	}
	c.heads--
	c.upgrade, c.awaited, c.state = false, false, inHead
	c.handoff = handoff
}

// TakeHandoff returns what was found out about the request before it was returned,
// once; nil if nothing was.
func (c *Conn) TakeHandoff() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	handoff := c.handoff
	c.handoff = nil
	return handoff
}

// NewRequest returns the request of a [FirstRequest]'s head, as net/http's server would
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
