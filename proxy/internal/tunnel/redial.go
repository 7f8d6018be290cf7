package tunnel

// Redialling: a tunnel whose backend goes, or is left, goes on with another one
// behind the same client's connection.
//
// That can only be where both directions stand between two messages: half a message
// can neither be taken back nor told to somebody else. Otherwise, and where nobody
// is found, the tunnel ends as it would have without. From the loss on, what the
// client sends waits (waiting.go); a client that says Close meanwhile is answered by
// the proxy, and one that goes takes the tunnel with it.
//
// A backend that is there and is to be left (Move, a drain) is told Close between two
// messages of the client's, and heard out until its answer: nothing is lost then. Of
// one that is lost, messages that it took and did not answer are lost with it: a
// message goes to one backend at most. Its own Close frame ends the tunnel, whatever
// is under way.

import (
	"context"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// redialer is what a tunnel keeps that may outlive its backend. Guarded by t.mu,
// but for dial.
type redialer struct {
	dial    Redial
	nth     int                // backends that have been replaced
	leaving *ending            // the proxy leaves the backend: how the tunnel ends if that cannot be
	due     time.Duration      // by when the backend must have been left; 0: no limit
	dropped bool               // the backend's connection is being closed, for leaving
	again   *ending            // to be leaving, for the backend that is being dialled
	cancel  context.CancelFunc // of the dial under way
	back    chan struct{}      // closed when bytes need not wait any more; nil while they do not
	noticed chan struct{}      // closed when the way from the backend has found out that it has gone; nil while nobody waits
}

var _ Mover = (*tunnel)(nil)

// Move implements Mover.
func (t *tunnel) Move(nth int, code uint16, reason string, why Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := ending{why: why, code: [2]uint16{code, code}, text: reason}
	r := t.redialer
	switch {
	case r == nil || t.phase > phaseRedialling:
		t.endLocked(e)
	case nth > r.nth:
		r.again = &e // that backend has just been found, and is not connected yet
	case nth == r.nth && t.phase == phaseOpen && r.leaving == nil:
		t.leaveLocked(e)
	}
}

// leaveLocked begins to leave a backend that is there.
func (t *tunnel) leaveLocked(e ending) {
	in, out := &t.ways[fromBackend], &t.ways[fromClient]
	if out.ended || out.mute || out.blind || in.blind {
		t.endLocked(e)
		return
	}
	t.redialer.leaving, t.redialer.due = &e, t.since()+t.limits.CloseTimeout
	t.wantLocked(out, wantLeave)
	t.armLocked()
}

// chooseLeaveLocked is the Close frame for a backend that is left. From there on
// what the client sends is for the next one.
func (w *way) chooseLeaveLocked() []byte {
	switch {
	case w.wants.Load()&wantLeave == 0:
		return nil
	case w.t.phase != phaseOpen || w.t.redialer.leaving == nil || w.mute || w.away:
		w.wants.And(^wantLeave)
		return nil
	case !w.stand.whole():
		return nil
	}
	w.wants.And(^wantLeave)
	w.told = true
	w.awayLocked()
	w.t.redialer.due = w.t.since() + w.t.limits.CloseTimeout
	w.t.armLocked()
	e := w.t.redialer.leaving
	return wsproto.AppendClose(nil, e.code[fromClient], e.text, w.mask())
}

// leaveAnswered reports whether a Close frame of w's source answers the one by which
// it was left. It goes no further, and nothing behind it counts.
func (w *way) leaveAnswered() bool {
	if w.stand == nil || w.from != ByBackend {
		return false
	}
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != phaseOpen || t.redialer.leaving == nil || !t.other(w).told {
		return false
	}
	w.stand.over = true
	return true
}

// leaveDueLocked ends the patience with a backend that is being left: one that was
// told is dropped, and with a client that is still in its message there is no redial.
func (t *tunnel) leaveDueLocked(now time.Duration) time.Duration {
	r := t.redialer
	switch {
	case r == nil || r.leaving == nil || r.due == 0:
		return never
	case now < r.due:
		return r.due
	}
	r.due = 0
	if t.ways[fromClient].away {
		t.dropBackendLocked(&t.ways[fromBackend], *r.leaving)
		return never
	}
	t.endLocked(*r.leaving)
	return t.deadline
}

// dropBackendLocked closes the connection of a backend that does not answer, so that
// the way which comes from it ends, and redials. If that cannot be, e ends the
// tunnel. It reports whether the tunnel can redial at all.
func (t *tunnel) dropBackendLocked(in *way, e ending) bool {
	r := t.redialer
	if r == nil || in.from != ByBackend || t.phase != phaseOpen {
		return false
	}
	if r.dropped {
		return true
	}
	r.dropped = true
	if r.leaving == nil {
		r.leaving = &e
	}
	src := in.src
	t.spawnLocked(func() { closeNow(src) })
	return true
}

// redial finds another source for a way whose source has ended, if that is a backend
// and can be replaced.
func (w *way) redial() (Endpoint, bool) {
	if w.stand == nil || w.from != ByBackend {
		return Endpoint{}, false
	}
	ctx, why, ok := w.t.partBackend()
	if !ok {
		return Endpoint{}, false
	}
	next, err := w.t.redialer.dial(ctx, why)
	return next.Backend, w.t.takeNext(next, err)
}

// partBackend parts with a backend that has ended, and says what to redial for: not
// ok where the tunnel is to end.
func (t *tunnel) partBackend() (ctx context.Context, why Reason, ok bool) {
	in, out := &t.ways[fromBackend], &t.ways[fromClient]
	in.take()
	defer in.give()
	if t.ending() { // the backend may well read what is being written to it
		return nil, "", false
	}
	out.takeFrom(in)
	defer out.give()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mayRedialLocked() {
		t.giveUpLocked()
		return nil, "", false
	}
	why = ReasonLost
	if t.redialer.leaving != nil {
		why = t.redialer.leaving.why
	}
	closeNow(in.src)
	in.held, in.stand.over = in.held[:0], false
	t.phase = phaseRedialling
	if !out.away {
		out.awayLocked()
	}
	t.redialer.noticeLocked()
	ctx, t.redialer.cancel = context.WithCancel(context.Background())
	t.armLocked()
	return ctx, why, true
}

// ending reports whether the tunnel is not open any more, so that no backend is
// wanted.
func (t *tunnel) ending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase > phaseRedialling
}

// takeFrom takes the turn, from whom it keeps waiting for a backend that has ended
// if need be.
func (w *way) takeFrom(in *way) {
	select {
	case w.turn <- struct{}{}:
	default:
		closeNow(in.src)
		w.take()
	}
}

// mayRedialLocked says whether a backend that has ended can be replaced. Called in
// both ways' turns.
func (t *tunnel) mayRedialLocked() bool {
	in, out := &t.ways[fromBackend], &t.ways[fromClient]
	return t.phase == phaseOpen && !out.ended && !in.mute && !out.mute && in.stand.whole() && out.stand.whole()
}

// takeNext goes on with what was found, if anything was and it is still wanted.
func (t *tunnel) takeNext(next Next, err error) bool {
	out := &t.ways[fromClient]
	out.take()
	defer out.give()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.redialer.cancel()
	switch {
	case t.phase != phaseRedialling:
		if err == nil {
			closeNow(next.Backend.Conn)
		}
		return false
	case err != nil:
		t.phase = phaseOpen
		t.giveUpLocked()
		return false
	}
	t.connectLocked(next)
	return true
}

// giveUpLocked ends a tunnel that was to leave its backend and cannot. One that has
// lost it ends as any other.
func (t *tunnel) giveUpLocked() {
	if e := t.redialer.leaving; e != nil {
		t.endLocked(*e)
	}
}

// connectLocked puts another backend in the place of the last one. Called in the
// turn of the way that goes there, by the pump of the one that comes from there.
func (t *tunnel) connectLocked(next Next) {
	in, out, r := &t.ways[fromBackend], &t.ways[fromClient], t.redialer
	t.phase = phaseOpen
	in.src, out.dst = next.Backend.Conn, next.Backend.Conn
	out.watchLine()
	in.setMeter(next.Meter)
	out.setMeter(next.Meter)
	in.heard.Store(int64(t.since()))
	out.pingedAt, out.told, out.away = 0, false, false
	again := r.again
	r.nth++
	t.forgetRedialLocked()
	if len(out.stand.waiting) > 0 {
		t.wantLocked(out, wantFlush)
	}
	if again != nil {
		t.leaveLocked(*again)
	}
	t.armLocked()
}

// forgetRedialLocked ends whatever is under way of a redial.
func (t *tunnel) forgetRedialLocked() {
	r := t.redialer
	if r == nil {
		return
	}
	if r.cancel != nil {
		r.cancel()
	}
	if r.back != nil {
		close(r.back)
	}
	r.noticeLocked()
	r.leaving, r.due, r.dropped, r.again, r.back = nil, 0, false, nil, nil
}

// answerLocked answers a client's Close frame in the place of a backend that is not there.
func (t *tunnel) answerLocked(w *way, code uint16) {
	if code != wsproto.CloseNoStatus && !wsproto.ValidOnWire(code) {
		code = wsproto.CloseProtocolError
	}
	w.closeCode, w.closeText = code, ""
	t.wantLocked(w, wantClose)
}
