package tunnel

// When a tunnel ends by itself, and when a peer is pinged. A tunnel has one
// timer, set to the earliest thing that may be due; bytes that flow only stamp
// the time on their way, and the timer looks at the stamps when it fires, so
// that a message costs no timer.

import (
	"math"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const never = time.Duration(math.MaxInt64)

// fire is the timer's function.
func (t *tunnel) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armLocked()
}

// armLocked does what is due and sets the timer to what is due next.
func (t *tunnel) armLocked() {
	next := t.dueLocked(t.since())
	switch {
	case next == never || t.phase == phaseCut:
		t.stopTimerLocked()
	case t.timer == nil:
		t.timer = time.AfterFunc(next-t.since(), t.fire)
	default:
		t.timer.Reset(next - t.since())
	}
}

func (t *tunnel) stopTimerLocked() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// dueLocked does what is due now and returns when to look again.
func (t *tunnel) dueLocked(now time.Duration) time.Duration {
	switch t.phase {
	case phaseOpen, phaseRedialling:
		return min(t.openDueLocked(now), t.leaveDueLocked(now))
	case phaseClosing:
		return t.closingDueLocked(now)
	case phaseLingering:
		if now < t.deadline {
			return t.deadline
		}
		t.cutLocked()
	}
	return never
}

func (t *tunnel) closingDueLocked(now time.Duration) time.Duration {
	if due := t.closeDueLocked(); now < due {
		return due
	}
	t.lingerLocked()
	return t.deadline
}

// closeDueLocked is when a tunnel that is closing is overdue.
func (t *tunnel) closeDueLocked() time.Duration {
	if !t.patient {
		return t.deadline
	}
	var answered time.Duration
	for i := range t.ways {
		if w := &t.ways[i]; !w.closeSeen || w.telling {
			answered = max(answered, w.movedAt())
		}
	}
	return closeDue(t.deadline, answered, t.latest, t.limits.CloseTimeout)
}

// openDueLocked looks at an open tunnel's limits. The first one that is over
// ends the tunnel, which sets the timer for the phase that follows.
func (t *tunnel) openDueLocked(now time.Duration) time.Duration {
	next := never
	for _, limit := range [...]struct {
		after time.Duration // 0 is no limit
		from  time.Duration
		why   Reason
	}{
		{t.limits.Lifetime, 0, ReasonLifetime},
		{t.limits.Idle, t.lastMoved(), ReasonIdle},
		{t.idleFrom(fromClient, t.limits.IdleFromClient), t.ways[fromClient].movedAt(), ReasonIdle},
		{t.idleFrom(fromBackend, t.limits.IdleFromBackend), t.ways[fromBackend].movedAt(), ReasonIdle},
	} {
		if limit.after <= 0 {
			continue
		}
		if now >= limit.from+limit.after {
			t.endLocked(bothTold(limit.why, wsproto.CloseGoingAway, string(limit.why)))
			return t.deadline
		}
		next = min(next, limit.from+limit.after)
	}
	for i := range t.ways {
		next = min(next, t.pingDueLocked(&t.ways[i], now))
		if t.phase > phaseRedialling {
			return t.deadline
		}
	}
	return next
}

// bothTold is an ending by the proxy with the same Close frame each way.
func bothTold(why Reason, code uint16, text string) ending {
	return ending{by: ByProxy, why: why, code: [2]uint16{code, code}, text: text}
}

func (t *tunnel) lastMoved() time.Duration {
	return max(t.ways[fromClient].movedAt(), t.ways[fromBackend].movedAt())
}

// idleFrom is a one-way idle limit, which ends with its way.
func (t *tunnel) idleFrom(way int, limit time.Duration) time.Duration {
	if t.ways[way].ended {
		return 0
	}
	return limit
}

// pingDueLocked pings the peer that w goes to once nothing has been heard from it
// for its limit, and ends the tunnel when it stays silent after that. Anything
// heard is a sign of life, not the pong alone: that may have to wait behind a
// large frame.
func (t *tunnel) pingDueLocked(w *way, now time.Duration) time.Duration {
	in := t.other(w)
	every := t.limits.PingBackend
	if in.from == ByClient {
		every = t.limits.PingClient
	}
	switch {
	case !t.websocket || w.deaf || w.away:
		return never
	case in.ended:
		return t.halfClosedDueLocked(w, in, every, now)
	case every <= 0 || w.mute || w.blind || in.blind: // no ping would come there
		return never
	}
	heard := in.heardAt(now)
	if w.pingedAt > heard {
		return min(t.pongDueLocked(w, in, now), now+every) // heard by then, it is pinged again
	}
	if now < heard+every {
		return heard + every
	}
	w.pingedAt = now
	t.wantLocked(w, wantPing)
	return now + min(t.limits.Pong, every)
}

// halfClosedDueLocked ends the tunnel when a peer that has half-closed has shown
// for long enough that it is not there.
func (t *tunnel) halfClosedDueLocked(w, in *way, every, now time.Duration) time.Duration {
	due := halfClosedDue(time.Duration(in.heard.Load()), w.movedAt(), time.Duration(w.heard.Load()), w.passing.Load(),
		every, t.limits.Pong)
	if now >= due {
		t.endLocked(pongTimeout(in))
		return t.deadline
	}
	if every > 0 { // bytes that wait by then may have a shorter limit
		return min(due, now+every+t.limits.Pong)
	}
	return due
}

// pongDueLocked waits for a sign of life from a peer that was pinged. While the
// ping itself still waits for the end of a large frame, that frame's progress
// counts as one.
func (t *tunnel) pongDueLocked(w, in *way, now time.Duration) time.Duration {
	from := w.pingedAt
	if w.wants.Load()&wantPing != 0 {
		from = max(from, w.movedAt())
	}
	if now < from+t.limits.Pong {
		return from + t.limits.Pong
	}
	if t.dropBackendLocked(in, pongTimeout(in)) {
		return never
	}
	t.endLocked(pongTimeout(in))
	return t.deadline
}

// pongTimeout is the ending for a peer, the source of in, that is not there.
func pongTimeout(in *way) ending {
	e := bothTold(ReasonPongTimeout, wsproto.CloseGoingAway, string(ReasonPongTimeout))
	if in.from == ByBackend {
		e.code[fromBackend] = wsproto.CloseServiceRestart // as for a backend that is lost
	}
	e.gone = in
	return e
}
