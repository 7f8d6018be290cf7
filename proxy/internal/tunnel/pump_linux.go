package tunnel

// Moving bytes: a lane reads into its loop's buffer, walks the frame headers there
// and writes, as a way of the portable engine does; but where that one waits for
// its peer to take bytes, a lane keeps them, reads no more, and goes on when epoll
// tells of room.

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// pump gives a lane its turn: it reads, and passes on, until there is nothing,
// until dst takes no more, or until others must have their turns.
func (l *loop) pump(t *slot, w *lane) {
	for range maxReads {
		if w.blocked || w.ended || t.phase == phaseCut || l.owes(t, w) {
			return
		}
		if w.eof {
			l.sourceEnded(t, w, true)
			return
		}
		if !w.readable {
			return
		}
		if most := l.unseen(t, w); most > 0 && l.openPipe() {
			l.spliceOnce(t, w, most)
			continue
		}
		l.readOnce(t, w)
	}
	if w.readable && !w.blocked && !w.ended {
		l.later(t, w)
	}
}

// readOnce reads behind what is held, and passes both on.
func (l *loop) readOnce(t *slot, w *lane) {
	held := len(l.held(w))
	space := l.buf[held:]
	n, errno := l.receive(t, w, space)
	switch {
	case errno == unix.EAGAIN:
		w.readable, w.full = false, false
	case errno != 0:
		l.sourceEnded(t, w, false)
	case n == 0:
		l.sourceEnded(t, w, true)
	default:
		// A short read has emptied the socket, and more will be a new edge; but
		// an end of file that came with these bytes has had its edge already. (What
		// TLS has read of a socket, it may not have given out yet.)
		w.full = n == len(space)
		w.readable = w.full || w.hup || t.sealed
		w.heard = l.now
		copy(l.buf, l.held(w))
		l.unkeep(w)
		l.pass(t, w, l.buf[:held+n])
	}
}

// receive reads from w's source, as readFD does.
func (l *loop) receive(t *slot, w *lane, p []byte) (int, syscall.Errno) {
	if s := l.side(t, w); s != nil {
		return l.unseal(t, w, s, p)
	}
	return readFD(w.fd, p)
}

// give writes to w's destination, as writeFD does.
func (l *loop) give(t *slot, w *lane, p []byte) (int, syscall.Errno) {
	out := t.other(w)
	if s := l.side(t, out); s != nil {
		return l.seal(w, s, p)
	}
	return writeFD(out.fd, p)
}

// pass passes on bytes of src's.
func (l *loop) pass(t *slot, w *lane, p []byte) {
	switch {
	case !t.websocket:
		l.send(t, w, p, 0)
	case w.wants != 0:
		l.put(t, w)
		l.walk(t, w, p)
	default:
		l.walk(t, w, p)
	}
}

// flush gives dst what it has not taken before. When that is done, what was read
// behind it is walked.
func (l *loop) flush(t *slot, w *lane) {
	if s := l.side(t, t.other(w)); s != nil {
		l.flushSealed(t, w, s)
		return
	}
	one := l.keeper.at(w.kept)
	n, errno := writeFD(t.other(w).fd, one.buf[one.off:one.walked])
	one.off += n
	if !one.own {
		l.count(t, w, n)
	}
	switch {
	case errno != 0:
		l.writeFailed(t, w)
	case one.off < one.walked:
		return
	default:
		l.countMessages(t, w, one.messages)
	}
	l.unblock(t, w)
}

func (l *loop) flushSealed(t *slot, w *lane, s *sealedSide) {
	n, ok := s.under.flush()
	if n > 0 {
		w.moved = l.now
	}
	switch {
	case !ok:
		l.writeFailed(t, w)
	case len(s.under.backlog) > 0:
		return
	}
	l.unblock(t, w)
}

// unblock has the bytes walked that came behind those which were in the way.
func (l *loop) unblock(t *slot, w *lane) {
	w.blocked = false
	l.handedOver(t, w)
	i := w.kept
	if i == 0 {
		return
	}
	w.kept = 0
	l.pass(t, w, l.keeper.rest(i))
	l.keeper.drop(i)
}

// send gives dst bytes of src's, with so many messages ending in them, unless the
// lane is mute. What dst does not take is kept.
func (l *loop) send(t *slot, w *lane, p []byte, messages int64) {
	if len(p) == 0 || w.mute {
		return
	}
	n, errno := l.give(t, w, p)
	l.count(t, w, n)
	switch {
	case errno != 0:
		l.writeFailed(t, w)
	case n < len(p):
		l.keep(w, p[n:], messages, false)
	default:
		l.countMessages(t, w, messages)
		l.handedOver(t, w)
	}
}

func (l *loop) count(t *slot, w *lane, n int) {
	if n == 0 {
		return
	}
	w.moved = l.now
	b := &t.tallies[w.from.lane()].bytes
	had := b.Load()
	b.Store(had + int64(n))
	if !w.bounded && had/lookEvery != (had+int64(n))/lookEvery {
		w.bounded = boundReceive(w.fd)
	}
	if m := l.slab.ref(t).meter; m != nil {
		m.of(w.from).Add(int64(n))
	}
}

func (l *loop) countMessages(t *slot, w *lane, n int64) {
	if n != 0 {
		m := &t.tallies[w.from.lane()].messages
		m.Store(m.Load() + n)
	}
}

// walk is one walk through bytes that were read. It writes them in as few pieces
// as the frames in them allow: they are cut where something is to be put in
// between, or left out.
type walk struct {
	l          *loop
	t          *slot
	w          *lane
	p          []byte
	begin, end int   // p[begin:end] is still to be sent
	messages   int64 // that end in there
}

func (l *loop) walk(t *slot, w *lane, p []byte) {
	k := walk{l: l, t: t, w: w, p: p}
	if w.blocked {
		l.hold(w, p)
		return
	}
	for k.step() {
	}
	l.hold(w, p[k.end:])
}

func (k *walk) flush() {
	k.l.send(k.t, k.w, k.p[k.begin:k.end], k.messages)
	k.begin, k.messages = k.end, 0
}

// step takes one step, and reports whether there may be another.
func (k *walk) step() bool {
	n, ev := k.w.walker.Next(k.p[k.end:])
	switch ev.Step {
	case wsproto.StepMore:
		k.flush()
		return false
	case wsproto.StepMessage:
		k.messages++
	case wsproto.StepPong, wsproto.StepClose, wsproto.StepTooBig, wsproto.StepViolation:
		return k.special(n, ev)
	}
	k.end += n
	return k.w.wants == 0 || k.boundary()
}

// special takes a step that means something to the proxy itself.
func (k *walk) special(n int, ev wsproto.Event) bool {
	l, t, w := k.l, k.t, k.w
	frame := k.p[k.end : k.end+n]
	switch ev.Step {
	case wsproto.StepPong:
		if l.answersPing(t, w, frame) {
			k.flush()
			k.begin += n
		}
	case wsproto.StepClose:
		l.peerClosed(t, w, frame)
		k.end, n = k.end+n, 0
		k.flush()
	case wsproto.StepTooBig:
		k.flush()
		w.walker.Unlimit() // to find the peer's reply behind it
		l.refuse(t, w, ReasonTooBig, wsproto.CloseMessageTooBig, "message too big")
	case wsproto.StepViolation:
		k.flush()
		l.violation(t, w, ev, k.p[k.end:])
	}
	k.end += n
	return k.boundary()
}

// boundary puts in what is wanted, if it may be here, and reports whether the
// walk can go on.
func (k *walk) boundary() bool {
	if k.w.wants != 0 {
		k.flush()
		k.l.put(k.t, k.w)
	}
	if k.w.blocked {
		k.flush() // nothing: it was a flush that has blocked
		return false
	}
	return true
}

// answersPing reports whether a pong answers a ping of ours.
func (l *loop) answersPing(t *slot, w *lane, frame []byte) bool {
	every := l.limits.at(t.limits).PingBackend
	if w.from == ByClient {
		every = l.limits.at(t.limits).PingClient
	}
	var buf [125]byte
	return every > 0 && string(wsproto.ControlPayload(buf[:0], frame)) == string(w.token[:])
}

// peerClosed notes a Close frame of src's, before it is passed on.
func (l *loop) peerClosed(t *slot, w *lane, frame []byte) {
	var buf [125]byte
	code, text, _ := wsproto.ParseClosePayload(wsproto.ControlPayload(buf[:0], frame))
	l.closeSeen(t, w, code, text)
}

// refuse ends the tunnel before a frame that may not pass. (On one that is being
// closed it only ends the lane: who has said Close has no more to say.)
func (l *loop) refuse(t *slot, w *lane, why Reason, code uint16, text string) {
	w.mute, w.stopped = true, true
	if !l.end(t, bothToldOf(why, code, text)) {
		w.want(wantFIN)
	}
}

// violation ends the tunnel, if it is strict, or else the lane's frame-awareness.
// A Close frame that is wrong in its payload only is still the peer's Close; it
// passes with the rest.
func (l *loop) violation(t *slot, w *lane, ev wsproto.Event, rest []byte) {
	w.blind = true
	if s := l.limits.at(t.limits); s.Strict || s.FrameSize > 0 || s.MessageSize > 0 {
		l.refuse(t, w, ReasonProtocol, wsproto.CloseProtocolError, ev.Fault.String())
		return
	}
	if ev.Op == wsproto.OpClose {
		l.peerClosed(t, w, rest[:wsproto.ControlLen(rest)])
	}
}
