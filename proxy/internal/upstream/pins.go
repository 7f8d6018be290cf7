package upstream

// Backends that authenticate connections and not requests: NTLM, and Negotiate as
// IIS speaks it. After a login the backend takes all that comes on the connection for that
// user's. So such a connection belongs to one client's connection: it carries all that
// this client asks of the backend, its upgrade too, never another client's request, and
// closes with it.

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
)

// Pins are the connections to backends that belong to one connection of a client.
// Safe for concurrent use, though the client's requests come one after the other.
// A nil *Pins pins nothing.
type Pins struct {
	mu     sync.Mutex // guards both
	pins   []*pin     // one for each server and TLS settings
	closed bool
}

// pin is one connection to a backend. While it is not in use, it is either free, or
// idle in the transport, beneath conn.
type pin struct {
	backend   *Backend
	key       string // of the TLS settings
	transport *transport

	mu     sync.Mutex      // guards all below
	free   net.Conn        // nil if there is none
	conn   *h1.BackendConn // of the transport's latest connection
	closed bool
}

// RoundTrip sends the request on the client's own connection if it has one, or if the
// request logs one in, and otherwise on any. If the answer asks for a login, its
// connection becomes the client's.
func (p *Pins) RoundTrip(b *Backend, t TLS, r *http.Request) (*http.Response, error) {
	if p == nil {
		return b.RoundTripper(t).RoundTrip(r)
	}
	if own := p.find(b, t, h1.LogsIn(r.Header)); own != nil {
		return own.transport.RoundTrip(r)
	}
	onLogin := func(conn net.Conn) { p.Give(b, t, conn) }
	return b.RoundTripper(t).RoundTrip(r.WithContext(context.WithValue(r.Context(), loginKey{}, onLogin)))
}

type loginKey struct{}

// pinned returns the backends to which the client has a connection of its own.
func (p *Pins) pinned() []*Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*Backend
	for _, own := range p.pins {
		all = append(all, own.backend)
	}
	return all
}

// Pick is Pool.Pick for the backend that the client's own connection leads to.
// It returns false if there is none, or if that backend cannot be used.
func (p *Pins) Pick(pool *Pool, c Choice) (*Backend, bool) {
	if p == nil {
		return nil, false
	}
	for _, b := range p.pinned() {
		if member := pool.pickServer(c, b); member != nil {
			return member, true
		}
	}
	return nil, false
}

// Take returns the client's own connection to the backend for a use other than
// RoundTrip, or nil if none is fit for that. The caller owns it, and may Give it back.
func (p *Pins) Take(b *Backend, t TLS) net.Conn {
	if p == nil {
		return nil
	}
	own := p.find(b, t, false)
	if own == nil {
		return nil
	}
	return own.take()
}

// Give makes a connection to the backend the client's own. Nothing may be under way on it.
func (p *Pins) Give(b *Backend, t TLS, conn net.Conn) {
	if p == nil {
		conn.Close()
		return
	}
	p.find(b, t, true).give(conn)
}

// Close closes the connections. What is given later is closed at once.
func (p *Pins) Close() error {
	p.mu.Lock()
	all := p.pins
	p.pins, p.closed = nil, true
	p.mu.Unlock()
	for _, own := range all {
		own.close()
	}
	return nil
}

// find returns the pin of a backend's server, made if there is none and the caller
// wants one. Routes and pools that lead to one server share it, or a login by one of
// them would not hold for the others. Under other TLS settings a connection is another
// one.
func (p *Pins) find(b *Backend, t TLS, create bool) *pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.pins, func(own *pin) bool {
		return own.backend == b || own.key == t.Key && own.backend.sameServer(b)
	})
	if at >= 0 {
		if p.pins[at].key == t.Key {
			return p.pins[at]
		}
		p.pins[at].close()
		p.pins = slices.Delete(p.pins, at, at+1)
		create = true // the client logs in again
	}
	if !create {
		return nil
	}
	own := newPin(b, t)
	if p.closed {
		own.close()
	} else {
		p.pins = append(p.pins, own)
	}
	return own
}

func newPin(b *Backend, t TLS) *pin {
	own := &pin{backend: b, key: t.Key}
	own.transport = newTransport(b, func(ctx context.Context) (net.Conn, error) { return own.dial(ctx, t) })
	own.transport.own = true
	own.transport.http.MaxConnsPerHost = 1
	own.transport.http.IdleConnTimeout = 0 // it ends with the client's
	return own
}

// dial is the transport's: it gets the connection that is there.
func (own *pin) dial(ctx context.Context, t TLS) (net.Conn, error) {
	own.mu.Lock()
	conn := own.free
	own.free = nil
	own.mu.Unlock()
	if conn == nil || !isSilent(conn) {
		if conn != nil {
			conn.Close() // the backend has ended it, and the login with it
		}
		var err error
		if conn, err = own.backend.Dial(ctx, t); err != nil {
			return nil, err
		}
	}
	g := h1.NewBackendConn(conn, &own.backend.http)
	own.mu.Lock()
	defer own.mu.Unlock()
	if own.closed {
		conn.Close()
	}
	own.conn = g
	return g, nil
}

// isSilent reports whether a connection that is not in use is open and has nothing to
// read.
func isSilent(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := conn.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && conn.SetReadDeadline(time.Time{}) == nil
}

func (own *pin) take() net.Conn {
	own.mu.Lock()
	conn, g := own.free, own.conn
	own.free, own.conn = nil, nil
	own.mu.Unlock()
	switch {
	case conn == nil && g == nil:
		return nil
	case conn == nil:
		return g.Detach()
	case !isSilent(conn):
		conn.Close()
		return nil
	}
	return conn
}

func (own *pin) give(conn net.Conn) {
	own.mu.Lock()
	defer own.mu.Unlock()
	old, g := own.free, own.conn
	own.free, own.conn = conn, nil
	if own.closed {
		own.free = nil
		conn.Close()
	}
	if old != nil {
		old.Close()
	}
	if g != nil {
		g.Close()
	}
}

func (own *pin) close() {
	own.mu.Lock()
	defer own.mu.Unlock()
	own.closed = true
	if own.free != nil {
		own.free.Close()
		own.free = nil
	}
	if own.conn != nil {
		own.conn.Close()
		own.conn = nil
	}
}

// sameServer reports whether a connection to b is as good as one to other: what they
// differ in is the route or pool that names them, or ws and http.
func (b *Backend) sameServer(other *Backend) bool {
	k, o := b.keyWithHost(), other.keyWithHost()
	return k.network() == o.network() && b.id.address() == other.id.address() &&
		k.Secure() == o.Secure() && k.Host() == o.Host()
}

// pickServer picks the member that is the same server as b, if it may have what is
// asked for. It returns nil if it may not, or there is none.
func (p *Pool) pickServer(c Choice, b *Backend) *Backend {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	members := p.Members()
	for i := range members {
		m := &members[i]
		if (m.Backend == b || m.Backend.sameServer(b)) && !slices.Contains(c.Exclude, m.Backend) && m.usable() && !m.full(c) {
			m.count(c)
			return m.Backend
		}
	}
	return nil
}
