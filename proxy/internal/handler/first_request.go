package handler

// The fast path: a connection's first request, looked at before net/http is. Most
// connections bring one handshake and become a tunnel; of those net/http would
// only make garbage. What the handshake asks for is settled here, by the code
// that settles it for net/http's handler too. If a tunnel comes of it, net/http never
// knows. Anything else is given back to net/http byte for byte: what was
// settled waits there for its handler, which answers (resume).

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// ServeFirst implements listen.Handler.
func (h *Handler) ServeFirst(s *listen.Socket, conn net.Conn, first h1.FirstRequest) bool {
	r, names, err := h1.NewRequest(first.Head)
	if err != nil {
		return false
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		r.TLS = &state
	}
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	a := h.firstAttempt(s, r.WithContext(ctx), names, connAddr(conn))
	if a == nil {
		return false
	}
	first.Consume()
	a.gate = first.Conn
	a.serveFirst(s, conn, first, cancel, a.negotiate)
	return true
}

// firstAttempt is the attempt that a connection's first request is; nil if it is
// none, or its route is not to be found.
func (h *Handler) firstAttempt(s *listen.Socket, r *http.Request, names spelling.Names, peer netip.AddrPort) *handshake {
	x := h.newRequest(s, r, nil, peer)
	x.names = names
	if rf := x.route(h.Current()); rf != nil || x.rt.Target == nil {
		return nil
	}
	protocol := x.rt.Upgrade.Protocol(x.r)
	if protocol == "" {
		return nil
	}
	return &handshake{requestCtx: x, protocol: protocol}
}

// serveFirst settles the attempt, and opens the tunnel or leaves what was settled
// for net/http's handler.
func (a *handshake) serveFirst(socket *listen.Socket, conn net.Conn, first h1.FirstRequest, cancel func(), settle func() result) {
	concluded := false
	defer func() {
		if !concluded { // a bug of ours: net/http recovers from those of its handlers
			a.h.logBug(a.id, recover())
			a.release()
			socket.Dismiss(conn)
		}
	}()
	v := watchDisconnect(a.gate, cancel)
	s := settle()
	v.stop()
	switch {
	case a.r.Context().Err() != nil:
		s.close()
		a.endClientGone()
		socket.Dismiss(conn)
	case s.opens():
		a.switchProtocols(s.conn, s.answer)
		if !a.tunnelled {
			a.release()
			a.logRequest(nil)
		}
	default:
		first.Return(&deferredResult{handshake: a, result: s})
		socket.ToHTTP(conn)
	}
	concluded = true
}

// endClientGone ends an attempt whose client has gone.
func (a *handshake) endClientGone() {
	a.release()
	a.w.status, a.err = forward.StatusClientGone, forward.ErrClientGone
	a.logRequest(nil)
}

// deferredResult is a settled attempt that waits for net/http's handler to answer it.
type deferredResult struct {
	*handshake
	result
}

// takeDeferred returns what was left for the handler of a request, nil if nothing.
func takeDeferred(gate *h1.Conn) *deferredResult {
	if gate == nil {
		return nil
	}
	l, _ := gate.TakeHandoff().(*deferredResult)
	return l
}

// resume answers. The request is the same one, read by net/http.
func (l *deferredResult) resume(w http.ResponseWriter, r *http.Request) {
	l.w.ResponseWriter, l.r = w, r
	defer l.finish()
	defer l.release()
	l.deliver(l.result)
}

// Drop implements listen.Deferred.
func (l *deferredResult) Drop() {
	l.close()
	l.endClientGone()
}

// close closes the backend's connection, if there is one.
func (s result) close() {
	if s.conn != nil {
		s.conn.Close()
	}
}

// disconnectWatcher watches for a client that leaves while its backend is being asked. Most
// backends answer before it begins.
type disconnectWatcher struct {
	gate    *h1.Conn
	timer   *time.Timer
	reading sync.WaitGroup
}

// watchDelay is how long a backend is waited for before anybody looks whether the
// client is still there.
const watchDelay = 50 * time.Millisecond

func watchDisconnect(gate *h1.Conn, gone func()) *disconnectWatcher {
	v := &disconnectWatcher{gate: gate}
	v.reading.Add(1)
	v.timer = time.AfterFunc(watchDelay, func() {
		defer v.reading.Done()
		// What the client sends meanwhile is held for the tunnel.
		if _, err := gate.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	})
	return v
}

// stop ends it: from now on nobody reads.
func (v *disconnectWatcher) stop() {
	if v.timer.Stop() {
		return
	}
	_ = v.gate.SetReadDeadline(listen.ALongTimeAgo)
	v.reading.Wait()
	_ = v.gate.SetReadDeadline(time.Time{})
}
