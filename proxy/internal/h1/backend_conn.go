// The strict reader beneath http.Transport. The transport lets pass what other
// parsers read differently (Transfer-Encoding beside Content-Length, a space
// before the colon, bytes behind an answer's end that the next request on the
// connection may take for its own answer), and its caller cannot see that it
// did. A BackendConn follows each answer's framing and passes the same bytes on,
// never one beyond the answer.
//
// What it cannot see are bytes that a backend sends after its answer but that
// arrive only when the next request is under way: they are read as an answer.

package h1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// BackendConn is one connection to a backend. http.Transport reads and writes it from
// two goroutines and closes it; all methods are safe for concurrent use.
type BackendConn struct {
	net.Conn
	carried *atomic.Int64 // bytes both ways, of many connections

	mu       sync.Mutex // guards all below
	changed  sync.Cond  // of reading, written or broken; on mu
	response response
	request  RequestInfo // the current one
	written  bool        // all of it is out, or never will be
	failed   error       // why not all of it
	broken   error       // why nothing more may pass, for ever
	wrote    bool        // part of the current request is out
	reading  bool        // there is a Read under way
	readErr  error       // of the last Read
	detached bool        // the connection beneath has another owner
}

// RequestInfo is what a BackendConn must know of a request.
type RequestInfo struct {
	Method  string
	HasBody bool
	Shared  bool // the connection may carry other clients' requests after it
	// OnLogin, if not nil, gets the connection beneath if the answer on a shared
	// connection asks for a login, see AsksLogin.
	OnLogin func(net.Conn)
	// Names, if not nil, is how the names of the answer's header are spelled, from the
	// moment that Read has returned the end of the head.
	Names *spelling.Names
}

// NewBackendConn returns one that counts the bytes it carries in carried.
func NewBackendConn(conn net.Conn, carried *atomic.Int64) *BackendConn {
	c := &BackendConn{Conn: conn, carried: carried, written: true}
	c.changed.L = &c.mu
	return c
}

var (
	errDetached = errors.New("the connection has been taken")
	errClosed   = fmt.Errorf("connection to the backend: %w", net.ErrClosed)
	errStray    = errors.New("bytes that nobody has asked for")
)

// Begin announces a request, before its first byte is written.
func (c *BackendConn) Begin(r RequestInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.request, c.wrote, c.written, c.failed = r, false, false, nil
	if c.broken == nil && !c.response.begin(r.Method, r.Names) {
		c.broken = badResponse("not finished when the next request began")
	}
}

// End says that nothing more of the request is written.
func (c *BackendConn) End(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written, c.failed = true, err
	c.changed.Broadcast()
}

func (c *BackendConn) Read(p []byte) (int, error) {
	if err := c.startReading(); err != nil {
		return 0, err // bufio reads again after an error
	}
	n, err := c.Conn.Read(p)
	c.carried.Add(int64(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.readErr = false, err
	c.changed.Broadcast()
	if c.broken != nil {
		if n > 0 {
			c.readErr = errStray
		}
		return 0, c.broken
	}
	passed, bad := c.response.follow(p[:n])
	switch {
	case bad != nil:
		c.broken = bad
		return passed, bad
	case passed < n:
		// The answer is whole and right, what follows it is not. With an end of
		// file beside its last bytes the transport delivers the answer and does
		// not keep the connection.
		c.broken = badResponse("%d bytes behind its end", n-passed)
		return passed, io.EOF
	case err == nil && c.response.state == noResponse && c.response.login && c.request.Shared:
		c.leavePoolLocked()
		return passed, io.EOF
	}
	return n, err
}

func (c *BackendConn) startReading() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = c.broken == nil
	return c.broken
}

// leavePoolLocked ends the use of a shared connection whose answer asks for a login: from
// then on it belongs to the client that got the answer, or it is closed.
func (c *BackendConn) leavePoolLocked() {
	mayDetach := c.request.OnLogin != nil && !c.response.closes && c.isWrittenLocked()
	if c.broken != nil {
		return // closed meanwhile
	}
	c.broken = errDetached
	if mayDetach {
		c.detached = true
		c.request.OnLogin(c.Conn)
	}
}

// isWrittenLocked reports whether all of the request that was answered is out. The
// answer may be here before End is called.
func (c *BackendConn) isWrittenLocked() bool {
	for !c.written && !c.request.HasBody && c.broken == nil {
		c.changed.Wait()
	}
	return c.written && c.failed == nil
}

// Detach takes the connection beneath away from the transport, which finds its own
// closed. It returns nil if a request is under way, or the connection has ended.
func (c *BackendConn) Detach() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil || c.response.state != noResponse || c.response.closes || !c.isWrittenLocked() || c.broken != nil {
		return nil
	}
	c.broken, c.detached = errDetached, true
	if c.reading { // the transport watches it
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		for c.reading {
			c.changed.Wait()
		}
		if !errors.Is(c.readErr, os.ErrDeadlineExceeded) {
			c.Conn.Close()
			return nil
		}
	}
	_ = c.Conn.SetReadDeadline(time.Time{})
	return c.Conn
}

// Close closes the connection, unless it was detached.
func (c *BackendConn) Close() error {
	c.mu.Lock()
	if c.broken == nil {
		c.broken = errClosed
	}
	detached := c.detached
	c.changed.Broadcast()
	c.mu.Unlock()
	if detached {
		return nil
	}
	return c.Conn.Close()
}

// Write fails on a broken connection before a byte is out, so that the
// transport may try another one. Once part of a request is out, a failing write
// is not the last word: a backend may refuse a body by answering and closing,
// and its answer (413, 401) is worth more than our broken pipe. The rest of the
// body is then dropped, and the reading side tells how it ended.
func (c *BackendConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	broken, wrote, detached := c.broken, c.wrote, c.detached
	c.wrote = true
	c.mu.Unlock()
	if broken != nil && (!wrote || detached) {
		return 0, broken
	}
	n, err := c.Conn.Write(p)
	c.carried.Add(int64(n))
	if err != nil && wrote {
		return len(p), nil
	}
	return n, err
}
