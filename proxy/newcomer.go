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
	"os"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1gate"
)

// receive serves a connection's first request, or hands it to net/http. The
// connection is behind the gate.
func (k *socket) receive(conn net.Conn) {
	gate := h1gate.From(conn)
	defer k.newcomers.leave(gate)
	if !k.newcomers.enter(gate) {
		k.dismiss(conn)
		return
	}
	head, err := gate.First()
	k.newcomers.spoke(gate)
	switch {
	case err != nil:
		k.dismiss(conn)
	case head == "" || !k.take(conn, gate, head):
		k.admit(conn)
	}
}

// take serves the handshake whose head the gate has read; false says that the
// connection is as it was and everything about the request is for net/http to find out.
func (k *socket) take(conn net.Conn, gate *h1gate.Conn, head string) bool {
	r, err := h1gate.NewRequest(head)
	if err != nil {
		return false
	}
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		r.TLS = &state
	}
	ctx, cancel := context.WithCancel(k.life)
	defer cancel()
	x := k.begin(r.WithContext(ctx), gate, connAddr(conn))
	if rf := x.route(k.owner.current()); rf != nil || x.rt.to == nil {
		return false
	}
	protocol := x.rt.upgrade.Protocol(x.r)
	if protocol == "" {
		return false
	}
	gate.Take(head)
	a := &attempt{exchange: x, protocol: protocol}
	a.serveFirst(conn, head, cancel)
	return true
}

// serveFirst opens the tunnel, or leaves what was settled for net/http's handler.
func (a *attempt) serveFirst(conn net.Conn, head string, cancel func()) {
	concluded := false
	defer func() {
		if !concluded { // a bug of ours: net/http recovers from those of its handlers
			a.logBug(recover())
			a.withdraw()
			a.socket.dismiss(conn)
		}
	}()
	v := keepVigil(a.gate, cancel)
	s := a.settle()
	v.end()
	switch {
	case a.r.Context().Err() != nil:
		s.drop()
		a.w.status, a.cause = forward.StatusClientGone, forward.ErrClientGone
		a.endFirst(conn)
	case s.opens():
		a.switchProtocols(s.conn, s.answer)
		if !a.tunnel {
			a.endFirst(nil)
		}
	default:
		a.gate.GiveBack(head)
		a.gate.Leave(&left{attempt: a, settled: s})
		a.socket.admit(conn)
	}
	concluded = true
}

// endFirst ends an attempt of which neither a tunnel nor an answer came. conn is
// nil if it is closed.
func (a *attempt) endFirst(conn net.Conn) {
	a.withdraw()
	a.logRequest(nil)
	if conn != nil {
		a.socket.dismiss(conn)
	}
}

// left is a settled attempt that waits for net/http's handler to answer it.
type left struct {
	*attempt
	settled
}

// leftFor returns what was left for the handler of a request, nil if nothing.
func leftFor(gate *h1gate.Conn) *left {
	if gate == nil {
		return nil
	}
	l, _ := gate.Left().(*left)
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
	if l := leftFor(h1gate.From(conn)); l != nil {
		l.drop()
		l.withdraw()
		l.w.status, l.cause = forward.StatusClientGone, forward.ErrClientGone
		l.logRequest(nil)
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
	gate    *h1gate.Conn
	timer   *time.Timer
	reading sync.WaitGroup
}

// vigilAfter is how long a backend is waited for before anybody looks whether the
// client is still there.
const vigilAfter = 50 * time.Millisecond

func keepVigil(gate *h1gate.Conn, gone func()) *vigil {
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
	_ = v.gate.SetReadDeadline(time.Unix(1, 0))
	v.reading.Wait()
	_ = v.gate.SetReadDeadline(time.Time{})
}

// newcomers are a socket's connections whose first request is not with net/http
// or a tunnel yet. Safe for concurrent use.
type newcomers struct {
	gone chan struct{} // closed when the socket is closed and there is none left

	mu     sync.Mutex
	closed bool                      // guarded by mu
	open   int                       // guarded by mu
	silent map[*h1gate.Conn]struct{} // guarded by mu; whose request has not come
}

// enter is false once the socket is closed. leave follows in either case.
func (n *newcomers) enter(gate *h1gate.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	if n.silent == nil {
		n.silent = make(map[*h1gate.Conn]struct{})
	}
	n.silent[gate] = struct{}{}
	return !n.closed
}

// spoke says that the request has come.
func (n *newcomers) spoke(gate *h1gate.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.silent, gate)
}

func (n *newcomers) leave(gate *h1gate.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.silent, gate)
	n.open--
	n.checkGoneLocked()
}

// lastWords is how long a connection may take to bring its first request once its
// socket is closed: what was on its way is served.
const lastWords = time.Second

func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for gate := range n.silent {
		_ = gate.SetReadDeadline(time.Now().Add(lastWords))
	}
	n.checkGoneLocked()
}

func (n *newcomers) checkGoneLocked() {
	select {
	case <-n.gone: // it happens once; who enters a closed socket leaves at once
	default:
		if n.closed && n.open == 0 {
			close(n.gone)
		}
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
	}
}
