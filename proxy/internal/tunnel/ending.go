package tunnel

// How a tunnel ends.
//
//	open ──► closing ──► lingering ──► cut
//	 ▲ │       ▲
//	 │ ▼       │
//	redialling ┘
//
// closing: a Close frame has passed, or is wanted, on some way; each side is
// half-closed as soon as it has been told and has answered, or has ended. When
// both sides have ended, the tunnel is over. When both have been half-closed and
// have said Close, or at the deadline, lingering: what was not told by then is
// half-closed as it stands, a side that does not even take bytes is closed, and
// for a moment more the peers may go by themselves.
// (Closing at once would turn unread bytes into a reset, and a reset can destroy
// the Close frame before the peer has read it: RFC 6455 section 7.1.1.)

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

type phase uint8

const (
	phaseOpen       phase = iota
	phaseRedialling       // open, with nobody on the backend's side: redial.go
	phaseClosing
	phaseLingering
	phaseCut
)

// maxLinger bounds how long half-closed peers may take to go.
const maxLinger = time.Second

func (t *tunnel) linger() time.Duration { return min(t.limits.CloseTimeout, maxLinger) }

// ending is an end that the proxy decides on.
type ending struct {
	by   Party
	why  Reason
	code [2]uint16 // to the peer that each way goes to
	text string
	gone *way // this one's source is not waited for
}

// endLocked starts to end an open tunnel with a Close frame each way, and
// reports whether it did. On one that a peer is closing already it only bounds
// the time that may take.
func (t *tunnel) endLocked(e ending) bool {
	deadline := t.since() + t.limits.CloseTimeout
	if t.phase == phaseClosing && t.patient {
		t.boundLocked(deadline)
	}
	if t.phase > phaseRedialling {
		return false
	}
	t.causeLocked(e.by, e.why)
	t.ours = true
	if e.gone != nil {
		e.gone.gone = true
	}
	t.closingLocked(deadline, false)
	for i := range t.ways {
		t.ways[i].closeCode, t.ways[i].closeText = e.code[i], wsproto.TrimReason(e.text)
		t.wantLocked(&t.ways[i], wantClose)
	}
	return true
}

// wantLocked has something put into a way, by a goroutine of its own if it is
// not under way already: a write may block, and the asker may not.
func (t *tunnel) wantLocked(w *way, bits uint32) {
	if had := w.wants.Or(bits); had|bits != had && !w.fin {
		t.spawnLocked(w.putInTurn)
	}
}

func (t *tunnel) closingLocked(deadline time.Duration, patient bool) {
	t.phase, t.deadline, t.patient = phaseClosing, deadline, patient
	if patient {
		t.latest = latestClose(t.since(), t.limits.CloseTimeout, t.limits.Lifetime)
	}
	t.forgetRedialLocked()
	t.armLocked()
}

// boundLocked has a tunnel closed by a deadline, if it is not closed earlier.
func (t *tunnel) boundLocked(deadline time.Duration) {
	switch t.phase {
	case phaseOpen, phaseRedialling:
		t.closingLocked(deadline, false)
	case phaseClosing:
		t.closingLocked(min(deadline, t.closeDueLocked()), false)
	}
}

// handedOver notes that w's destination has taken all that was written to it. Where
// a Close frame was the last of it, its receiver's time begins. Called in w's turn.
func (t *tunnel) handedOver(w *way) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.telling {
		return
	}
	w.telling = false
	if t.phase == phaseClosing && t.forsakenLocked() == nil {
		t.deadline = max(t.deadline, t.since()+t.limits.CloseTimeout)
		t.armLocked()
	}
}

// causeLocked notes who ended the tunnel, and why: the first cause counts.
func (t *tunnel) causeLocked(by Party, why Reason) {
	if !t.caused {
		t.caused, t.by, t.why = true, by, why
	}
}

// frameLocked notes the first Close frame that went anywhere.
func (t *tunnel) frameLocked(code uint16, text string) {
	if code == 0 { // a Close frame without a payload
		code = wsproto.CloseNoStatus
	}
	if !t.framed {
		t.framed, t.code, t.text = true, code, text
	}
}

// peerClosed notes that w's source has sent a Close frame, which is passed on next,
// or is the answer to ours.
func (t *tunnel) peerClosed(w *way, code uint16, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.closeSeen = true
	if !w.mute {
		w.told, w.telling = true, true
		t.causeLocked(w.from, ReasonClosed)
		t.frameLocked(code, text)
	}
	if t.phase <= phaseRedialling {
		t.closingLocked(t.since()+t.limits.CloseTimeout, !w.away)
	}
	if w.away {
		t.answerLocked(t.other(w), code)
	}
	t.advanceLocked()
}

// sourceEnded notes that nothing more comes from w's source: err is io.EOF for
// an orderly end. Called in w's turn.
func (t *tunnel) sourceEnded(w *way, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == phaseCut {
		w.ended = true
		return
	}
	clean := err == io.EOF && !t.other(w).deaf
	t.causeLocked(w.from, t.endReason(clean))
	wants := wantFIN
	if t.tellLossLocked(w) {
		wants |= wantClose
	}
	w.ended = true
	w.heard.Store(int64(t.since()))
	if !clean {
		t.wantLocked(t.other(w), wantFIN) // whom it went to takes nothing any more
	}
	open := t.phase <= phaseRedialling
	switch {
	case open && w.away:
		t.closingLocked(t.since()+t.linger(), false)
		t.wantLocked(t.other(w), wantFIN) // nobody will answer
	case wants != wantFIN:
		t.closingLocked(t.since()+t.limits.CloseTimeout, false)
	case clean:
		t.armLocked() // half-closed, it has another limit
	case open || w.from == ByClient:
		t.boundLocked(t.since() + t.linger())
	}
	w.wants.Or(wants) // which the caller, whose turn it is, puts in next
	t.advanceLocked()
}

func (t *tunnel) endReason(clean bool) Reason {
	if clean && !t.websocket {
		return ReasonClosed
	}
	return ReasonLost
}

// tellLossLocked reports whether the end of w's source is a backend's that has
// gone without a word, and prepares the Close frame that tells the client: 1012,
// so that it comes back. A client that has gone itself, or has said Close, needs
// no telling.
func (t *tunnel) tellLossLocked(w *way) bool {
	lost := t.websocket && w.from == ByBackend && t.phase == phaseOpen && !t.ways[fromClient].ended
	if lost {
		w.closeCode, w.closeText = wsproto.CloseServiceRestart, "backend lost"
	}
	return lost
}

// deafLocked notes that w's destination takes nothing any more.
func (t *tunnel) deafLocked(w *way) {
	w.mute, w.deaf = true, true
}

// advanceLocked half-closes each side that has been told and has answered, cuts a
// tunnel that waits for nobody, and does not wait long for one whose peers have
// only to go.
func (t *tunnel) advanceLocked() {
	waiting, talking := false, false
	for i := range t.ways {
		out, in := &t.ways[i], t.other(&t.ways[i])
		answered := in.closeSeen || in.ended || in.gone || in.blind && t.ours
		if out.told && answered {
			t.wantLocked(out, wantFIN)
		}
		shut := out.fin || out.deaf || out.away
		waiting = waiting || !in.ended && !in.gone || !shut
		talking = talking || !in.closeSeen && !in.ended && !in.gone || !shut
	}
	switch {
	case !waiting && t.phase != phaseCut:
		t.cutLocked()
	case !talking && t.phase == phaseClosing:
		t.phase, t.deadline = phaseLingering, t.since()+t.linger()
		t.armLocked()
	}
}

// lingerLocked is what happens at the closing deadline.
func (t *tunnel) lingerLocked() {
	if in := t.forsakenLocked(); in != nil {
		t.causeLocked(in.from, ReasonLost)
		t.cutLocked()
		return
	}
	t.phase, t.deadline = phaseLingering, t.since()+t.linger()
	finished := true
	for i := range t.ways {
		w := &t.ways[i]
		if w.fin || w.deaf || w.away {
			continue
		}
		finished = false
		t.spawnLocked(w.finishNow)
	}
	if finished {
		t.cutLocked()
	}
}

// cutLocked closes both connections now, which ends every goroutine.
func (t *tunnel) cutLocked() {
	if t.phase == phaseCut {
		return
	}
	t.phase = phaseCut
	t.forgetRedialLocked()
	t.stopTimerLocked()
	close(t.cut)
	t.spawnLocked(t.closeBoth)
}

// writeFailed notes that w's destination refused bytes. What it has sent before
// (a Close frame, perhaps) may still be there to be read; that way finds its end
// by itself, or is given one.
func (t *tunnel) writeFailed(w *way) {
	t.mu.Lock()
	t.deafLocked(w)
	if t.forsakenLocked() != nil {
		t.boundLocked(t.since() + t.linger())
	}
	t.advanceLocked()
	t.mu.Unlock()
	t.hasten(w)
}

// forsakenLocked is the way from a peer that takes nothing any more and takes the
// tunnel with it: the other one has nothing to be told. nil where there is none.
// (The client of a WebSocket backend that has gone is told.)
func (t *tunnel) forsakenLocked() *way {
	for i := range t.ways {
		in := &t.ways[i]
		if t.other(in).deaf && (in.from == ByClient || !t.websocket) {
			return in
		}
	}
	return nil
}

// hasten has the way that comes from w's destination end soon.
func (t *tunnel) hasten(w *way) {
	if err := w.dst.SetReadDeadline(time.Now().Add(t.linger())); err != nil && !errors.Is(err, net.ErrClosed) {
		closeNow(w.dst)
	}
}
