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
)

// receive serves a connection's first request, or hands it to net/http. The
// connection is behind the gate.
func (k *socket) receive(conn net.Conn) {
	gate := h1.From(conn)
	if !k.newcomers.enter(gate) {
		k.dismiss(conn)
		return
	}
	defer k.newcomers.leave(gate)
	k.attend(conn, gate)
}

// attend is receive for a newcomer that has entered.
func (k *socket) attend(conn net.Conn, gate *h1.Conn) {
	first, err := gate.FirstRequest()
	k.newcomers.spoke(gate)
	switch {
	case err != nil:
		k.dismiss(conn)
	case first.Head == "" || !k.take(conn, first):
		k.admit(conn)
	}
}

// take serves the handshake whose head the gate has read; false says that the
// connection is as it was and everything about the request is for net/http to find out.
func (k *socket) take(conn net.Conn, first h1.FirstRequest) bool {
	r, err := h1.NewRequest(first.Head)
	if err != nil {
		return false
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		r.TLS = &state
	}
	ctx, cancel := context.WithCancel(k.life)
	defer cancel()
	a := k.firstAttempt(r.WithContext(ctx), connAddr(conn))
	if a == nil {
		return false
	}
	first.Consume()
	a.gate = first.Conn
	a.serveFirst(conn, first, cancel, a.settle)
	return true
}

// firstAttempt is the attempt that a connection's first request is; nil if it is
// none, or its route is not to be found.
func (k *socket) firstAttempt(r *http.Request, peer netip.AddrPort) *attempt {
	x := k.begin(r, nil, peer)
	if rf := x.route(k.owner.current()); rf != nil || x.rt.to == nil {
		return nil
	}
	protocol := x.rt.upgrade.Protocol(x.r)
	if protocol == "" {
		return nil
	}
	return &attempt{exchange: x, protocol: protocol}
}

// serveFirst settles the attempt, and opens the tunnel or leaves what was settled
// for net/http's handler.
func (a *attempt) serveFirst(conn net.Conn, first h1.FirstRequest, cancel func(), settle func() settled) {
	concluded := false
	defer func() {
		if !concluded { // a bug of ours: net/http recovers from those of its handlers
			a.server.logBug(a.id, recover())
			a.withdraw()
			a.socket.dismiss(conn)
		}
	}()
	v := keepVigil(a.gate, cancel)
	s := settle()
	v.end()
	switch {
	case a.r.Context().Err() != nil:
		s.drop()
		a.endGone()
		a.socket.dismiss(conn)
	case s.opens():
		a.switchProtocols(s.conn, s.answer)
		if !a.tunnel {
			a.withdraw()
			a.logRequest(nil)
		}
	default:
		first.Return(&left{attempt: a, settled: s})
		a.socket.admit(conn)
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

// dropLeft gives back what a left attempt holds whose handler never ran: the
// client was gone before its head was read again.
func dropLeft(conn net.Conn) {
	if l := leftFor(h1.From(conn)); l != nil {
		l.drop()
		l.endGone()
	}
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
	_ = v.gate.SetReadDeadline(longAgo)
	v.reading.Wait()
	_ = v.gate.SetReadDeadline(time.Time{})
}

// newcomers are a socket's connections whose first request is not with net/http
// or a tunnel yet. Safe for concurrent use.
type newcomers struct {
	gone      chan struct{} // closed when the socket is closed and there is none left
	closeOnce sync.Once

	mu     sync.Mutex
	closed bool                  // guarded by mu
	by     time.Time             // guarded by mu; the silent ones' deadline once closed
	silent map[newcomer]struct{} // guarded by mu; whose request has not come
	busy   map[newcomer]struct{} // guarded by mu; the others
}

// newcomer is what a newcomer's goroutine or event loop can be told: by when it
// must have heard a request. longAgo is the end of it even later.
type newcomer interface{ SetReadDeadline(time.Time) error }

// enter is false, and does nothing, once the socket is closed.
func (n *newcomers) enter(c newcomer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	if n.silent == nil {
		n.silent, n.busy = make(map[newcomer]struct{}), make(map[newcomer]struct{})
	}
	n.silent[c] = struct{}{}
	return true
}

// spoke says that the request has come.
func (n *newcomers) spoke(c newcomer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.silent, c)
	n.busy[c] = struct{}{}
}

// replace lets a newcomer go on as another, whose request has not come. What the
// old one was told too late to be heard is the new one's to hear.
func (n *newcomers) replace(old, new newcomer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.silent, old)
	delete(n.busy, old)
	n.silent[new] = struct{}{}
	if n.closed {
		_ = new.SetReadDeadline(n.by)
	}
}

func (n *newcomers) leave(c newcomer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.silent, c)
	delete(n.busy, c)
	n.checkGoneLocked()
}

// lastWords is how long a connection may take to bring its first request once its
// socket is closed: what was on its way is served.
const lastWords = time.Second

// longAgo is the deadline that ends whatever has one.
var longAgo = time.Unix(1, 0)

func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.by = true, time.Now().Add(lastWords)
	for c := range n.silent {
		_ = c.SetReadDeadline(n.by)
	}
	n.checkGoneLocked()
}

// cut ends those that are left.
func (n *newcomers) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.by = longAgo
	for _, all := range []map[newcomer]struct{}{n.silent, n.busy} {
		for c := range all {
			_ = c.SetReadDeadline(longAgo)
		}
	}
}

func (n *newcomers) checkGoneLocked() {
	if n.closed && len(n.silent)+len(n.busy) == 0 {
		n.closeOnce.Do(func() { close(n.gone) })
	}
}

// seeNewcomersOff waits for the newcomers of a closed socket, and cuts them when
// ctx ends.
func (k *socket) seeNewcomersOff(ctx context.Context) {
	defer k.end()
	select {
	case <-k.newcomers.gone:
	case <-ctx.Done():
		k.end()
		k.newcomers.cut()
	}
}
