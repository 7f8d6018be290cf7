// How a refusal is told: the gate's own answer, a silent end for net/http, and
// a close that leaves the client time to read.

package h1

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

var (
	errHeadTime = &Violation{http.StatusRequestTimeout, "request head took too long"}
	errBodyTime = &Violation{0, "request body took too long behind its answer"}
	errHeld     = &Violation{0, "bytes behind an upgrade request that was not granted"}
)

// Methods is what a refused method is told in Allow (RFC 9110 section 15.5.6).
const Methods = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"

const (
	answerTimeout = time.Second            // to write a refusal
	lingerTime    = 500 * time.Millisecond // to read it, see lingerAndClose
	lingerBytes   = 256 << 10
)

// refuse answers a bad head. The answers before it have been written: net/http
// asks for a head only then.
func (c *Conn) refuse(v *Violation) error {
	id := c.fail(v)
	c.Conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	c.Conn.Write(answer(v, id))
	return c.err
}

// failBody ends a request whose body breaks the rules. Its handler is at work:
// the answer is the handler's, or net/http's.
func (c *Conn) failBody(v *Violation) error {
	c.fail(v)
	return c.err
}

func (c *Conn) fail(v *Violation) (id string) {
	c.err = c.readError(v)
	c.mu.Lock()
	c.why = v
	c.linger = true
	c.mu.Unlock()
	return c.onRefuse(v.Status, v.Reason)
}

// readError has the one form that net/http takes for a connection that broke:
// it then closes without an answer of its own.
func (c *Conn) readError(v *Violation) error {
	return &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: v}
}

func answer(v *Violation, id string) []byte {
	allow := ""
	if v.Status == http.StatusMethodNotAllowed {
		allow = "Allow: " + Methods + "\r\n"
	}
	body := fmt.Sprintf("%d %s: %s", v.Status, http.StatusText(v.Status), v.Reason)
	if id != "" {
		body += " (request " + id + ")"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\n%sConnection: close\r\n\r\n%s\n",
		v.Status, http.StatusText(v.Status), time.Now().UTC().Format(http.TimeFormat), len(body)+1, allow, body)
}

// lingerAndClose half-closes and reads on for a moment. Closed at once, with
// bytes of the client's unread or still coming, the connection would be reset,
// and the reset may overtake the answer (RFC 9112 section 9.6).
func lingerAndClose(conn net.Conn) {
	defer conn.Close()
	end := time.Now().Add(lingerTime)
	conn.SetDeadline(end)
	if w, ok := conn.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		if _, err := io.CopyN(io.Discard, conn, lingerBytes); err == nil {
			time.Sleep(time.Until(end)) // it sends on, into full buffers, and may read meanwhile
		}
	}
}
