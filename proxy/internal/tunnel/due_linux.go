package tunnel

// When a tunnel on a loop ends by itself, and when a peer is pinged: the rules of
// timers.go. Bytes that flow only stamp the time, and the wheel has the stamps
// looked at when something may be due.

import (
	"math"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const noTime = int64(math.MaxInt64)

func since(start, now int64) time.Duration { return time.Duration(now - start) }

// due does what is due now and returns when to look again.
func (l *loop) due(t *slot) int64 {
	next := noTime
	for i := range t.lanes {
		next = min(next, l.quitDue(t, &t.lanes[i]))
	}
	switch t.phase {
	case phaseOpen:
		next = min(next, l.openDue(t))
	case phaseClosing:
		next = min(next, l.closingDue(t))
	case phaseLingering:
		if l.now >= t.deadline {
			l.cut(t)
		}
		next = min(next, t.deadline)
	}
	return next
}

// quitDue gives up a source whose peer has refused bytes.
func (l *loop) quitDue(t *slot, w *lane) int64 {
	if w.quitAt == 0 || w.ended {
		return noTime
	}
	if l.now >= w.quitAt {
		l.sourceEnded(t, w, false)
		return noTime
	}
	return w.quitAt
}

func (l *loop) closingDue(t *slot) int64 {
	if due := l.closeDue(t); l.now < due {
		return due
	}
	l.overdue(t)
	return t.deadline
}

// closeDue is when a tunnel that is closing is overdue.
func (l *loop) closeDue(t *slot) int64 {
	if !t.patient {
		return t.deadline
	}
	var answered int64
	for i := range t.lanes {
		if w := &t.lanes[i]; !w.closeSeen || w.telling {
			answered = max(answered, w.moved)
		}
	}
	return int64(closeDue(time.Duration(t.deadline), time.Duration(answered), time.Duration(t.latest),
		l.limits.at(t.limits).CloseTimeout))
}

// lifetimeEnd is when the tunnel's lifetime is over; 0 is never.
func (t *slot) lifetimeEnd() int64 {
	if t.lifetime <= 0 {
		return 0
	}
	return t.start + t.lifetime
}

func (t *slot) lastMoved() int64 {
	return max(t.lanes[fromClient].moved, t.lanes[fromBackend].moved)
}

// openDue looks at an open tunnel's limits. The first one that is over ends the
// tunnel.
func (l *loop) openDue(t *slot) int64 {
	limits := l.limits.at(t.limits)
	c, b := &t.lanes[fromClient], &t.lanes[fromBackend]
	next := noTime
	for _, limit := range [...]struct {
		after int64 // 0 is no limit
		from  int64
		why   Reason
	}{
		{t.lifetime, t.start, ReasonLifetime},
		{int64(limits.Idle), t.lastMoved(), ReasonIdle},
		{c.idle(limits.IdleFromClient), c.moved, ReasonIdle},
		{b.idle(limits.IdleFromBackend), b.moved, ReasonIdle},
	} {
		if limit.after <= 0 {
			continue
		}
		if l.now >= limit.from+limit.after {
			l.end(t, bothToldOf(limit.why, wsproto.CloseGoingAway, string(limit.why)))
			return t.deadline
		}
		next = min(next, limit.from+limit.after)
	}
	return min(next, l.pingsDue(t, limits))
}

// idle is a one-way idle limit, which ends with its lane.
func (w *lane) idle(limit time.Duration) int64 {
	if w.ended {
		return 0
	}
	return int64(limit)
}

func (l *loop) pingsDue(t *slot, limits *Limits) int64 {
	next := noTime
	for i := range t.lanes {
		w := &t.lanes[i]
		every := limits.PingBackend
		if w.from == ByBackend {
			every = limits.PingClient
		}
		next = min(next, l.pingDue(t, w, int64(every), int64(limits.Pong)))
		if t.phase != phaseOpen {
			return t.deadline
		}
	}
	return next
}

// heardAt is when src was last heard. A lane that waits for dst does not listen,
// and cannot say that src is silent.
func (l *loop) heardAt(w *lane) int64 {
	if w.blocked {
		return l.now
	}
	return max(w.heard, w.moved)
}

// pingDue pings the peer that w goes to once nothing has been heard from it for
// so long, and ends the tunnel when it stays silent after that.
func (l *loop) pingDue(t *slot, w *lane, every, pong int64) int64 {
	in := t.other(w)
	switch {
	case !t.websocket || w.deaf:
		return noTime
	case in.ended:
		return l.halfClosedDue(t, w, in, every, pong)
	case every <= 0 || w.mute || w.blind || in.blind: // no ping would come there
		return noTime
	}
	heard := l.heardAt(in)
	if w.pingedAt > heard {
		return min(l.pongDue(t, w, in, pong), l.now+every) // heard by then, it is pinged again
	}
	if l.now < heard+every {
		return heard + every
	}
	w.pingedAt = l.now
	w.want(wantPing)
	return l.now + min(pong, every)
}

// halfClosedDue ends the tunnel when a peer that has half-closed has shown for long
// enough that it is not there.
func (l *loop) halfClosedDue(t *slot, w, in *lane, every, pong int64) int64 {
	due := int64(halfClosedDue(time.Duration(in.heard), time.Duration(w.moved), time.Duration(w.heard), w.blocked,
		time.Duration(every), time.Duration(pong)))
	if l.now >= due {
		l.end(t, pongTimeoutOf(in))
		return t.deadline
	}
	if every > 0 { // bytes that wait by then may have a shorter limit
		return min(due, l.now+every+pong)
	}
	return due
}

// pongDue waits for a sign of life from a peer that was pinged. While the ping
// itself still waits for the end of a large frame, that frame's progress counts
// as one.
func (l *loop) pongDue(t *slot, w, in *lane, pong int64) int64 {
	from := w.pingedAt
	if w.wanted(wantPing) {
		from = max(from, w.moved)
	}
	if l.now < from+pong {
		return from + pong
	}
	l.end(t, pongTimeoutOf(in))
	return t.deadline
}

// pongTimeoutOf is the end for a peer, the source of in, that is not there.
func pongTimeoutOf(in *lane) loopVerdict {
	v := bothToldOf(ReasonPongTimeout, wsproto.CloseGoingAway, string(ReasonPongTimeout))
	if in.from == ByBackend {
		v.code[fromBackend] = wsproto.CloseServiceRestart // as for a backend that is lost
	}
	v.gone = in
	return v
}
