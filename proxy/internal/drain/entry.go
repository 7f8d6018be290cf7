package drain

import (
	"sync/atomic"
	"time"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Entry is one tunnel of a Group, open or about to open. Safe for concurrent use.
type Entry struct {
	group  *Group
	serial uint64 // in the order of Reserve; constant
	record        // route and backend are guarded by group.mu; the rest never changes

	subprotocol atomic.Pointer[unique.Handle[string]] // nil for none

	// Guarded by group.mu.
	tunnel    tunnel.Tunnel // nil until Opened
	scheduled *scheduled    // the last, unless it was cancelled
	byHand    *scheduled    // by a drain by hand, whatever evaluations say; nil: none
	leaveFrom time.Time     // in connectingToLeave: when it was evaluated
	expiry    *time.Timer   // nil where the credential never expires
	moved     int32         // times
	lost      func()        // the Facts', until Opened
	state     state
	movable   bool
	counted   bool // in group.draining
}

// scheduled is a time at which a tunnel is told to move or to end. It is compared by
// identity: a timer may fire while it is being stopped.
type scheduled struct {
	terms
	timer *time.Timer // nil if it was told at once
	drain *Drain      // that has scheduled it; nil: none by hand
}

// terms is what tunnels that are told together have in common.
type terms struct {
	policy Policy
	why    tunnel.Reason

	rebalances bool // its backend has more than its share
}

// grace is the time between an evaluation and the first tunnel that is told.
func (t terms) grace() time.Duration {
	if t.policy.Window <= 0 {
		return 0
	}
	return Grace
}

// Opened hands the entry its tunnel.
func (e *Entry) Opened(t tunnel.Tunnel) {
	e.group.mu.Lock()
	e.tunnel, e.lost = t, nil
	command := func() {}
	if e.state == moveNotified || e.state == ending {
		command = e.commandLocked()
	}
	e.group.mu.Unlock()
	command()
}

// Remove takes the entry out of its group. It may be called more than once.
func (e *Entry) Remove() { e.BeginRemove()() }

// BeginRemove is Remove for a tunnel that still has a line of the log to come: it no
// longer counts, but Wait waits until done is called, once.
func (e *Entry) BeginRemove() (done func()) {
	g := e.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if e.state == removed {
		return func() {}
	}
	e.leaveHandLocked()
	e.handleLocked(isRemoved)
	if e.expiry != nil {
		e.expiry.Stop()
	}
	delete(g.entries, e)
	g.removing++
	return g.endRemove
}

// Route is the name of the tunnel's route as of the last reload.
func (e *Entry) Route() string {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	return e.route
}

// Backend is the tunnel's backend, in the pool that the last reload says, or the one
// that it is moving to.
func (e *Entry) Backend() upstream.BackendKey {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	return e.backend.Value()
}

// SetMovable says that the tunnel can redial. Before Opened.
func (e *Entry) SetMovable() {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.movable = true
}

// StartMove notes that the tunnel has left its backend and looks for another. It
// returns false if the tunnel must end.
func (e *Entry) StartMove() bool {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.handleLocked(startsMove)
	return e.state.isMoving()
}

// MoveTo notes the backend that the tunnel is moving to. Evaluations go by it from now
// on.
func (e *Entry) MoveTo(backend upstream.BackendKey) {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.backend = unique.Make(backend)
	e.handleLocked(choosesTarget)
}

// EndMove notes that the tunnel has a backend again. If it must leave that one too, it
// is told so as soon as the grace of the evaluation that said so is over.
func (e *Entry) EndMove() {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.moved++
	if e.handleLocked(hasMoved)&schedule != 0 {
		t := e.termsLocked(mustMove)
		e.scheduleLocked(time.Until(e.leaveFrom.Add(t.grace())), t)
	}
}

// handleLocked changes the state and does what needs no terms. The caller does the rest
// of the actions.
func (e *Entry) handleLocked(ev event) (a actions) {
	e.state, a = e.state.on(ev)
	if a&cancel != 0 {
		e.cancelLocked()
	}
	if a&remember != 0 {
		e.leaveFrom = time.Now()
	}
	e.recountLocked()
	return a
}

// termsLocked is how the tunnel goes: by its own policy, unless it is forbidden.
func (e *Entry) termsLocked(ev event) terms {
	if ev == isForbidden {
		return terms{policy: forbidden, why: tunnel.ReasonForbidden}
	}
	return terms{policy: e.policy(), why: tunnel.ReasonDrain}
}

func (e *Entry) scheduleLocked(after time.Duration, t terms) {
	e.cancelLocked()
	s := &scheduled{terms: t}
	e.scheduled = s
	s.timer = time.AfterFunc(after, func() { e.due(s) })
}

func (e *Entry) cancelLocked() {
	if e.scheduled == nil {
		return
	}
	if e.scheduled.timer != nil {
		e.scheduled.timer.Stop()
	}
	e.scheduled = nil
}

// due is s's timer.
func (e *Entry) due(s *scheduled) {
	e.group.mu.Lock()
	if e.scheduled != s || e.handleLocked(isDue)&notify == 0 {
		e.group.mu.Unlock()
		return
	}
	e.group.countToldLocked(e.route, s.terms)
	command := e.commandLocked()
	e.group.mu.Unlock()
	command()
}

// commandLocked returns what tells the tunnel to move or to end. It is called without the
// lock, since a tunnel that ends at once calls Remove. Before Opened it does nothing.
func (e *Entry) commandLocked() func() {
	open, t, moved := e.tunnel, e.scheduled.terms, int(e.moved)
	if open == nil {
		return func() {}
	}
	if m, ok := open.(tunnel.Mover); ok && e.state == moveNotified {
		return func() { m.Move(moved, t.policy.Code, t.policy.Reason, t.why) }
	}
	return func() { open.Close(t.policy.Code, t.policy.Reason, t.why) }
}
