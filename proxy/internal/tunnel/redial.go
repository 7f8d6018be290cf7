package tunnel

// Redialling: a tunnel whose backend is lost, or is to be left, continues with another
// one behind the same client's connection.
//
// It can only do so where both directions are between two messages: half a message can
// neither be taken back nor sent to another backend. Otherwise, and where no backend is
// found, the tunnel ends as it would without redial. From the loss on, what the client
// sends waits (redial_waiting.go); a client that sends Close meanwhile is answered by the
// proxy, and one that is lost takes the tunnel with it.
//
// A backend that is there and is to be left (Move, a drain) is sent Close between two
// messages of the client's, and read until it answers: so no message is lost. A backend
// that is lost takes with it the messages that it took and did not answer, because a
// message is sent to one backend at most. The backend's own Close frame ends the tunnel.

import (
	"context"
)

// redialer is what a tunnel keeps that may outlive its backend. Guarded by t.mu,
// but for dial. The session knows the states; here is what it has no room for.
type redialer struct {
	dial    Redial
	nth     int                // backends that have been replaced
	leaving *ending            // how the tunnel ends if the backend that it leaves cannot be replaced
	again   *ending            // to be leaving, for the backend that is being dialled
	cancel  context.CancelFunc // of the dial under way
	back    chan struct{}      // closed when bytes need not wait any more; nil while they do not
	noticed chan struct{}      // closed when the direction from the backend has found out that it has gone; nil while nothing waits for that
}

var _ Mover = (*tunnel)(nil)

// Move implements Mover.
func (t *tunnel) Move(nth int, code uint16, reason string, why Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := proxyEnds(why, code, reason)
	r := t.redialer
	switch {
	case r == nil || t.session.phase.ending():
		t.applyLocked(event{kind: evEnd, ending: v})
	case nth > r.nth:
		r.again = &v // that backend has just been found, and is not connected yet
	case nth == r.nth && t.session.phase == phaseOpen && r.leaving == nil:
		t.leaveLocked(v)
	}
}

// leaveLocked begins to leave a backend that is there.
func (t *tunnel) leaveLocked(v ending) {
	t.redialer.leaving = &v // forgotten at once if it ends the tunnel
	t.applyLocked(event{kind: evLeave, ending: v})
}

// carryOutRedialLocked carries out what the session has decided of a redial.
func (t *tunnel) carryOutRedialLocked(do actions) {
	r, leaving := t.redialer, t.redialer.leaving
	if do&actForget != 0 {
		r.forgetLocked()
	}
	if do&actDetached != 0 && r.back == nil {
		r.back = make(chan struct{})
	}
	if do&actDrop != 0 {
		if leaving == nil {
			v := pongTimeout(ByBackend)
			r.leaving = &v
		}
		src := t.dirs[fromBackend].src
		t.spawnLocked(func() { closeNow(src) }) // the direction that comes from it redials
	}
	if do&actEndLeaving != 0 {
		t.applyLocked(event{kind: evEnd, ending: *leaving})
	}
}

// forgetLocked ends whatever is under way of a redial.
func (r *redialer) forgetLocked() {
	if r.cancel != nil {
		r.cancel()
	}
	if r.back != nil {
		close(r.back)
	}
	r.notifyLocked()
	r.leaving, r.again, r.back = nil, nil, nil
}

// leaveAnswered reports whether a Close frame of src's answers the one by which it was
// left. It goes no further, and nothing behind it counts.
func (d *portableDirection) leaveAnswered() bool {
	if d.delivered == nil || d.index != fromBackend {
		return false
	}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	d.delivered.finished = d.delivered.finished || d.t.session.leaveAnswered()
	return d.delivered.finished
}

// redial finds another source for a direction whose source has ended, if that is a
// backend and can be replaced.
func (d *portableDirection) redial() (Endpoint, bool) {
	if d.delivered == nil || d.index != fromBackend {
		return Endpoint{}, false
	}
	ctx, why, ok := d.t.partBackend()
	if !ok {
		return Endpoint{}, false
	}
	next, err := d.t.redialer.dial(ctx, why)
	return next.Backend, d.t.takeNext(next, err)
}

// partBackend parts with a backend that has ended, and says what to redial for: not
// ok where the tunnel is to end.
func (t *tunnel) partBackend() (ctx context.Context, why Reason, ok bool) {
	in, out := &t.dirs[fromBackend], &t.dirs[fromClient]
	in.lock()
	defer in.unlock()
	if t.ending() { // the backend may well read what is being written to it
		return nil, "", false
	}
	out.lockFrom(in)
	defer out.unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	whole := in.delivered.atMessageBoundary() && out.delivered.atMessageBoundary()
	if t.applyLocked(event{kind: evBackendGone, whole: whole}); t.session.phase != phaseRedialling {
		return nil, "", false
	}
	r := t.redialer
	why = ReasonLost
	if r.leaving != nil {
		why = r.leaving.why
	}
	closeNow(in.src)
	in.held, in.delivered.finished = in.held[:0], false
	r.notifyLocked()
	ctx, r.cancel = context.WithCancel(context.Background())
	return ctx, why, true
}

// ending reports whether the tunnel is not open any more, so that no backend is
// wanted.
func (t *tunnel) ending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session.phase.ending()
}

// lockFrom takes the write lock. A writer that is blocked on the backend that has ended,
// and so keeps the lock, is unblocked by closing that.
func (d *portableDirection) lockFrom(in *portableDirection) {
	select {
	case d.writeLock <- struct{}{}:
	default:
		closeNow(in.src)
		d.lock()
	}
}

// takeNext goes on with what was found, if anything was and it is still wanted.
func (t *tunnel) takeNext(next Next, err error) bool {
	out := &t.dirs[fromClient]
	out.lock()
	defer out.unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.redialer.cancel()
	switch {
	case t.session.phase != phaseRedialling:
		if err == nil {
			closeNow(next.Backend.Conn)
		}
		return false
	case err != nil:
		t.applyLocked(event{kind: evNoNext})
		return false
	}
	t.connectLocked(next)
	return true
}

// connectLocked puts another backend in the place of the last one. Called with the write
// lock of the direction that goes there, by the goroutine of the one that comes from
// there.
func (t *tunnel) connectLocked(next Next) {
	in, out, r := &t.dirs[fromBackend], &t.dirs[fromClient], t.redialer
	in.src, out.dst = next.Backend.Conn, next.Backend.Conn
	out.watchHangup()
	in.setMeter(next.Meter)
	out.setMeter(next.Meter)
	again := r.again
	r.nth++
	t.applyLocked(event{kind: evNext, whole: len(out.delivered.waiting) > 0})
	if again != nil {
		t.leaveLocked(*again)
	}
}
