package upstream

// States that an operator gives a member by hand, for a while. The routes file does not
// know of them; an edit of the member's record ends them.

import (
	"errors"
	"time"
)

// TemporaryState is what an operator can do to a member.
type TemporaryState string

const (
	TemporaryNone    TemporaryState = "none"       // ends the one before
	TemporaryDrain   TemporaryState = "drain"      // as the routes file's drain: true
	TemporaryDisable TemporaryState = "disable"    // as disabled: true
	TemporaryDown    TemporaryState = "force_down" // as by a failed probe: nothing new, and its tunnels stay
)

// Temporary is a state until its deadline. Immutable.
type Temporary struct {
	State TemporaryState
	Until time.Time

	record string // of the member that it was given to
	timer  *time.Timer
}

var (
	ErrNoMember   = errors.New("the pool has no such backend")
	ErrLastMember = errors.New("no other backend of the pool could have new work")
)

// Temporary is the member's state by hand; nil if it has none.
func (m *Member) Temporary() *Temporary {
	if t := m.Backend.temporary.Load(); t != nil && t.record == m.Record {
		return t
	}
	return nil
}

// Drains reports whether the member's tunnels are to go, by the file or by hand.
func (m *Member) Drains() bool {
	if m.Drain {
		return true
	}
	t := m.Temporary()
	return t != nil && t.State == TemporaryDrain
}

// SetTemporary gives the member of that name a state by hand. ended is called when its
// deadline has come, but not when it is ended before. It returns whether something has
// changed. Without force it leaves the pool a member that can have new work.
func (p *Pool) SetTemporary(name string, state TemporaryState, lasts time.Duration, force bool, ended func()) (changed bool, err error) {
	p.state.mu.Lock()
	var member *Member
	others := 0
	for _, m := range p.Members() {
		switch {
		case m.Name == name:
			member = &m
		case m.usable():
			others++
		}
	}
	switch {
	case member == nil:
		err = ErrNoMember
	case state == TemporaryNone:
		changed = member.Backend.EndTemporary(nil)
	case others == 0 && !force:
		err = ErrLastMember
	default:
		member.setTemporary(state, lasts, ended)
		changed = true
	}
	p.state.mu.Unlock()
	if changed {
		p.state.queues.serve()
	}
	return changed, err
}

func (m *Member) setTemporary(state TemporaryState, lasts time.Duration, ended func()) {
	t := &Temporary{State: state, Until: time.Now().Add(lasts), record: m.Record}
	backend := m.Backend
	set := make(chan struct{})
	t.timer = time.AfterFunc(lasts, func() {
		<-set
		if backend.EndTemporary(t) {
			backend.serveQueues()
			ended()
		}
	})
	if before := backend.temporary.Swap(t); before != nil {
		before.timer.Stop()
	}
	close(set)
}

// EndTemporary ends the backend's state by hand, only that one if one is given, and reports
// whether it did.
func (b *Backend) EndTemporary(only *Temporary) bool {
	t := b.temporary.Load()
	if t == nil || only != nil && t != only || !b.temporary.CompareAndSwap(t, nil) {
		return false
	}
	t.timer.Stop()
	return true
}

// EndTemporaries ends the states by hand of p's members that next, the pool of that name in
// the next generation or nil, does not have, or has by another record.
func (p *Pool) EndTemporaries(next *Pool) {
	for _, m := range p.Members() {
		if m.Backend.temporary.Load() != nil && !next.continues(&m) {
			m.Backend.EndTemporary(nil)
		}
	}
}

func (p *Pool) continues(m *Member) bool {
	if p == nil {
		return false
	}
	for _, n := range p.Members() {
		if n.Backend == m.Backend && n.Temporary() != nil {
			return true
		}
	}
	return false
}
