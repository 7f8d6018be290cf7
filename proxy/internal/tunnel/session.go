package tunnel

// session is the state machine of one tunnel: how it ends and when, and which
// frames of the proxy's own go in between. It does no I/O, takes no locks and reads
// no clock: an engine reports events, and carries out the actions that come back.
// docs/design/tunnel-states.md is its table, printed by TestSessionTable.
//
//	open ──► answering ──► closing ──► lingering ──► cut
//	 ▲ │                      ▲
//	 │ ▼                      │  (from open and redialling too)
//	redialling ───────────────┘
//
// answering: a peer's Close frame has passed, and its receiver has time to answer.
// closing: the proxy ends the tunnel, or a side of it is lost. In both, each side is
// half-closed as soon as it has been told and has answered, or has ended. When both
// sides have ended, the tunnel is over. When both have been half-closed and have said
// Close, or at the deadline, it lingers: what was not told by then is half-closed as
// it stands, a side that does not even take bytes is closed, and for a moment more the
// peers may go by themselves. (Closing at once would turn unread bytes into a reset,
// and a reset can destroy the Close frame before the peer has read it: RFC 6455
// section 7.1.1.)
//
// Bytes that flow are not events. An engine stamps their times into the directions
// and counts them; events are the edges: a Close frame, an end, a failure, room for what
// is pending, and the time for which the session asked.

import (
	"math"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const (
	never = time.Duration(math.MaxInt64)
	// maxLinger bounds how long half-closed peers may take to go.
	maxLinger = time.Second
	// maxOwed is how many bytes of answers of TLS itself may wait for a side that is
	// read all the same: a peer that takes nothing can ask for a new key, and is owed
	// an answer, as often as it likes.
	maxOwed = 4 << 10
)

type phase uint8

const (
	phaseOpen       phase = iota
	phaseRedialling       // open, and without a backend: redial.go
	phaseAnswering
	phaseClosing
	phaseLingering
	phaseCut
)

// ending reports whether a tunnel is open no more.
func (p phase) ending() bool { return p > phaseRedialling }

// readState is what has come from a direction's source.
type readState uint8

const (
	readOpen      readState = iota
	readClosed              // a Close frame
	readAbandoned           // nothing of use: its end is not waited for
	readEOF
)

// writeState is what has gone to a direction's destination.
type writeState uint8

const (
	writeOpen writeState = iota
	// The source's own Close frame: on its way, and taken. What comes behind it passes.
	writeClosePassing
	writeClosePassed
	// There is no backend: bytes for it wait. Leaving: it was sent a Close frame of the
	// proxy's, and its answer is awaited.
	writeDetached
	writeLeaving
	// From here on the source's bytes are discarded. A Close frame is the last of this
	// direction: on its way, and taken.
	writeCloseSending
	writeCloseSent
	writeDiscarding // what went before ended between two frames
	writeFINSent
	writeFailed // the destination takes nothing any more
)

func (w writeState) discards() bool { return w >= writeCloseSending }
func (w writeState) over() bool     { return w >= writeFINSent }
func (w writeState) detached() bool { return w == writeDetached || w == writeLeaving }

// onItsWay reports whether the destination has a Close frame still to take.
func (w writeState) onItsWay() bool { return w == writeClosePassing || w == writeCloseSending }

// told reports whether the destination has been sent a Close frame.
func (w writeState) told() bool {
	return w.onItsWay() || w == writeClosePassed || w == writeLeaving || w == writeCloseSent
}

// pending is what is to be put into a direction, as bits. It is put in by the engine
// when nothing else is being written there.
type pending uint8

const (
	pendingPing  pending = 1 << iota // between two frames
	pendingClose                     // between two frames
	pendingFIN                       // at once; with pendingClose, behind it where it can go
	pendingFlush                     // before all else: what waits for a backend that is there now
	pendingLeave                     // between two messages: Close, to a backend that the tunnel leaves
)

// direction is the session's view of one direction. The engine keeps the first group
// up to date, which is facts; all else is changed by apply.
//
// Invariant: write and opaque are changed by events of their own direction alone. (An
// engine whose directions have a goroutine each may read them there without a lock.)
type direction struct {
	heard   time.Duration // when the source was last heard
	moved   time.Duration // when the destination last took bytes of the source's
	data    time.Duration // when bytes of a data frame, or bytes that had waited, were among those; see active
	waiting bool          // bytes wait for the destination; see setWaiting
	owing   bool          // the source takes no answers of TLS's; see setOwed

	opaque    bool // the source's frames cannot be told apart
	read      readState
	write     writeState
	pending   pending
	closeCode uint16        // of the Close frame that is pending
	pingedAt  time.Duration // when the destination was last pinged, or should have been
	giveUpAt  time.Duration // when the source's end is no longer waited for; 0 is never
	rtt       time.Duration // of the last ping that the source has answered; 0: none
}

// session must be made by newSession. It has no pointers, so that slabs of them cost
// the garbage collector nothing; endNote is the rest of it.
type session struct {
	dirs     [2]direction  // by the side they come from; see fromClient
	start    time.Duration // when the tunnel was opened
	lifetime time.Duration // the limit; 0 is none
	deadline time.Duration // of phases answering, closing and lingering
	latest   time.Duration // to which answering may move it; see closeDue
	leaveBy  time.Duration // when the backend must have been left; 0: no limit
	code     uint16        // of the first Close frame
	by       Party
	phase    phase

	webSocket, redials bool // constant
	ours               bool // the proxy, not a peer, ends the tunnel
	caused             bool // by is known, and the note's why
	framed             bool // code is known, and the note's text
	leaving            bool // the backend is to be left, and another found
	dropped            bool // its connection is being closed for that
}

// The directions of a tunnel, as indexes.
const (
	fromClient  = 0
	fromBackend = 1
)

// from is the party that a direction comes from.
func from(dir int) Party { return ByClient + Party(dir) }

// endNote is what there is to say of a tunnel that ends, in words.
type endNote struct {
	why       Reason
	silent    Party     // the peer that is not there; ByProxy: both are
	text      string    // of the first Close frame
	closeText [2]string // of the Close frames that are pending
}

func newSession(s *Spec, now time.Duration) session {
	n := session{start: now, lifetime: s.Limits.Lifetime, webSocket: s.WebSocket}
	for i := range n.dirs {
		n.dirs[i] = direction{heard: now, moved: now, data: now, pingedAt: now, opaque: !s.WebSocket}
	}
	return n
}

// ending is an end that the proxy decides on.
type ending struct {
	by      Party
	why     Reason
	code    [2]uint16 // in each direction; 0 is none
	text    string
	abandon Party // the peer whose answer is not waited for; ByProxy: none
}

// proxyEnds is an end with the same Close frame in both directions.
func proxyEnds(why Reason, code uint16, text string) ending {
	return ending{why: why, code: [2]uint16{code, code}, text: text}
}

// pongTimeout is the end for a peer that is not there.
func pongTimeout(peer Party) ending {
	v := proxyEnds(ReasonPongTimeout, wsproto.CloseGoingAway, string(ReasonPongTimeout))
	if peer == ByBackend {
		v.code[fromBackend] = wsproto.CloseServiceRestart // as for a backend that is lost
	}
	v.abandon = peer
	return v
}

type eventKind uint8

const (
	evTick        eventKind = iota // it is time, or may be
	evEnd                          // ending: a limit, or the proxy, ends the tunnel
	evCut                          // ending.why: now
	evClose                        // code, text: the source has sent Close, which is passed on next
	evHanded                       // the destination has taken all that was written to it
	evEOF                          // clean: nothing more comes from the source
	evReset                        // clean: the source is shut both ways; else its connection has failed
	evWriteFailed                  // the destination refused bytes
	evRefuse                       // ending: what the source sends next may not pass
	evOpaque                       // the source has broken RFC 6455
	evWritable                     // aligned, whole: nothing else is being written
	evFINSent                      // the destination has been half-closed
	// Of redialling tunnels only:
	evLeave       // ending: the backend is to be left
	evDetach      // the destination is a backend that refused bytes between two messages
	evBackendGone // whole: both directions stand between messages, and the backend has ended
	evNext        // whole: another backend is there; and bytes wait for it
	evNoNext      // there is none
)

// byWriter reports whether an event is reported by its direction's writer, which puts in
// what is pending there next.
func (k eventKind) byWriter() bool { return k >= evClose && k <= evFINSent && k != evReset }

// event is what happened to a tunnel, and to which of its directions.
type event struct {
	kind    eventKind
	dir     int
	clean   bool
	aligned bool // the direction stands between two frames
	whole   bool
	code    uint16
	text    string
	ending  ending
}

// actions are what an engine is to do, as bits. What is pending in a direction is
// not among them: it is tried after every event.
type actions uint16

const (
	actCut        actions = 1 << iota // close both connections
	actGiveUp                         // <<dir: end the source, and report evEOF
	_                                 //
	actFinish                         // <<dir: close the destination unless it takes FIN now
	_                                 //
	actForget                         // no backend is wanted any more
	actDetached                       // bytes for a backend have to wait
	actRedial                         // find another backend
	actDrop                           // close the backend's connection, so that it ends
	actEndLeaving                     // report evEnd: the backend could not be left
)

// closeEvent is a Close frame of a direction's source.
func closeEvent(dir int, frame []byte) event {
	var buf [125]byte
	code, text, _ := wsproto.ParseClosePayload(wsproto.ControlPayload(buf[:0], frame))
	return event{kind: evClose, dir: dir, code: code, text: text}
}

// answersPing reports whether a pong has the payload of the proxy's pings.
func answersPing(frame []byte, token *[8]byte) bool {
	var buf [125]byte
	return string(wsproto.ControlPayload(buf[:0], frame)) == string(token[:])
}

// injection is what is to be put into a direction now.
type injection uint8

const (
	injectNothing injection = iota
	injectPing
	injectClose
	injectFIN // then report evFINSent
	injectFlush
	injectLeave
)

// result is what comes of an event.
type result struct {
	do     actions
	inject injection     // of evWritable
	at     time.Duration // report evTick by then
}

// env is what a step of the machine may look at besides the session.
type env struct {
	now    time.Duration
	limits *Limits   // with its defaults
	note   **endNote // made when there is something to note
}

// step is one event's way through the machine.
type step struct {
	*session
	env
	result
}

// apply takes an event and returns what is to be done about it.
func (s *session) apply(ev event, e env) result {
	k := step{session: s, env: e, result: result{at: never}}
	d := &s.dirs[ev.dir]
	if s.phase == phaseCut {
		return k.result
	}
	switch ev.kind {
	case evTick:
		k.tick()
	case evEnd:
		k.end(ev.ending)
	case evCut:
		k.cause(ev.ending.by, ev.ending.why)
		k.cut()
	case evClose:
		k.closed(ev.dir, ev.code, ev.text)
	case evHanded:
		k.handed(d)
	case evEOF:
		k.eof(ev.dir, ev.clean)
	case evReset:
		k.reset(ev.dir, ev.clean)
	case evWriteFailed:
		k.writeFailed(ev.dir)
	case evRefuse:
		k.refuse(ev.dir, ev.ending)
	case evOpaque:
		d.opaque = true
	case evWritable:
		k.inject = k.choose(ev.dir, ev.aligned, ev.whole)
	case evFINSent:
		d.pending, d.write = 0, max(d.write, writeFINSent)
		k.advance()
	default:
		k.redial(ev)
	}
	return k.result
}

// reads reports whether a direction's source is to be read.
func (s *session) reads(dir int) bool {
	d := &s.dirs[dir]
	return !d.waiting && !d.owing && d.read < readEOF && s.phase != phaseCut
}

// setWaiting notes whether bytes wait for the destination. For one that has failed
// none do: nobody would ever report that it has taken them.
func (d *direction) setWaiting(waiting bool) { d.waiting = waiting && d.write != writeFailed }

// setOwed notes how many bytes of TLS's own answers wait for a direction's source,
// which is read no further if they are many.
func (s *session) setOwed(dir, n int) {
	s.dirs[dir].owing = n > maxOwed && s.dirs[1-dir].write != writeFailed
}

// summary is the end of a tunnel.
func (s *session) summary(note *endNote, c Counts, duration time.Duration) Summary {
	if note == nil {
		note = &endNote{}
	}
	end := Summary{Counts: c, ClosedBy: s.by, Reason: note.why, Silent: note.silent, Duration: duration}
	switch {
	case s.framed:
		end.Code, end.Text = s.code, note.text
	case s.webSocket:
		end.Code = wsproto.CloseAbnormal
	}
	return end
}

func (k *step) words() *endNote {
	if *k.note == nil {
		*k.note = new(endNote)
	}
	return *k.note
}

// look asks for an evTick by a time.
func (k *step) look(at time.Duration) { k.at = min(k.at, at) }

func (k *step) linger() time.Duration { return min(k.limits.CloseTimeout, maxLinger) }

// want has something put into a direction, if that is still open.
func (k *step) want(dir int, bits pending) {
	if d := &k.dirs[dir]; !d.write.over() {
		d.pending |= bits
	}
}

// wantClose has a Close frame put into a direction.
func (k *step) wantClose(dir int, code uint16, text string) {
	k.dirs[dir].closeCode, k.words().closeText[dir] = code, wsproto.TrimReason(text)
	k.want(dir, pendingClose)
}

// cause notes who ended the tunnel, and why: the first cause counts.
func (k *step) cause(by Party, why Reason) {
	if !k.caused {
		k.caused, k.by, k.words().why = true, by, why
	}
}

// firstFrame notes the first Close frame that went anywhere.
func (k *step) firstFrame(code uint16, text string) {
	if code == 0 { // a Close frame without a payload
		code = wsproto.CloseNoStatus
	}
	if !k.framed {
		k.framed, k.code, k.words().text = true, code, text
	}
}

// end starts to end an open tunnel with a Close frame each way, and reports whether
// it did. On one that a peer is closing already it only bounds the time that may take.
func (k *step) end(v ending) bool {
	deadline := k.now + k.limits.CloseTimeout
	if k.phase == phaseAnswering {
		k.bound(deadline)
	}
	if k.phase.ending() {
		return false
	}
	if v.abandon != ByProxy && !k.caused {
		k.words().silent = v.abandon
	}
	k.cause(v.by, v.why)
	k.ours = true
	k.close(phaseClosing, deadline)
	for i := range k.dirs {
		if d := &k.dirs[i]; from(i) == v.abandon {
			d.read = max(d.read, readAbandoned)
		}
		k.wantClose(i, v.code[i], v.text)
	}
	return true
}

// close brings the tunnel into a phase in which it waits for replies. There is no way
// into one without a deadline.
func (k *step) close(p phase, deadline time.Duration) {
	k.phase, k.deadline = p, deadline
	k.leaving, k.leaveBy, k.dropped = false, 0, false
	k.do |= actForget
	k.look(deadline)
}

// bound has the tunnel closed by a deadline, if it is not closed earlier.
func (k *step) bound(deadline time.Duration) {
	switch k.phase {
	case phaseAnswering, phaseClosing:
		deadline = min(deadline, k.closeDue())
	case phaseLingering, phaseCut:
		return
	}
	k.close(phaseClosing, deadline)
}

// closed takes a Close frame of the source's, before it is passed on: the answer may
// be here before the write returns.
func (k *step) closed(dir int, code uint16, text string) {
	d := &k.dirs[dir]
	d.read = max(d.read, readClosed)
	if !d.write.discards() {
		k.cause(from(dir), ReasonClosed)
		k.firstFrame(code, text)
	}
	if d.write == writeOpen { // a second one behind it moves nothing
		d.write = writeClosePassing
	}
	p, deadline := phaseAnswering, k.now+k.limits.CloseTimeout
	if d.write.detached() {
		k.wantClose(1-dir, answerCode(code), "") // there is no backend to answer it
		p = phaseClosing
	}
	if !k.phase.ending() {
		k.latest = latestClose(k.now, k.limits.CloseTimeout, k.lifetimeEnd())
		k.close(p, deadline)
	}
	k.advance()
}

// answerCode is the code that answers a Close frame.
func answerCode(code uint16) uint16 {
	if code != wsproto.CloseNoStatus && !wsproto.ValidOnWire(code) {
		return wsproto.CloseProtocolError
	}
	return code
}

// handed begins the time of a Close frame's receiver, when that has taken it.
func (k *step) handed(d *direction) {
	switch d.write {
	case writeClosePassing:
		d.write = writeClosePassed
	case writeCloseSending:
		d.write = writeCloseSent
	default:
		return
	}
	if k.phase < phaseLingering && k.forsaken() == ByProxy {
		k.deadline = max(k.deadline, k.now+k.limits.CloseTimeout)
		k.look(k.deadline)
	}
}

// eof takes the end of a source. A clean one is a half-close, and leaves the tunnel
// open; but there is none from a peer that takes nothing.
func (k *step) eof(dir int, clean bool) {
	d, back := &k.dirs[dir], &k.dirs[1-dir]
	if d.read == readEOF {
		return
	}
	clean = clean && back.write != writeFailed
	reason := ReasonLost
	if clean && !k.webSocket {
		reason = ReasonClosed
	}
	k.cause(from(dir), reason)
	lost := k.webSocket && dir == fromBackend && k.phase == phaseOpen && back.read != readEOF
	d.read, d.heard, d.giveUpAt = readEOF, k.now, 0
	k.want(dir, pendingFIN)
	if !clean || !k.phase.ending() && d.write.detached() {
		k.want(1-dir, pendingFIN) // it takes nothing any more, or nobody will answer it
	}
	switch {
	case lost:
		// The client comes back when it is told. One that has gone itself, or has said
		// Close, needs no telling.
		k.wantClose(dir, wsproto.CloseServiceRestart, "backend lost")
		k.close(phaseClosing, k.now+k.limits.CloseTimeout)
	case !k.phase.ending() && d.write.detached():
		k.close(phaseClosing, k.now+k.linger())
	case clean:
		k.look(k.now) // half-closed, it has another limit
	case !k.phase.ending() || dir == fromClient:
		k.bound(k.now + k.linger())
	}
	k.advance()
}

// reset takes the failure of the source's connection, or its shutdown both ways. A
// write would fail: that is not waited for where nothing is to be read first. A client
// that was reset is not read first, a backend is: it may have said Close.
func (k *step) reset(dir int, clean bool) {
	ended := k.dirs[dir].read == readEOF && !k.dirs[1-dir].write.over()
	if ended || !clean && dir == fromClient {
		k.writeFailed(1 - dir)
	}
}

// writeFailed takes the loss of a destination. What it has sent before (a Close frame,
// perhaps) may still be there to be read; it is given a moment to find its end by itself.
func (k *step) writeFailed(dir int) {
	d := &k.dirs[dir]
	if d.write == writeFailed {
		return
	}
	k.giveUp(1 - dir)
	if d.write.detached() { // it was the Close frame by which the backend is left
		return
	}
	d.write, d.pending, d.waiting, k.dirs[1-dir].owing = writeFailed, 0, false, false
	if k.forsaken() != ByProxy {
		k.bound(k.now + k.linger())
	}
	k.advance()
}

// giveUp has a source end soon, by itself or not.
func (k *step) giveUp(dir int) {
	if d := &k.dirs[dir]; d.read != readEOF && d.giveUpAt == 0 {
		d.giveUpAt = k.now + k.linger()
		k.look(d.giveUpAt)
	}
}

// forsaken is the peer that takes nothing any more and takes the tunnel with it: the
// other one has nothing to be told. ByProxy: neither. (The client of a WebSocket
// backend that has gone is told.)
func (k *step) forsaken() Party {
	switch {
	case k.dirs[fromBackend].write == writeFailed:
		return ByClient
	case k.dirs[fromClient].write == writeFailed && !k.webSocket:
		return ByBackend
	}
	return ByProxy
}

// refuse ends the tunnel before a frame that may not pass. (On one that is being
// closed it only ends the direction: a peer that has sent Close sends nothing more.)
func (k *step) refuse(dir int, v ending) {
	switch d := &k.dirs[dir]; d.write {
	case writeOpen:
		d.write = writeDiscarding
	case writeClosePassing:
		d.write = writeCloseSending
	case writeClosePassed:
		d.write = writeCloseSent
	}
	if !k.end(v) {
		k.want(dir, pendingFIN)
	}
}

// advance half-closes each side that has been told and has answered, cuts a tunnel
// that waits for nobody, and does not wait long for one whose peers have only to go.
func (k *step) advance() {
	waiting, talking := false, false
	for i := range k.dirs {
		out, in := &k.dirs[i], &k.dirs[1-i]
		if answered := in.read != readOpen || in.opaque && k.ours; answered && out.write.told() {
			k.want(i, pendingFIN)
		}
		shut := out.write.over() || out.write.detached()
		waiting = waiting || in.read < readAbandoned || !shut
		talking = talking || in.read == readOpen || !shut
	}
	switch {
	case !waiting:
		k.cut()
	case !talking && (k.phase == phaseAnswering || k.phase == phaseClosing):
		k.close(phaseLingering, k.now+k.linger())
	}
}

// overdue is what happens at the deadline of a tunnel that is closing.
func (k *step) overdue() {
	if peer := k.forsaken(); peer != ByProxy {
		k.cause(peer, ReasonLost)
		k.cut()
		return
	}
	k.close(phaseLingering, k.now+k.linger())
	finished := true
	for i := range k.dirs {
		if w := k.dirs[i].write; !w.over() && !w.detached() {
			finished = false
			k.want(i, pendingFIN)
			k.do |= actFinish << i
		}
	}
	if finished {
		k.cut()
	}
}

func (k *step) cut() {
	k.phase = phaseCut
	k.do |= actCut | actForget
}

// choose chooses what is put into a direction next, if anything may be.
func (k *step) choose(dir int, aligned, whole bool) injection {
	d := &k.dirs[dir]
	aligned = aligned && !d.opaque
	switch {
	case d.take(pendingFlush, true, true):
		return injectFlush
	case d.take(pendingClose, !d.write.told() && !d.write.detached(), aligned || d.write == writeDiscarding):
		d.write = writeCloseSending
		k.firstFrame(d.closeCode, k.words().closeText[dir])
		k.advance()
		return injectClose
	case d.take(pendingLeave, k.phase == phaseOpen && k.leaving && !d.write.discards() && !d.write.detached(), whole):
		k.detach(dir, writeLeaving)
		k.leaveBy = k.now + k.limits.CloseTimeout
		k.look(k.leaveBy)
		return injectLeave
	case d.take(pendingPing, !k.phase.ending() && !d.write.discards() && !d.write.detached() && !d.opaque, aligned):
		d.pingedAt = k.now
		return injectPing
	case d.pending&pendingClose != 0 && d.opaque: // the end is all that can be told
		d.pending = pendingFIN
	}
	if d.pending&pendingFIN != 0 {
		return injectFIN
	}
	return injectNothing
}

// take takes what is pending, if it may be put in now. What is of no use any more is
// pending no more.
func (d *direction) take(bit pending, useful, now bool) bool {
	if d.pending&bit == 0 || useful && !now {
		return false
	}
	d.pending &^= bit
	return useful
}

func (k *step) detach(dir int, w writeState) {
	k.dirs[dir].write = w
	k.do |= actDetached
}

// redial takes the events of tunnels that may outlive their backends.
func (k *step) redial(ev event) {
	out, in := &k.dirs[fromClient], &k.dirs[fromBackend]
	switch ev.kind {
	case evLeave:
		if out.read == readEOF || out.write.discards() || out.opaque || in.opaque {
			k.end(ev.ending)
			return
		}
		k.leaving, k.leaveBy = true, k.now+k.limits.CloseTimeout
		k.want(fromClient, pendingLeave)
		k.look(k.leaveBy)
	case evDetach:
		k.detach(fromClient, writeDetached)
		k.giveUp(fromBackend)
	case evBackendGone:
		if k.phase != phaseOpen || !ev.whole || out.read == readEOF || out.write.discards() || in.write.discards() {
			k.endLeaving()
			return
		}
		k.phase, in.giveUpAt = phaseRedialling, 0
		if !out.write.detached() {
			k.detach(fromClient, writeDetached)
		}
		k.do |= actRedial
		k.look(k.now)
	case evNext:
		k.phase, k.leaving, k.leaveBy, k.dropped = phaseOpen, false, 0, false
		in.heard, in.giveUpAt, out.pingedAt, out.write = k.now, 0, 0, writeOpen
		if ev.whole {
			k.want(fromClient, pendingFlush)
		}
		k.do |= actForget
		k.look(k.now)
	case evNoNext:
		k.phase = phaseOpen
		k.endLeaving()
	}
}

// endLeaving ends a tunnel that was to leave its backend and cannot. One that has lost
// it ends as any other.
func (k *step) endLeaving() {
	if k.leaving {
		k.do |= actEndLeaving
	}
}

// leaveAnswered reports whether a Close frame of the backend's answers the one by
// which it was left.
func (s *session) leaveAnswered() bool {
	return s.phase == phaseOpen && s.leaving && s.dirs[fromClient].write == writeLeaving
}

// drop closes the connection of a backend that does not answer, so that it ends, and
// another is found. It reports whether there can be another.
func (k *step) drop() bool {
	if !k.redials || k.phase != phaseOpen {
		return false
	}
	if !k.dropped {
		k.dropped, k.leaving = true, true
		k.do |= actDrop
	}
	return true
}
