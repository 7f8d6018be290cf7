package listen

// net/http's server on a Socket: it is given connections one by one.

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
)

func newHTTPServer(s *Socket) *http.Server {
	return &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.options.Handler.ServeHTTP(s, w, r) }),
		IdleTimeout: 2 * time.Minute,
		// The gate limits HTTP/1.1 by the listener's own setting; this is for HTTP/2.
		MaxHeaderBytes: 1 << 20,
		// OPTIONS * is about a server, and there is no telling which.
		DisableGeneralOptionsHandler: true,
		ConnContext:                  connContext,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: h1.DefaultSilence, MaxReadFrameSize: 16 << 10},
		ConnState:                    s.connState,
		ErrorLog:                     DebugLog(s.options.Log),
	}
}

// toHTTP gives a connection to net/http's server. It is pending until net/http has read
// a request, if it is behind a gate.
func (s *Socket) toHTTP(conn net.Conn) {
	select {
	case s.ready <- conn:
	case <-s.Pending.none: // of HTTP/2
		s.Dismiss(conn)
	}
}

// connState ends the pending of a connection of which net/http has read a request, and
// releases the slot of one that net/http closes. A hijacked one belongs to its tunnel, which
// releases the slot at its own end.
func (s *Socket) connState(conn net.Conn, state http.ConnState) {
	if state != http.StateActive && state != http.StateClosed {
		return
	}
	gate := h1.From(conn)
	if gate != nil {
		s.Pending.Remove(gate)
	}
	if state == http.StateActive {
		return
	}
	if gate != nil {
		// The client has left before its head was read a second time.
		if d, ok := gate.TakeHandoff().(Deferred); ok {
			d.Drop()
		}
	}
	s.limiter.release()
}

// httpListener is the net.Listener that the HTTP server sees.
type httpListener struct{ *Socket }

func (l httpListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.Pending.none: // until then, one of them may still go to net/http
		return nil, net.ErrClosed
	}
}

func (l httpListener) Close() error {
	l.Socket.Close()
	return nil
}

// HTTP2Conn is a client's HTTP/2 connection.
type HTTP2Conn struct {
	net.Conn
	resets atomic.Int64 // requests that the client has reset, less those that were answered
}

// maxResets is how many more requests than are answered a client may reset on one
// connection: resetting costs it nothing, and the proxy and its backends something
// (CVE-2023-44487).
const maxResets = 100

type connKey struct{}

// connContext keeps the connection, or the gate in it, for the requests on it.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if h1.From(conn) != nil {
		return h1.NewContext(ctx, conn)
	}
	return context.WithValue(ctx, connKey{}, &HTTP2Conn{Conn: conn})
}

// HTTP2ConnOf returns the connection of an HTTP/2 request; nil for any other.
func HTTP2ConnOf(ctx context.Context) *HTTP2Conn {
	conn, _ := ctx.Value(connKey{}).(*HTTP2Conn)
	return conn
}

// CountAnswered counts a request that was not reset.
func (c *HTTP2Conn) CountAnswered() {
	if c.resets.Add(-1) < 0 {
		c.resets.CompareAndSwap(-1, 0) // requests answered long ago allow no resets now
	}
}

// CountReset counts a request that the client has reset. It returns true once: when
// the connection is over the limit and is to be cut.
func (c *HTTP2Conn) CountReset() bool { return c.resets.Add(1) == maxResets+1 }

// DebugLog returns an http.Server's ErrorLog that logs at the level debug.
func DebugLog(to *slog.Logger) *log.Logger { return log.New(debugWriter{to}, "", 0) }

// debugWriter logs net/http's own messages, which are mostly about clients.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug("http server", "message", strings.TrimSpace(string(line)))
	return len(line), nil
}
