// The connection: what is read next, and what of it may be delivered.

package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// Limits of one connection. Their defaults are the routes file's.
type Limits struct {
	HeadBytes   int           // a request line and headers -> 431
	Fields      int           // header lines -> 431
	HeadTimeout time.Duration // first byte of a head to its end, for the first head from the start -> 408; not positive is off
}

// maxEarly is how much is held behind an upgrade request; then the client must wait.
const maxEarly = 64 << 10

// state says what the next byte from the client belongs to.
type state uint8

const (
	inHead     state = iota // a request head, or empty lines before it
	inLength                // a body with Content-Length
	inChunks                // a body in chunks
	inTrailers              // the lines behind the last chunk
	holding                 // what is behind an upgrade request
	detached                // a tunnel: not the gate's any more
)

// Conn is a client's connection with the gate in it. net/http reads from it as
// from any connection: one Read at a time, concurrently with everything else.
// [Conn.Held], [Conn.Resume] and [Conn.Detach] belong to the handler of the
// request that is being served; the other methods are safe for concurrent use.
//
// The owner of the Conn closes it, and with it the connection beneath, unless
// Detach took that out.
type Conn struct {
	net.Conn // the client's, to which everything is passed on that has no method here

	limits   Limits
	onRefuse func(status int, reason string) (id string)
	peer     net.Addr // see AdoptState; nil is the connection's own

	// Only Read uses these.
	ready  int   // bytes at the front of early that are judged and may be delivered
	heads  int   // heads so far
	blank  int   // empty lines before the current head
	left   int64 // of a body with Content-Length
	chunks chunks
	scan   headScan // of a head or of trailers
	err    error    // every later Read's, after a violation

	// mu guards what follows: the handler steers while a Read waits. Only Read
	// and Detach put bytes into early or take them out.
	mu       sync.Mutex
	state    state
	awaited  bool           // see Await
	names    spelling.Names // see Names
	upgrade  bool           // hold what is behind the current request
	early    *buffer        // read and not delivered; nil is empty
	eof      bool           // the client's end of file was read, behind early
	deadline time.Time
	headBy   time.Time     // the gate's own deadline while a head is read
	endBy    time.Time     // see EndBy
	begun    bool          // the first head has come
	bodyBy   time.Time     // its own for the rest of a body whose request is answered
	wake     chan struct{} // closed to end a pause; nil when none waits
	linger   bool          // close slowly, so that the client can read the answer
	closed   bool
	why      *Violation
	handoff  any // see TakeHandoff
	attached io.Closer

	bodySilence time.Duration // see LimitSilence
	silentBy    time.Time     // the gate's own deadline for the next byte of a body

	send SendWatch
}

// Wrap puts the gate into conn: a *Conn, which for a *tls.Conn also has
// ConnectionState, for net/http's Request.TLS. A *tls.Conn must have finished
// its handshake. onRefuse, if not nil, is told of every refusal, once a
// connection, from the goroutine that reads: the status and one line why. A bad
// head is then answered with that status and the id that onRefuse returned for
// it ("" for none); a bad body is answered by its handler, see [Conn.Violation].
func Wrap(conn net.Conn, limits Limits, onRefuse func(status int, reason string) (id string)) net.Conn {
	if onRefuse == nil {
		onRefuse = func(int, string) string { return "" }
	}
	c := &Conn{Conn: conn, limits: limits, onRefuse: onRefuse, bodySilence: DefaultSilence}
	c.send.conn, c.send.limit, c.send.cut = conn, DefaultSilence, func() { Cut(conn) }
	if t, ok := conn.(*tls.Conn); ok {
		return &tlsConn{Conn: c, tls: t}
	}
	return c
}

// tlsConn exists because net/http takes whatever has ConnectionState for TLS.
type tlsConn struct {
	*Conn
	tls *tls.Conn
}

func (c *tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

func (c *Conn) gate() *Conn { return c }

// From returns the gate in conn, or nil.
func From(conn net.Conn) *Conn {
	if g, ok := conn.(interface{ gate() *Conn }); ok {
		return g.gate()
	}
	return nil
}

type contextKey struct{}

// NewContext keeps the gate in conn, if there is one, for the requests on it:
// it is an http.Server's ConnContext.
func NewContext(ctx context.Context, conn net.Conn) context.Context {
	if g := From(conn); g != nil {
		return context.WithValue(ctx, contextKey{}, g)
	}
	return ctx
}

// FromContext returns the gate beneath a request's context, or nil (HTTP/2).
func FromContext(ctx context.Context) *Conn {
	c, _ := ctx.Value(contextKey{}).(*Conn)
	return c
}

// NetConn returns the connection beneath the gate. Reading from it is
// forbidden; its descriptor and addresses are what it is for.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read delivers what was judged: a head only when all of it has come.
//
// net/http reads a single byte in the background while a handler runs, to
// learn that the client has gone. At the end of a request nothing else reads
// one byte only (its buffer is empty then), and such a Read never delivers:
// what the client sends is kept, unjudged, until the answer is out.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := c.deliver(p); n > 0 {
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		if n, err := c.step(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// step reads once from the client, or changes the state. It may put delivered
// bytes into p, or mark some of early as ready.
func (c *Conn) step(p []byte) (int, error) {
	switch s := c.currentState(); {
	case s == detached:
		return 0, net.ErrClosed
	case s == inLength, s == inChunks, s == inTrailers:
		c.startSilence()
		n, err := c.readBody(s, p)
		return n, c.bodyError(err)
	case len(p) == 1:
		return 0, c.watch(p)
	case s == holding:
		return 0, c.dropHeld()
	}
	return c.readHead(p)
}

func (c *Conn) currentState() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Conn) setState(s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

// deliver moves judged bytes into p.
func (c *Conn) deliver(p []byte) int {
	if c.ready == 0 {
		return 0
	}
	n := copy(p, c.early.bytes()[:c.ready])
	c.ready -= n
	c.take(n)
	return n
}

// take drops n bytes from the front of early.
func (c *Conn) take(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == 0 {
		return
	}
	if c.early.r += n; c.early.len() == 0 {
		c.early.release()
		c.early = nil
	}
}

// keep puts bytes behind early.
func (c *Conn) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.early == nil {
		c.early = newBuffer()
	}
	c.early.append(p)
}

// fill reads once from the client into early, of which there may be limit
// bytes in all. scratch is used while early is empty, so that a connection
// that waits holds no memory.
func (c *Conn) fill(scratch []byte, limit int) error {
	if c.early == nil {
		n, err := c.Conn.Read(scratch)
		c.keep(scratch[:n])
		return errUnlessRead(n, err)
	}
	c.mu.Lock()
	space := c.early.space(limit)
	c.mu.Unlock()
	n, err := c.Conn.Read(space)
	c.mu.Lock()
	c.early.w += n
	c.mu.Unlock()
	return errUnlessRead(n, err)
}

// errUnlessRead leaves an error that came with bytes to the next Read.
func errUnlessRead(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

// Violation returns what this connection was refused for, or nil: a handler
// whose request body failed can tell a client's mistake from its absence.
func (c *Conn) Violation() *Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// CloseWrite half-closes the connection, where it can be.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection. After a refusal, and while the client may still
// be sending a body, it half-closes at once and closes half a second later at the
// latest, see lingerAndClose: net/http does not, for a request that says
// Connection: close itself.
func (c *Conn) Close() error {
	c.mu.Lock()
	linger := (c.linger || c.inBodyLocked()) && !c.closed
	c.closed = true
	c.wakeLocked()
	attached := c.attached
	c.mu.Unlock()
	if attached != nil {
		_ = attached.Close()
	}
	if linger {
		go lingerAndClose(c.Conn)
		return nil
	}
	return c.Conn.Close()
}

// Attach returns what make has made for this connection: it is made at the first
// call, and closed with the connection, or when Detach takes that out.
func (c *Conn) Attach(make func() io.Closer) io.Closer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attached == nil {
		c.attached = make()
		if c.closed {
			_ = c.attached.Close()
		}
	}
	return c.attached
}

// inBodyLocked says whether the end of the request's body is still to come.
func (c *Conn) inBodyLocked() bool {
	return c.state == inLength || c.state == inChunks || c.state == inTrailers
}

// isEOF: a TLS connection that ends without close_notify gives
// io.ErrUnexpectedEOF, which is a loss, not an end.
func isEOF(err error) bool { return err == io.EOF }
