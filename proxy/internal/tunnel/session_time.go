package tunnel

// What time alone does to a session: limits, pings, deadlines. The rules are
// functions of the stamps in the directions, looked at when one may be due, so that a
// message costs no timer.

import (
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const (
	// halfClosedSilence bounds a WebSocket tunnel whose peer has half-closed
	// without a Close frame. Such a peer cannot answer a ping: only taking bytes
	// shows that it is there, and with none to take it is given up.
	halfClosedSilence = time.Minute
	// closeExtension is how many close timeouts the receiver of a Close frame has
	// in all while it goes on sending and its peer takes that.
	closeExtension = 4
)

// tick does what is due, and asks for the next look.
func (k *step) tick() {
	for i := range k.dirs {
		switch d := &k.dirs[i]; {
		case d.giveUpAt == 0:
		case k.now < d.giveUpAt:
			k.look(d.giveUpAt)
		default: // its peer has refused bytes a while ago
			d.giveUpAt = 0
			k.do |= actGiveUp << i
		}
	}
	switch k.phase {
	case phaseOpen, phaseRedialling:
		k.openDue()
		k.leaveDue()
	case phaseAnswering, phaseClosing:
		if due := k.closeDue(); k.now < due {
			k.look(due)
		} else {
			k.overdue()
		}
	case phaseLingering:
		k.look(k.deadline)
		if k.now >= k.deadline {
			k.cut()
		}
	}
}

// closeDue is when a tunnel that is closing is overdue.
func (k *step) closeDue() time.Duration {
	if k.phase != phaseAnswering {
		return k.deadline
	}
	var answered time.Duration
	for i := range k.dirs { // what the sender of the Close sends behind it has no part in it
		if d := &k.dirs[i]; d.write == writeOpen || d.write.onItsWay() {
			answered = max(answered, d.moved)
		}
	}
	return closeDue(k.deadline, answered, k.latest, k.limits.CloseTimeout)
}

// lifetimeEnd is when the tunnel's lifetime is over; 0 is never.
func (s *session) lifetimeEnd() time.Duration {
	if s.lifetime <= 0 {
		return 0
	}
	return s.start + s.lifetime
}

// openDue looks at an open tunnel's limits. The first one that is over ends it.
func (k *step) openDue() {
	c, b := &k.dirs[fromClient], &k.dirs[fromBackend]
	for _, limit := range [...]struct {
		after, from time.Duration // after 0 is no limit
		why         Reason
	}{
		{k.lifetime, k.start, ReasonLifetime},
		{k.limits.Idle, max(c.active(k.limits), b.active(k.limits)), ReasonIdle},
		{c.idle(k.limits.IdleFromClient), c.active(k.limits), ReasonIdle},
		{b.idle(k.limits.IdleFromBackend), b.active(k.limits), ReasonIdle},
	} {
		if limit.after <= 0 {
			continue
		}
		if k.now >= limit.from+limit.after {
			k.end(proxyEnds(limit.why, wsproto.CloseGoingAway, string(limit.why)))
			return
		}
		k.look(limit.from + limit.after)
	}
	for i := range k.dirs {
		if !k.phase.ending() {
			k.pingDue(i)
		}
	}
}

// idle is a one-way idle limit, which ends with its direction.
func (d *direction) idle(limit time.Duration) time.Duration {
	if d.read == readEOF {
		return 0
	}
	return limit
}

// active is when the destination last took bytes of the source's that idle limits count.
// Where frames cannot be told apart, all are.
func (d *direction) active(l *Limits) time.Duration {
	if !l.IdleCountsData || d.opaque {
		return d.moved
	}
	return d.data
}

// heardAt is when the source was last heard. A direction that waits for its
// destination does not listen, and cannot say that the source is silent.
func (d *direction) heardAt(now time.Duration) time.Duration {
	if d.waiting {
		return now
	}
	return max(d.heard, d.moved)
}

// pings is how long a peer may be silent before it is pinged; 0 is for ever.
func (l *Limits) pings(peer Party) time.Duration {
	if peer == ByClient {
		return l.PingClient
	}
	return l.PingBackend
}

// pingDue pings the peer that a direction goes to once nothing has been heard from it
// for its limit, and ends the tunnel when it stays silent after that. Anything heard
// is a sign of life, not the pong alone: that may have to wait behind a large frame.
func (k *step) pingDue(dir int) {
	out, in := &k.dirs[dir], &k.dirs[1-dir]
	every := k.limits.pings(from(1 - dir))
	switch {
	case !k.webSocket || out.write == writeFailed || out.write.detached():
		return
	case in.read == readEOF:
		k.halfClosedDue(dir, every)
		return
	case every <= 0 || out.write.discards() || out.opaque || in.opaque: // no ping would come there
		return
	}
	heard := in.heardAt(k.now)
	switch {
	case out.pingedAt > heard:
		k.look(k.now + every) // heard by then, it is pinged again
		k.pongDue(dir)
	case k.now < heard+every:
		k.look(heard + every)
	default:
		out.pingedAt = k.now
		k.want(dir, pendingPing)
		k.look(k.now + min(k.limits.Pong, every))
	}
}

// halfClosedDue ends the tunnel when a peer that has half-closed has shown for long
// enough that it is not there.
func (k *step) halfClosedDue(dir int, every time.Duration) {
	out, in := &k.dirs[dir], &k.dirs[1-dir]
	due := halfClosedDue(in.heard, out.moved, out.heard, out.waiting, every, k.limits.Pong)
	if k.now >= due {
		k.end(pongTimeout(from(1 - dir)))
		return
	}
	k.look(due)
	if every > 0 { // bytes that wait by then may have a shorter limit
		k.look(k.now + every + k.limits.Pong)
	}
}

// pongDue waits for a sign of life from a peer that was pinged. While the ping itself
// still waits for the end of a large frame, that frame's progress counts as one.
func (k *step) pongDue(dir int) {
	out := &k.dirs[dir]
	at := out.pingedAt
	if out.pending&pendingPing != 0 {
		at = max(at, out.moved)
	}
	if due := at + k.limits.Pong; k.now < due {
		k.look(due)
		return
	}
	if peer := from(1 - dir); peer != ByBackend || !k.drop() {
		k.end(pongTimeout(peer))
	}
}

// leaveDue ends the patience with a backend that is being left: one that was told is
// dropped, and with a client that is still in its message there is no other.
func (k *step) leaveDue() {
	switch {
	case k.phase.ending() || k.leaveBy == 0:
	case k.now < k.leaveBy:
		k.look(k.leaveBy)
	case k.dirs[fromClient].write.detached():
		k.leaveBy = 0
		k.drop()
	default:
		k.leaveBy = 0
		k.do |= actEndLeaving
	}
}

// halfClosedDue is when a WebSocket tunnel ends because one side has half-closed
// without a Close frame. ended is when it did, took when it last took bytes;
// offered is when bytes for it last came, and waiting says that some of them wait.
// ping and pong are the times in which a silent peer is found out otherwise.
func halfClosedDue(ended, took, offered time.Duration, waiting bool, ping, pong time.Duration) time.Duration {
	if !waiting {
		return max(ended, took) + halfClosedSilence
	}
	patience := halfClosedSilence
	if ping > 0 {
		patience = ping + pong
	}
	return max(ended, took, offered) + patience
}

// closeDue is when the receiver of a Close frame has had its time. deadline is
// close_timeout after the frame was handed to the receiver's socket, answered when
// the sender of the Close last took bytes of the receiver's, and latest the time
// from which those move the deadline no more. Nothing that the sender of the Close
// sends has a part in it.
func closeDue(deadline, answered, latest, timeout time.Duration) time.Duration {
	return max(deadline, min(answered+timeout, latest))
}

// latestClose is closeDue's latest for a Close frame that was read now. lifetimeEnd
// is when the tunnel's lifetime is over; 0 is never.
func latestClose(now, timeout, lifetimeEnd time.Duration) time.Duration {
	latest := now + closeExtension*timeout
	if lifetimeEnd > 0 {
		latest = min(latest, lifetimeEnd)
	}
	return latest
}
