package tunnel

// The portable engine: two goroutines a tunnel, one a way, on any net.Conn. It
// serves the systems and connections that have no event loop, and is the oracle
// that the event loop is tested against.
//
// A way reads, walks the frame headers and writes, in that order and with one
// buffer, so that what the peer does not take is not read. This file is the
// tunnel's life from Open to Done; way.go moves the bytes, put.go puts frames
// in between, ending.go decides how a tunnel ends, timers.go when; redial.go and
// waiting.go are for tunnels that outlive their backend.

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// Portable returns the engine that needs nothing of its connections but
// net.Conn. Three kinds it knows better: a *net.TCPConn or *net.UnixConn costs
// no buffer while idle, and anything with CloseWrite can be half-closed (where
// there is none, an end of file is passed on by closing).
func Portable() Engine { return portable{} }

type portable struct{}

// tunnel is one tunnel of the portable engine.
type tunnel struct {
	limits    Limits
	websocket bool
	start     time.Time
	done      func(Summary)
	redialer  *redialer     // nil: the tunnel ends with its backend
	cut       chan struct{} // closed when phase becomes cut
	ways      [2]way        // by the side they come from; see fromClient

	mu       sync.Mutex // guards all below, and the ways' fields that say so
	phase    phase
	ours     bool          // the proxy, not a peer, ends the tunnel
	patient  bool          // while closing, deadline counts from the last bytes moved
	deadline time.Duration // of phases closing and lingering, since start
	latest   time.Duration // to which a patient one may move; see closeDue
	timer    *time.Timer   // nil until something is due
	running  int           // goroutines
	caused   bool          // by and why are known
	by       Party
	why      Reason
	framed   bool // code and text are those of a Close frame
	code     uint16
	text     string
}

// The ways of a tunnel, as indexes of tunnel.ways.
const (
	fromClient  = 0
	fromBackend = 1
)

// Open implements Engine.
func (portable) Open(s Spec) Tunnel {
	t := &tunnel{
		limits:    withDefaults(s.Limits),
		websocket: s.WebSocket,
		start:     time.Now(),
		done:      s.Done,
		cut:       make(chan struct{}),
		running:   2,
	}
	if s.WebSocket && s.Redial != nil {
		t.redialer = &redialer{dial: s.Redial}
	}
	t.ways[fromClient].init(t, ByClient, s)
	t.ways[fromBackend].init(t, ByBackend, s)
	t.mu.Lock()
	t.armLocked()
	t.mu.Unlock()
	go t.ways[fromClient].pump(s.Client.Early, s.Client.EOF)
	go t.ways[fromBackend].pump(s.Backend.Early, s.Backend.EOF)
	return t
}

// withDefaults fills in the limits that have a default.
func withDefaults(l Limits) Limits {
	if l.Pong <= 0 {
		l.Pong = 10 * time.Second
	}
	if l.CloseTimeout <= 0 {
		l.CloseTimeout = 5 * time.Second
	}
	return l
}

// Close implements Tunnel.
func (t *tunnel) Close(code uint16, reason string, why Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(ending{why: why, code: [2]uint16{code, code}, text: reason})
}

// Cut implements Tunnel.
func (t *tunnel) Cut(why Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.causeLocked(ByProxy, why)
	t.cutLocked()
}

// Counts implements Tunnel.
func (t *tunnel) Counts() Counts {
	return Counts{FromClient: t.ways[fromClient].count(), FromBackend: t.ways[fromBackend].count()}
}

// since is the tunnel's clock.
func (t *tunnel) since() time.Duration { return time.Since(t.start) }

// other is the way that comes from where w goes to.
func (t *tunnel) other(w *way) *way {
	if w.from == ByClient {
		return &t.ways[fromBackend]
	}
	return &t.ways[fromClient]
}

// spawnLocked runs f in a goroutine that the tunnel's end waits for.
func (t *tunnel) spawnLocked(f func()) {
	t.running++
	go func() {
		defer t.exit()
		f()
	}()
}

// exit ends a goroutine of the tunnel; the last one ends the tunnel.
func (t *tunnel) exit() {
	t.mu.Lock()
	t.running--
	if t.running > 0 {
		t.mu.Unlock()
		return
	}
	t.phase = phaseCut
	t.stopTimerLocked()
	s := t.summaryLocked()
	t.mu.Unlock()
	t.closeBoth()
	if t.done != nil {
		t.done(s)
	}
}

func (t *tunnel) closeBoth() {
	t.mu.Lock()
	client, backend := t.ways[fromClient].src, t.ways[fromBackend].src
	t.mu.Unlock()
	closeNow(client)
	closeNow(backend)
}

func (t *tunnel) summaryLocked() Summary {
	s := Summary{Counts: t.Counts(), ClosedBy: t.by, Reason: t.why, Duration: t.since()}
	switch {
	case t.framed:
		s.Code, s.Text = t.code, t.text
	case t.websocket:
		s.Code = wsproto.CloseAbnormal
	}
	return s
}

// closeNow closes a connection without waiting for anything: a TLS connection
// beneath its TLS, whose own Close may wait for the alert to be written.
func closeNow(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close() // nothing is left to be done about it
}

// closeWrite half-closes a connection, or closes it where that is all it can.
func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // the peer is gone already, which the reader finds out
		return
	}
	closeNow(c)
}
