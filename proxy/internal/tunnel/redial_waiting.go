package tunnel

// What a direction of a redialling tunnel knows of its destination: how much it has
// taken, so that it can be told whether another may go on from there, and, of the
// client's bytes, what waits for the next backend.

import "github.com/tunnelform/tunnelform/proxy/internal/wsproto"

// maxWaiting is how many bytes of a client's may wait for a backend. The client is
// not read beyond that.
const maxWaiting = 2 * bufferSize

// delivered is what a direction's destination has taken. Guarded by the write lock.
type delivered struct {
	walker   wsproto.Walker // behind the last byte of it
	midFrame bool           // that is inside a header or control frame

	waiting  []byte // with t.mu too; begins with a message
	messages int64  // that end in there; likewise

	// The reading goroutine's own.
	finished bool            // src has said its last word to this tunnel
	room     <-chan struct{} // to be awaited before src is read again; nil: none
}

// atMessageBoundary reports whether the destination has got whole messages.
func (v *delivered) atMessageBoundary() bool {
	return v != nil && !v.midFrame && v.walker.BetweenMessages()
}

// take notes that dst has taken p, which need not end with a frame, and returns how
// many messages end in it.
func (v *delivered) take(p []byte) (messages int64) {
	v.walker.Unlimit() // these bytes were let pass
	for len(p) > 0 {
		n, ev := v.walker.Next(p)
		switch ev.Step {
		case wsproto.StepMore, wsproto.StepViolation:
			v.midFrame = true
			return messages
		case wsproto.StepMessage:
			messages++
		}
		p = p[n:]
	}
	return messages
}

// refused notes that dst has taken n bytes of p and nothing more: a backend that is
// gone, mostly. What it has not taken waits for the next one if that can begin with it.
func (d *portableDirection) refused(p []byte, n int, messages int64) {
	if d.delivered == nil {
		d.report(event{kind: evWriteFailed})
		return
	}
	passed := d.delivered.take(p[:n])
	d.messages.Add(passed)
	if !d.delivered.atMessageBoundary() || !d.detach() {
		d.report(event{kind: evWriteFailed})
		return
	}
	d.keep(p[n:], messages-passed)
}

// detach notes that there is no dst any more, if bytes can wait for another.
func (d *portableDirection) detach() bool {
	t := d.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.index != fromClient || t.session.phase != phaseOpen {
		return false
	}
	t.applyLocked(event{kind: evDetach, dir: fromClient})
	return true
}

// watchHangup has a backend at dst noticed when it hangs up. Called where dst is set.
func (d *portableDirection) watchHangup() {
	if d.index == fromClient {
		d.hangup = newHangup(d.dst)
	}
}

// awaitLoss waits, without the write lock, while dst is a backend that has hung up and
// the direction that comes from it has not read its end yet: what is sent to it now would
// be lost. That direction finds out whether the backend is lost or has sent a Close frame.
// Between messages only: after half of one there is nothing to be saved.
func (d *portableDirection) awaitLoss() {
	for {
		noticed := d.hungUp()
		if noticed == nil {
			return
		}
		d.unlock()
		<-noticed
		d.lock()
	}
}

// hungUp is nil unless dst is to be waited for, by awaitLoss.
func (d *portableDirection) hungUp() (noticed <-chan struct{}) {
	if d.hangup == nil || d.state().write.detached() || !d.delivered.atMessageBoundary() || !d.hangup.peerHungUp() {
		return nil
	}
	t := d.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session.phase != phaseOpen || d.other().state().read == readEOF {
		return nil
	}
	r := t.redialer
	if r.noticed == nil {
		r.noticed = make(chan struct{})
	}
	return r.noticed
}

// notifyLocked wakes the reader that waits until the backend's end has been noticed.
func (r *redialer) notifyLocked() {
	if r.noticed != nil {
		close(r.noticed)
		r.noticed = nil
	}
}

// keep lets bytes wait, while there is something to wait for.
func (d *portableDirection) keep(p []byte, messages int64) {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if d.t.session.phase.ending() {
		return
	}
	d.delivered.waiting = append(d.delivered.waiting, p...)
	d.delivered.messages += messages
}

// flushWaiting writes what has waited.
func (d *portableDirection) flushWaiting() {
	d.t.mu.Lock()
	p, messages := d.delivered.waiting, d.delivered.messages
	d.delivered.waiting, d.delivered.messages = nil, 0
	d.t.mu.Unlock()
	if d.hungUp() != nil { // so soon: the direction that comes from it will find out
		d.detach()
	}
	d.write(p, messages, true) // control frames that have waited with it count as data
}

// noteRoom has the reader pause when what it reads next might be too much to wait.
func (d *portableDirection) noteRoom() {
	if d.delivered == nil || !d.state().write.detached() {
		return
	}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if !d.t.session.phase.ending() && len(d.delivered.waiting)+bufferSize > maxWaiting {
		d.delivered.room = d.t.redialer.back
	}
}

// pause waits for room, and reports whether there is nothing more to be read. A
// source that is kept waiting is not silent.
func (d *portableDirection) pause() (over bool) {
	if d.delivered == nil {
		return false
	}
	if d.delivered.room != nil {
		d.passing.Store(true)
		<-d.delivered.room
		d.delivered.room = nil
		d.passing.Store(false)
	}
	return d.delivered.finished
}
