package drain

// Moving: a tunnel that can redial and has to leave its backend, but not its route,
// has its turn like any other, and then moves to another backend instead of ending. One
// whose backend is lost moves by itself. While it does, it counts with no backend, and
// a judgement on where it is going to is kept until it is there.
//
// A move is never in the way of an end: a tunnel that is to end does, wherever it is.

import (
	"time"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// MayMove says that the tunnel can redial. Before Opened.
func (e *Entry) MayMove() {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.mayMove = true
}

// Backend is the tunnel's backend, in the pool that the last reload says, or the one
// that it is moving to.
func (e *Entry) Backend() upstream.BackendKey {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	return e.backend.Value()
}

// Moving notes that the tunnel is without a backend from now on and looks for
// another. It reports whether it may: not one that is on its way out.
func (e *Entry) Moving() bool {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	switch {
	case e.turn == nil:
		e.turn = &turn{move: true}
	case !e.turn.move:
		return false
	}
	e.letOffTimerLocked()
	e.turn.own, e.told = true, true
	return true
}

// Towards notes where the tunnel is moving to. Whatever is judged from now on is
// judged of that backend.
func (e *Entry) Towards(backend upstream.BackendKey) {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.backend, e.bound, e.again = unique.Make(backend), true, time.Time{}
}

// Moved notes that the tunnel has arrived. Judged meanwhile to leave again, it is
// told to as soon as the judgement's Grace is over.
func (e *Entry) Moved() {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.moved++
	again := e.again
	e.bound, e.again = false, time.Time{}
	if e.turn == nil || !e.turn.move {
		return
	}
	e.turn, e.told = nil, false
	if !again.IsZero() {
		d := e.departureLocked(Verdict{Move: true})
		e.scheduleLocked(time.Until(again.Add(d.grace())), d)
	}
}

// Moving is how many tunnels are between two backends.
func (g *Group) Moving() (n int) {
	defer g.walk()()
	for e := range g.entries {
		if e.turn != nil && e.turn.move && e.told {
			n++
		}
	}
	return n
}

// goingLocked says that the tunnel was told to end.
func (e *Entry) goingLocked() bool { return e.told && !e.turn.move }

// departureLocked is how the tunnel goes: by its own policy, unless it is forbidden.
func (e *Entry) departureLocked(v Verdict) departure {
	if v.Forbidden {
		return departure{policy: forbidden, why: tunnel.ReasonForbidden, forbidden: true}
	}
	return departure{policy: e.policy(), why: tunnel.ReasonDrain, move: v.Move && e.mayMove}
}

// leavesAlreadyLocked says that the tunnel needs no turn for a departure: it has one,
// or is moving. One that is moving and has to end needs another, and so does one that
// was forbidden and no longer is, or the other way round.
func (e *Entry) leavesAlreadyLocked(d departure) bool {
	switch {
	case e.turn == nil:
		return false
	case !e.told && e.turn.forbidden != d.forbidden:
		e.letOffLocked()
		return false
	case !e.told:
		e.turn.move = d.move
		return true
	case d.move:
		if e.again.IsZero() && e.bound {
			e.again = time.Now()
		}
		return true
	}
	e.turn, e.told = nil, false
	return false
}
