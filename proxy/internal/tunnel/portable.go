package tunnel

// The portable engine: two goroutines a tunnel, one a direction, on any net.Conn. It
// serves the systems and connections that have no event loop, and is the oracle that
// the event loop is tested against.
//
// A direction's goroutine reads, walks the frame headers and writes, in that order and
// with one buffer, so that what the peer does not take is not read. This file is the
// tunnel's life from Open to Done, and carries out what its session (session.go)
// decides; portable_copy.go moves the bytes, portable_inject.go puts frames in between;
// redial.go and redial_waiting.go are for tunnels that outlive their backend.
//
// That a connection was reset it learns by reading from it or writing to it, as a net.Conn
// tells nothing unasked. While one direction is not read, because the other side takes
// nothing, that is the next write to it: with keepalive the next ping, without a limit
// that ends the tunnel. An event loop is told at once (EPOLLERR).

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Portable returns the engine that needs nothing of its connections but
// net.Conn. Three kinds it knows better: a *net.TCPConn or *net.UnixConn costs
// no buffer while idle, and anything with CloseWrite can be half-closed (where
// there is none, an end of file is passed on by closing).
func Portable() Engine { return portable{} }

type portable struct{}

// tunnel is one tunnel of the portable engine.
type tunnel struct {
	limits   Limits
	start    time.Time
	done     func(Summary)
	tally    *Tally        // nil: none
	redialer *redialer     // nil: the tunnel ends with its backend
	cut      chan struct{} // closed when the session is cut
	dirs     [2]portableDirection

	mu      sync.Mutex // guards all below, and the directions' fields that say so
	session session
	note    *endNote
	timer   *time.Timer // nil until something is due
	running int         // goroutines
}

// Open implements Engine.
func (portable) Open(s Spec) Tunnel {
	t := newTunnel(&s)
	t.apply(event{kind: evTick})
	go t.dirs[fromClient].run(s.Client.Early, s.Client.EOF)
	go t.dirs[fromBackend].run(s.Backend.Early, s.Backend.EOF)
	return t
}

func newTunnel(s *Spec) *tunnel {
	t := &tunnel{
		limits:  withDefaults(s.Limits),
		start:   time.Now(),
		done:    s.Done,
		tally:   s.Tally,
		cut:     make(chan struct{}),
		session: newSession(s, 0),
		running: 2,
	}
	if s.WebSocket && s.Redial != nil {
		t.redialer, t.session.redials = &redialer{dial: s.Redial}, true
	}
	for i := range t.dirs {
		t.dirs[i].init(t, i, s)
	}
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
	t.apply(event{kind: evEnd, ending: proxyEnds(why, code, reason)})
}

// Cut implements Tunnel.
func (t *tunnel) Cut(why Reason) { t.apply(event{kind: evCut, ending: ending{why: why}}) }

// Counts implements Tunnel.
func (t *tunnel) Counts() Counts {
	return Counts{FromClient: t.dirs[fromClient].count(), FromBackend: t.dirs[fromBackend].count()}
}

// since is the tunnel's clock.
func (t *tunnel) since() time.Duration { return time.Since(t.start) }

// apply reports an event to the session and carries out what comes of it.
func (t *tunnel) apply(ev event) injection {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applyLocked(ev)
}

func (t *tunnel) applyLocked(ev event) injection {
	for i := range t.dirs {
		t.dirs[i].stampLocked()
	}
	r := t.session.apply(ev, env{now: t.since(), limits: &t.limits, note: &t.note})
	switch {
	case r.do&actCut != 0:
		t.stopTimerLocked()
		close(t.cut)
		t.spawnLocked(t.closeBoth)
	case ev.kind == evTick:
		t.setTimerLocked(r.at)
	case r.at != never:
		t.applyLocked(event{kind: evTick})
	}
	for i := range t.dirs {
		t.dirs[i].carryOutLocked(ev, r.do>>i)
	}
	if t.redialer != nil {
		t.carryOutRedialLocked(r.do)
	}
	return r.inject
}

// carryOutLocked has what is newly pending put in, by a goroutine of its own unless the
// event's reporter does that: a write may block, and the reporter may not.
func (d *portableDirection) carryOutLocked(ev event, do actions) {
	bits := uint32(d.state().pending)
	added := bits &^ d.pending.Swap(bits)
	switch {
	case do&actFinish != 0:
		d.t.spawnLocked(d.finishNow)
	case added != 0 && !(ev.kind.byWriter() && ev.dir == d.index):
		d.t.spawnLocked(d.injectSoon)
	}
	if do&actGiveUp != 0 {
		src := d.src
		d.t.spawnLocked(func() { endReads(src) })
	}
}

func (t *tunnel) setTimerLocked(at time.Duration) {
	switch {
	case at == never || t.session.phase == phaseCut:
		t.stopTimerLocked()
	case t.timer == nil:
		t.timer = time.AfterFunc(at-t.since(), t.fire)
	default:
		t.timer.Reset(at - t.since())
	}
}

func (t *tunnel) stopTimerLocked() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// fire is the timer's function.
func (t *tunnel) fire() { t.apply(event{kind: evTick}) }

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
	t.session.phase = phaseCut
	t.stopTimerLocked()
	s := t.session.summary(t.note, t.Counts(), t.since())
	t.mu.Unlock()
	t.closeBoth()
	if t.done != nil {
		t.done(s)
	}
}

func (t *tunnel) closeBoth() {
	t.mu.Lock()
	client, backend := t.dirs[fromClient].src, t.dirs[fromBackend].src
	t.mu.Unlock()
	closeNow(client)
	closeNow(backend)
}

// endReads has a connection's reader, if it waits, wait no longer.
func endReads(c net.Conn) {
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil && !errors.Is(err, net.ErrClosed) {
		closeNow(c)
	}
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
