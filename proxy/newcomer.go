package proxy

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
)

// ServeFirst implements listen.Handler.
func (h *handler) ServeFirst(s *listen.Socket, conn net.Conn, first h1.FirstRequest) bool {
	r, err := h1.NewRequest(first.Head)
	if err != nil {
		return false
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		r.TLS = &state
	}
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	a := h.firstAttempt(s, r.WithContext(ctx), connAddr(conn))
	if a == nil {
		return false
	}
	first.Consume()
	a.gate = first.Conn
	a.serveFirst(s, conn, first, cancel, a.settle)
	return true
}

// firstAttempt is the attempt that a connection's first request is; nil if it is
// none, or its route is not to be found.
func (h *handler) firstAttempt(s *listen.Socket, r *http.Request, peer netip.AddrPort) *attempt {
	x := h.begin(s, r, nil, peer)
	if rf := x.route(h.Current()); rf != nil || x.rt.Target == nil {
		return nil
	}
	protocol := x.rt.Upgrade.Protocol(x.r)
	if protocol == "" {
		return nil
	}
	return &attempt{exchange: x, protocol: protocol}
}

// serveFirst settles the attempt, and opens the tunnel or leaves what was settled
// for net/http's handler.
func (a *attempt) serveFirst(socket *listen.Socket, conn net.Conn, first h1.FirstRequest, cancel func(), settle func() settled) {
	concluded := false
	defer func() {
		if !concluded { // a bug of ours: net/http recovers from those of its handlers
			a.h.logBug(a.id, recover())
			a.withdraw()
			socket.Dismiss(conn)
		}
	}()
	v := keepVigil(a.gate, cancel)
	s := settle()
	v.end()
	switch {
	case a.r.Context().Err() != nil:
		s.drop()
		a.endGone()
		socket.Dismiss(conn)
	case s.opens():
		a.switchProtocols(s.conn, s.answer)
		if !a.tunnel {
			a.withdraw()
			a.logRequest(nil)
		}
	default:
		first.Return(&left{attempt: a, settled: s})
		socket.ToHTTP(conn)
	}
	concluded = true
}

// endGone ends an attempt whose client has gone.
func (a *attempt) endGone() {
	a.withdraw()
	a.w.status, a.cause = forward.StatusClientGone, forward.ErrClientGone
	a.logRequest(nil)
}

// left is a settled attempt that waits for net/http's handler to answer it.
type left struct {
	*attempt
	settled
}

// leftFor returns what was left for the handler of a request, nil if nothing.
func leftFor(gate *h1.Conn) *left {
	if gate == nil {
		return nil
	}
	l, _ := gate.TakeHandoff().(*left)
	return l
}

// resume answers. The request is the same one, read by net/http.
func (l *left) resume(w http.ResponseWriter, r *http.Request) {
	l.w.ResponseWriter, l.r = w, r
	defer l.finish()
	defer l.withdraw()
	l.conclude(l.settled)
}

// Drop implements listen.Deferred.
func (l *left) Drop() {
	l.drop()
	l.endGone()
}

// drop closes the backend's connection, if there is one.
func (s settled) drop() {
	if s.conn != nil {
		s.conn.Close()
	}
}

// vigil watches for a client that leaves while its backend is being asked. Most
// backends answer before it begins.
type vigil struct {
	gate    *h1.Conn
	timer   *time.Timer
	reading sync.WaitGroup
}

// vigilAfter is how long a backend is waited for before anybody looks whether the
// client is still there.
const vigilAfter = 50 * time.Millisecond

func keepVigil(gate *h1.Conn, gone func()) *vigil {
	v := &vigil{gate: gate}
	v.reading.Add(1)
	v.timer = time.AfterFunc(vigilAfter, func() {
		defer v.reading.Done()
		// What the client sends meanwhile is held for the tunnel.
		if _, err := gate.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	})
	return v
}

// end ends it: from now on nobody reads.
func (v *vigil) end() {
	if v.timer.Stop() {
		return
	}
	_ = v.gate.SetReadDeadline(listen.ALongTimeAgo)
	v.reading.Wait()
	_ = v.gate.SetReadDeadline(time.Time{})
}
