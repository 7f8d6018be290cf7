package tunnel

// How a tunnel on a loop ends: by the same rules, in the same phases, as ending.go
// says. There, goroutines wait for turns; here, everything is done at once or
// noted as wanted.

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// loopVerdict is an end that the proxy decides on.
type loopVerdict struct {
	by   Party
	why  Reason
	code [2]uint16 // to the peer that each lane goes to
	text string
	gone *lane // this one's source is not waited for
}

// bothToldOf is an end by the proxy with the same Close frame each way.
func bothToldOf(why Reason, code uint16, text string) loopVerdict {
	return loopVerdict{by: ByProxy, why: why, code: [2]uint16{code, code}, text: text}
}

// end starts to end an open tunnel with a Close frame each way, and reports
// whether it did. On one that a peer is closing already it only bounds the time
// that may take.
func (l *loop) end(t *slot, v loopVerdict) bool {
	deadline := l.now + int64(l.limits.at(t.limits).CloseTimeout)
	if t.phase == phaseClosing && t.patient {
		l.bound(t, deadline)
	}
	if t.phase != phaseOpen {
		return false
	}
	l.cause(t, v.by, v.why)
	t.ours = true
	if v.gone != nil {
		v.gone.gone = true
	}
	l.close(t, deadline, false)
	for i := range t.lanes {
		w := &t.lanes[i]
		w.closeCode = v.code[i]
		l.slab.end(t).closeText[i] = wsproto.TrimReason(v.text)
		w.want(wantClose)
	}
	return true
}

// close brings a tunnel into the phase in which it waits for replies.
func (l *loop) close(t *slot, deadline int64, patient bool) {
	t.phase, t.deadline, t.patient = phaseClosing, deadline, patient
	l.arm(t, deadline)
}

// bound has a tunnel closed by a deadline, if it is not closed earlier.
func (l *loop) bound(t *slot, deadline int64) {
	switch t.phase {
	case phaseOpen:
		l.close(t, deadline, false)
	case phaseClosing:
		l.close(t, min(deadline, l.closeDue(t)), false)
	}
}

// handedOver notes that all for w's destination has been taken. Where a Close frame
// was the last of it, its receiver's time begins.
func (l *loop) handedOver(t *slot, w *lane) {
	if !w.telling || w.blocked {
		return
	}
	w.telling = false
	if t.phase == phaseClosing && t.forsaken() == nil {
		t.deadline = max(t.deadline, l.now+int64(l.limits.at(t.limits).CloseTimeout))
	}
}

// linger brings it into the phase in which it waits for its peers to go.
func (l *loop) linger(t *slot) {
	t.phase, t.deadline = phaseLingering, l.now+l.lingerTime(t)
	l.arm(t, t.deadline)
}

func (l *loop) lingerTime(t *slot) int64 {
	return int64(min(l.limits.at(t.limits).CloseTimeout, maxLinger))
}

// cause notes who ended the tunnel, and why: the first cause counts.
func (l *loop) cause(t *slot, by Party, why Reason) {
	if !t.caused {
		t.caused, t.by = true, by
		l.slab.end(t).why = why
	}
}

// firstFrame notes the first Close frame that went anywhere.
func (l *loop) firstFrame(t *slot, code uint16, text string) {
	if code == 0 { // a Close frame without a payload
		code = wsproto.CloseNoStatus
	}
	if !t.framed {
		t.framed, t.code = true, code
		l.slab.end(t).text = text
	}
}

// closeSeen notes that w's source has sent a Close frame, which is passed on next,
// or is the answer to ours.
func (l *loop) closeSeen(t *slot, w *lane, code uint16, text string) {
	w.closeSeen = true
	if !w.mute {
		w.told, w.telling = true, true
		l.cause(t, w.from, ReasonClosed)
		l.firstFrame(t, code, text)
	}
	if t.phase == phaseOpen {
		timeout := l.limits.at(t.limits).CloseTimeout
		l.close(t, l.now+int64(timeout), true)
		t.latest = int64(latestClose(time.Duration(l.now), timeout, time.Duration(t.lifetimeEnd())))
	}
	l.advance(t)
}

// sourceEnded notes that nothing more comes from w's source: clean is an orderly
// end. What is held of a header goes nowhere.
func (l *loop) sourceEnded(t *slot, w *lane, clean bool) {
	if !w.blocked {
		l.unkeep(w)
	}
	clean = clean && !w.broken && !t.other(w).deaf
	reason := ReasonLost
	if clean && !t.websocket {
		reason = ReasonClosed
	}
	l.cause(t, w.from, reason)
	lost := l.tellLoss(t, w)
	w.ended, w.heard = true, l.now
	w.want(wantFIN)
	if !clean {
		t.other(w).want(wantFIN) // whom it went to takes nothing any more
	}
	switch {
	case lost:
		l.close(t, l.now+int64(l.limits.at(t.limits).CloseTimeout), false)
	case clean:
		l.arm(t, l.now) // half-closed, it has another limit
	case t.phase == phaseOpen || w.from == ByClient:
		l.bound(t, l.now+l.lingerTime(t))
	}
	l.advance(t)
}

// tellLoss has the client told of a backend that has gone without a word: 1012,
// so that it comes back. A client that has gone itself, or has said Close, needs
// no telling.
func (l *loop) tellLoss(t *slot, w *lane) bool {
	lost := t.websocket && w.from == ByBackend && t.phase == phaseOpen && !t.lanes[fromClient].ended
	if lost {
		w.closeCode = wsproto.CloseServiceRestart
		l.slab.end(t).closeText[fromBackend] = "backend lost"
		w.want(wantClose)
	}
	return lost
}

// advance has each side half-closed that has been told and has answered, cuts a
// tunnel that waits for nobody, and does not wait long for one whose peers have
// only to go.
func (l *loop) advance(t *slot) {
	waiting, talking := false, false
	for i := range t.lanes {
		out, in := &t.lanes[i], t.other(&t.lanes[i])
		answered := in.closeSeen || in.ended || in.gone || in.blind && t.ours
		if out.told && answered && !out.fin {
			out.want(wantFIN)
		}
		shut := out.fin || out.deaf
		waiting = waiting || !in.ended && !in.gone || !shut
		talking = talking || !in.closeSeen && !in.ended && !in.gone || !shut
	}
	switch {
	case t.phase == phaseCut:
	case !waiting:
		l.cut(t)
	case !talking && t.phase == phaseClosing:
		l.linger(t)
	}
}

// overdue is what happens at the closing deadline: a side that has not been told
// is half-closed as it stands, and one that does not even take the bytes on
// their way is closed.
func (l *loop) overdue(t *slot) {
	if in := t.forsaken(); in != nil {
		l.cause(t, in.from, ReasonLost)
		l.cut(t)
		return
	}
	l.linger(t)
	finished := true
	for i := range t.lanes {
		w := &t.lanes[i]
		if w.fin || w.deaf {
			continue
		}
		finished = false
		if w.blocked {
			l.drop(t, w)
			continue
		}
		w.want(wantFIN)
	}
	if finished {
		l.cut(t)
	}
}

// drop closes w's destination, as far as that is seen from outside.
func (l *loop) drop(t *slot, w *lane) {
	w.mute, w.deaf = true, true
	l.unkeep(w)
	in := t.other(w)
	_ = unix.Shutdown(int(in.fd), unix.SHUT_RDWR) // fails if it has gone
	if !in.ended {
		l.sourceEnded(t, in, false)
	}
	l.advance(t)
}

// writeFailed notes that w's destination refused bytes. What it has sent before
// (a Close frame, perhaps) may still be there to be read; it is given a moment to
// find its end by itself.
func (l *loop) writeFailed(t *slot, w *lane) {
	w.mute, w.deaf = true, true
	in := t.other(w)
	if t.forsaken() != nil {
		l.bound(t, l.now+l.lingerTime(t))
	}
	if in.ended {
		l.advance(t)
		return
	}
	in.readable, in.hup = true, true
	in.quitAt = l.now + l.lingerTime(t)
	l.arm(t, in.quitAt)
	l.later(t, in)
}

// forsaken is the lane from a peer that takes nothing any more and takes the tunnel
// with it: the other one has nothing to be told. nil where there is none. (The
// client of a WebSocket backend that has gone is told.)
func (t *slot) forsaken() *lane {
	for i := range t.lanes {
		in := &t.lanes[i]
		if t.other(in).deaf && (in.from == ByClient || !t.websocket) {
			return in
		}
	}
	return nil
}

// hangUp notes that the connection of in's source has failed, or has been shut both
// ways. A write would fail: that is not waited for where nothing is to be read first.
// A client that was reset is not read first, a backend is: it may have said Close.
func (l *loop) hangUp(t *slot, in *lane, reset bool) {
	out := t.other(in)
	in.broken = in.broken || reset
	switch {
	case out.fin || out.deaf || t.phase == phaseCut:
	case in.ended || reset && in.from == ByClient:
		l.writeFailed(t, out)
	}
}

// cut ends a tunnel now. Its descriptors are closed after the events that have
// come already: a number that is closed may be somebody else's at once.
func (l *loop) cut(t *slot) {
	if t.phase == phaseCut {
		return
	}
	t.phase = phaseCut
	l.wheel.drop(t.index)
	l.dead = append(l.dead, t)
}

// bury closes what was cut, and tells who wants to know.
func (l *loop) bury() {
	if len(l.dead) == 0 {
		return
	}
	words := make([]lastWord, 0, len(l.dead))
	for _, t := range l.dead {
		for i := range t.lanes {
			l.unkeep(&t.lanes[i])
			unix.Close(int(t.lanes[i].fd))
		}
		r := *l.slab.ref(t)
		s := l.summary(t)
		r.handle.leave(s.Counts)
		r.handle.ended.Store(true)
		l.release(t)
		if r.done != nil {
			words = append(words, lastWord{r.done, s})
		}
	}
	clear(l.dead)
	l.dead = l.dead[:0]
	// Not on the loop: locks may be waited for. And not each in a goroutine: thousands
	// at once would be kept by the runtime for ever.
	go sayLastWords(words)
	runtime.Gosched() // to that goroutine: this one may keep the processor while it waits
}

// lastWord is what a tunnel's Done is to be told.
type lastWord struct {
	done func(Summary)
	end  Summary
}

func sayLastWords(words []lastWord) {
	for _, w := range words {
		w.done(w.end)
	}
}

// release has a tunnel no more.
func (l *loop) release(t *slot) {
	l.limits.give(t.limits)
	l.slab.give(t)
	l.open--
	l.load.Add(-1)
}

func (l *loop) summary(t *slot) Summary {
	note := l.slab.end(t)
	s := Summary{Counts: t.counts(), ClosedBy: t.by, Reason: note.why, Duration: since(t.start, l.clock())}
	switch {
	case t.framed:
		s.Code, s.Text = t.code, note.text
	case t.websocket:
		s.Code = wsproto.CloseAbnormal
	}
	return s
}
