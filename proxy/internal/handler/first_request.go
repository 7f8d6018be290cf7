package handler

// A connection's first request, served before net/http reads it. Most connections bring
// one handshake and become a tunnel; what net/http would set up for them would only be
// garbage. The handshake is negotiated by the code that net/http's handler uses too. If a
// tunnel comes of it, net/http never has the connection. Otherwise it gets the request
// byte for byte, and its handler finds the result in the gate (resume).

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
	a := h.firstHandshake(s, r.WithContext(ctx), names, connAddr(conn))
	if a == nil {
		return false
	}
	first.Consume()
	a.gate = first.Conn
	a.serveFirst(s, conn, first, cancel, a.negotiate)
	return true
}

// firstHandshake is the handshake that a connection's first request asks for; nil if it
// asks for none, or no route matches.
func (h *Handler) firstHandshake(s *listen.Socket, r *http.Request, names spelling.Names, peer netip.AddrPort) *handshake {
	x := h.newRequest(s, r, nil, peer)
	x.names = names
	if rf := x.route(h.Current()); rf != nil || x.rt.Target == nil {
		return nil
	}
	protocol := x.rt.Upgrade.Protocol(x.r)
	if protocol == "" {
		return nil
	}
	x.asksTunnel = true
	return &handshake{requestCtx: x, protocol: protocol}
}

// serveFirst negotiates, and opens the tunnel or defers the result to net/http's handler.
func (a *handshake) serveFirst(socket *listen.Socket, conn net.Conn, first h1.FirstRequest, cancel func(), negotiate func() result) {
	finished := false
	defer func() {
		if !finished { // a panic is a bug of ours, and there is no net/http here to recover
			a.h.logBug(a.id, recover())
			a.release()
			socket.Dismiss(conn)
		}
	}()
	watcher := watchDisconnect(a.gate, cancel)
	s := negotiate()
	watcher.stop()
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
	finished = true
}

// endClientGone ends a handshake whose client has gone.
func (a *handshake) endClientGone() {
	a.release()
	a.w.status, a.err = forward.StatusClientGone, forward.ErrClientGone
	a.logRequest(nil)
}

// deferredResult is the result of a handshake until net/http's handler delivers it.
type deferredResult struct {
	*handshake
	result
}

// takeDeferred returns the result that was deferred to the handler of a request, nil if
// there is none.
func takeDeferred(gate *h1.Conn) *deferredResult {
	if gate == nil {
		return nil
	}
	l, _ := gate.TakeHandoff().(*deferredResult)
	return l
}

// resume delivers the result. net/http has read the same request again.
func (l *deferredResult) resume(w http.ResponseWriter, r *http.Request) {
	l.w.ResponseWriter, l.r = w, r
	if l.rt != nil { // nil: the routes have changed, and none matches any more
		l.limitSilence()
	}
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

// disconnectWatcher notices that a client closes its connection while its backend is
// asked. Most backends answer before it starts to watch.
type disconnectWatcher struct {
	gate    *h1.Conn
	timer   *time.Timer
	reading sync.WaitGroup
}

// watchDelay is how long it waits before it starts.
const watchDelay = 50 * time.Millisecond

func watchDisconnect(gate *h1.Conn, gone func()) *disconnectWatcher {
	d := &disconnectWatcher{gate: gate}
	d.reading.Add(1)
	d.timer = time.AfterFunc(watchDelay, func() {
		defer d.reading.Done()
		// The gate holds what the client sends meanwhile for the tunnel.
		if _, err := gate.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	})
	return d
}

// stop ends it. It does not read any more when stop returns.
func (d *disconnectWatcher) stop() {
	if d.timer.Stop() {
		return
	}
	_ = d.gate.SetReadDeadline(listen.ALongTimeAgo)
	d.reading.Wait()
	_ = d.gate.SetReadDeadline(time.Time{})
}
