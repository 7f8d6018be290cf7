package tunnel

// What a way of a redialling tunnel knows of its destination: how far that one has
// come, so that it can be told whether another may go on from there, and, on the
// client's way, what waits for the next one.

import "github.com/tunnelform/tunnelform/proxy/internal/wsproto"

// maxWaiting is how many bytes of a client's may wait for a backend. The client is
// not read beyond that.
const maxWaiting = 2 * bufferSize

// stand is where a way's destination stands, by turn.
type stand struct {
	walker wsproto.Walker // behind the last byte that dst has taken
	torn   bool           // which is inside a header or control frame

	waiting  []byte // with t.mu too; begins with a message
	messages int64  // that end in there; likewise

	// The pump's own.
	over bool            // src has said its last word to this tunnel
	room <-chan struct{} // to be awaited before src is read again; nil: none
}

// whole reports whether dst has got whole messages.
func (s *stand) whole() bool { return !s.torn && s.walker.BetweenMessages() }

// take notes that dst has taken p, which need not end with a frame, and returns how
// many messages end in it.
func (s *stand) take(p []byte) (messages int64) {
	s.walker.Unlimit() // these bytes were let pass
	for len(p) > 0 {
		n, ev := s.walker.Next(p)
		switch ev.Step {
		case wsproto.StepMore, wsproto.StepViolation:
			s.torn = true
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
func (w *way) refused(p []byte, n int, messages int64) {
	if w.stand == nil {
		w.t.writeFailed(w)
		return
	}
	passed := w.stand.take(p[:n])
	w.messages.Add(passed)
	if !w.stand.whole() || !w.goAway() {
		w.t.writeFailed(w)
		return
	}
	w.keep(p[n:], messages-passed)
	w.t.hasten(w)
}

// goAway notes that there is no dst any more, if the way can wait for another.
func (w *way) goAway() bool {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.from != ByClient || w.t.phase != phaseOpen {
		return false
	}
	w.awayLocked()
	return true
}

func (w *way) awayLocked() {
	w.away = true
	w.t.redialer.back = make(chan struct{})
}

// watchLine has the way notice when a backend at dst hangs up. Called where dst is set.
func (w *way) watchLine() {
	if w.from == ByClient {
		w.line = newHangup(w.dst)
	}
}

// awaitLoss waits, outside the turn, while dst is a backend that has hung up and the
// way that comes from it has not read so far: what it was sent now would be lost,
// though its end is here already. That way says what it has hung up for, a loss or
// with a Close frame of its own. Between messages only: with half of one there is
// nothing to be saved.
func (w *way) awaitLoss() {
	for {
		noticed := w.hungUp()
		if noticed == nil {
			return
		}
		w.give()
		<-noticed
		w.take()
	}
}

// hungUp is nil unless dst is to be waited for, by awaitLoss.
func (w *way) hungUp() (noticed <-chan struct{}) {
	if w.line == nil || w.away || !w.stand.whole() || !w.line.heard() {
		return nil
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	r := w.t.redialer
	if w.t.phase != phaseOpen || w.t.other(w).ended {
		return nil
	}
	if r.noticed == nil {
		r.noticed = make(chan struct{})
	}
	return r.noticed
}

// noticeLocked lets who waits for the backend's end to be noticed go on.
func (r *redialer) noticeLocked() {
	if r.noticed != nil {
		close(r.noticed)
		r.noticed = nil
	}
}

// keep has bytes wait, while there is something to wait for.
func (w *way) keep(p []byte, messages int64) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.t.phase > phaseRedialling {
		return
	}
	w.stand.waiting = append(w.stand.waiting, p...)
	w.stand.messages += messages
}

// flushWaiting writes what has waited, if that is wanted.
func (w *way) flushWaiting() {
	if w.wants.And(^wantFlush)&wantFlush == 0 {
		return
	}
	w.t.mu.Lock()
	p, messages := w.stand.waiting, w.stand.messages
	w.stand.waiting, w.stand.messages = nil, 0
	w.t.mu.Unlock()
	if w.hungUp() != nil { // so soon: the way that comes from it will find out
		w.goAway()
	}
	w.write(p, messages)
}

// noteRoom has the pump pause when what it reads next might be too much to wait.
func (w *way) noteRoom() {
	if w.stand == nil || !w.away {
		return
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.t.phase <= phaseRedialling && len(w.stand.waiting)+bufferSize > maxWaiting {
		w.stand.room = w.t.redialer.back
	}
}

// pause waits for room, and reports whether there is nothing more to be read. A
// source that is kept waiting is not silent.
func (w *way) pause() (over bool) {
	if w.stand == nil {
		return false
	}
	if w.stand.room != nil {
		w.passing.Store(true)
		<-w.stand.room
		w.stand.room = nil
		w.passing.Store(false)
	}
	return w.stand.over
}

// putFailed notes that dst refused a frame of ours.
func (w *way) putFailed() {
	if w.away { // it was the Close frame by which the backend is left
		w.t.hasten(w)
		return
	}
	w.t.writeFailed(w)
}
