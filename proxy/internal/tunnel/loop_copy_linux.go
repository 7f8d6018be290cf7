package tunnel

// How a loop moves one direction's bytes: it reads into its buffer, walks the frame
// headers there and writes, as the portable engine does. But where that one waits for
// the peer to take bytes, the loop keeps them, does not read the source, and goes on
// when epoll reports room.

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// pump reads and passes on until there is nothing, until dst takes no more, or until
// others must have their turns.
func (l *loop) pump(t *slot, d *loopDirection) {
	for range maxReads {
		if !t.reads(int(d.index)) {
			return
		}
		if d.eof {
			l.ended(t, d, true)
			return
		}
		if !d.readable {
			return
		}
		if most := l.unseen(t, d); most > 0 && l.openPipe() {
			l.spliceOnce(t, d, most)
			continue
		}
		l.readOnce(t, d)
	}
	if d.readable && t.reads(int(d.index)) {
		l.later(t, d)
	}
}

// readOnce reads behind what is held, and passes both on.
func (l *loop) readOnce(t *slot, d *loopDirection) {
	held := len(l.held(d))
	space := l.buf[held:]
	n, errno := l.receive(t, d, space)
	switch {
	case errno == unix.EAGAIN:
		d.readable, d.full = false, false
	case errno != 0:
		l.ended(t, d, false)
	case n == 0:
		l.ended(t, d, true)
	default:
		// A short read has emptied the socket, and more will be a new edge; but
		// an end of file that came with these bytes has had its edge already. (What
		// TLS has read of a socket, it may not have given out yet.)
		d.full = n == len(space)
		d.readable = d.full || d.hup || t.hasTLS
		t.state(d).heard = time.Duration(l.now)
		copy(l.buf, l.held(d))
		l.dropBacklog(t, d)
		l.pass(t, d, l.buf[:held+n])
	}
}

// receive reads from src, as readFD does.
func (l *loop) receive(t *slot, d *loopDirection, p []byte) (int, syscall.Errno) {
	if s := l.side(t, d); s != nil {
		return l.decrypt(t, d, s, p)
	}
	return readFD(d.fd, p)
}

// give writes to dst, as writeFD does.
func (l *loop) give(t *slot, d *loopDirection, p []byte) (int, syscall.Errno) {
	out := t.other(d)
	if s := l.side(t, out); s != nil {
		return l.encrypt(t, d, s, p)
	}
	return writeFD(out.fd, p)
}

// pass passes on bytes of src's.
func (l *loop) pass(t *slot, d *loopDirection, p []byte) {
	if !t.webSocket {
		l.send(t, d, p, 0)
		return
	}
	if t.state(d).pending != 0 {
		l.inject(t, d)
	}
	l.walk(t, d, p)
}

// flush gives dst what it has not taken before. When that is done, what was read
// behind it is walked.
func (l *loop) flush(t *slot, d *loopDirection) {
	if s := l.side(t, t.other(d)); s != nil {
		l.flushTLS(t, d, s)
		return
	}
	one := l.backlogs.at(d.backlog)
	n, errno := writeFD(t.other(d).fd, one.buf[one.off:one.walked])
	one.off += n
	if n > 0 && !one.own {
		t.state(d).data = time.Duration(l.now)
		l.count(t, d, n)
	}
	switch {
	case errno != 0:
		l.writeFailed(t, d)
	case one.off < one.walked:
		return
	default:
		l.countMessages(t, d, one.messages)
	}
	l.unblock(t, d)
}

func (l *loop) flushTLS(t *slot, d *loopDirection, s *tlsSide) {
	n, ok := s.raw.flush()
	t.setOwed(int(t.other(d).index), s.raw.owed)
	if n > 0 {
		t.state(d).moved, t.state(d).data = time.Duration(l.now), time.Duration(l.now)
	}
	switch {
	case !ok:
		l.writeFailed(t, d)
	case len(s.raw.backlog) > 0:
		return
	}
	l.unblock(t, d)
}

// unblock walks the bytes that came behind those for which dst had no room.
func (l *loop) unblock(t *slot, d *loopDirection) {
	t.state(d).setWaiting(false)
	l.handed(t, d)
	i := d.backlog
	if i == 0 {
		return
	}
	d.backlog = 0
	l.pass(t, d, l.backlogs.rest(i))
	l.backlogs.drop(i)
}

// send gives dst bytes of src's, with so many messages ending in them, unless the
// direction discards them. What dst does not take is kept.
func (l *loop) send(t *slot, d *loopDirection, p []byte, messages int64) {
	if len(p) == 0 || t.state(d).write.discards() {
		return
	}
	n, errno := l.give(t, d, p)
	l.count(t, d, n)
	switch {
	case errno != 0:
		l.writeFailed(t, d)
	case n < len(p):
		l.keep(t, d, p[n:], messages, false)
	default:
		l.countMessages(t, d, messages)
		l.handed(t, d)
	}
}

func (l *loop) count(t *slot, d *loopDirection, n int) {
	if n == 0 {
		return
	}
	t.state(d).moved = time.Duration(l.now)
	b := &t.tallies[d.index].bytes
	had := b.Load()
	b.Store(had + int64(n))
	if !d.bounded && had/lookEvery != (had+int64(n))/lookEvery {
		d.bounded = boundReceive(d.fd)
	}
	if m := l.slab.ref(t).meter; m != nil {
		m.of(from(int(d.index))).Add(int64(n))
	}
	if c := l.carried(t); c != nil {
		c.Bytes[d.index&1] += int64(n)
	}
}

func (l *loop) countMessages(t *slot, d *loopDirection, n int64) {
	if n != 0 {
		m := &t.tallies[d.index].messages
		m.Store(m.Load() + n)
	}
}

// messageEnds counts a message whose last byte was read, unless the direction discards it.
func (l *loop) messageEnds(t *slot, d *loopDirection, size int64) {
	if c := l.carried(t); c != nil && !t.state(d).write.discards() {
		c.message(int(d.index), d.walker.Kind(), size)
	}
}

// walk is one walk through bytes that were read. It writes them in as few pieces
// as the frames in them allow: they are cut where something is to be put in
// between, or left out.
type walk struct {
	l          *loop
	t          *slot
	d          *loopDirection
	p          []byte
	begin, end int   // p[begin:end] is still to be sent
	messages   int64 // that end in there
	data       bool  // there are bytes of data frames in there
}

func (l *loop) walk(t *slot, d *loopDirection, p []byte) {
	k := walk{l: l, t: t, d: d, p: p}
	if t.state(d).waiting {
		l.hold(d, p)
		return
	}
	for k.step() {
	}
	l.hold(d, p[k.end:])
}

func (k *walk) flush() {
	if k.data {
		k.t.state(k.d).data = time.Duration(k.l.now)
	}
	k.l.send(k.t, k.d, k.p[k.begin:k.end], k.messages)
	k.begin, k.messages, k.data = k.end, 0, false
}

// step takes one step, and reports whether there may be another.
func (k *walk) step() bool {
	n, ev := k.d.walker.Next(k.p[k.end:])
	switch ev.Step {
	case wsproto.StepMore:
		k.flush()
		return false
	case wsproto.StepPart, wsproto.StepFrame:
		k.data = true
	case wsproto.StepMessage:
		k.messages++
		k.data = true
		k.l.messageEnds(k.t, k.d, ev.Size)
	case wsproto.StepPong, wsproto.StepClose, wsproto.StepTooBig, wsproto.StepViolation:
		return k.special(n, ev)
	}
	k.end += n
	return k.t.state(k.d).pending == 0 || k.boundary()
}

// special takes a step that means something to the proxy itself.
func (k *walk) special(n int, ev wsproto.Event) bool {
	l, t, d := k.l, k.t, k.d
	frame := k.p[k.end : k.end+n]
	switch ev.Step {
	case wsproto.StepPong:
		if l.limits.at(t.limits).pings(from(int(d.index))) > 0 && answersPing(frame, &d.token) {
			t.ponged(int(d.index), time.Duration(l.now))
			if c := l.carried(t); c != nil {
				c.ponged(int(d.index), t.state(d).rtt)
			}
			k.flush()
			k.begin += n
		}
	case wsproto.StepClose:
		l.apply(t, closeEvent(int(d.index), frame))
		k.end, n = k.end+n, 0
		k.flush()
	case wsproto.StepTooBig:
		k.flush()
		d.walker.Unlimit() // to find the peer's reply behind it
		l.refuse(t, d, ReasonTooBig, wsproto.CloseMessageTooBig, "message too big")
	case wsproto.StepViolation:
		k.flush()
		l.violation(t, d, ev, k.p[k.end:])
	}
	k.end += n
	return k.boundary()
}

// boundary puts in what is wanted, if it may be here, and reports whether the
// walk can go on.
func (k *walk) boundary() bool {
	if k.t.state(k.d).pending != 0 {
		k.flush()
		k.l.inject(k.t, k.d)
	}
	if k.t.state(k.d).waiting {
		k.flush() // nothing: it was a flush that has blocked
		return false
	}
	return true
}

// refuse reports a frame that may not pass.
func (l *loop) refuse(t *slot, d *loopDirection, why Reason, code uint16, text string) {
	l.apply(t, event{kind: evRefuse, dir: int(d.index), ending: proxyEnds(why, code, text)})
}

// violation ends the tunnel, if it is strict, or else the direction's frame-awareness.
// A Close frame that is wrong in its payload only is still the peer's Close; it
// passes with the rest.
func (l *loop) violation(t *slot, d *loopDirection, ev wsproto.Event, rest []byte) {
	l.report(t, d, evOpaque)
	switch {
	case l.limits.at(t.limits).strict():
		l.refuse(t, d, ReasonProtocol, wsproto.CloseProtocolError, ev.Fault.String())
	case ev.Op == wsproto.OpClose:
		l.apply(t, closeEvent(int(d.index), rest[:wsproto.ControlLen(rest)]))
	}
}
