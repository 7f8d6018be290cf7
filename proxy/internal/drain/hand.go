package drain

// Drains by hand: an operator tells tunnels to go, whatever the routes say of them. Such a
// time stands beside what evaluations schedule, and the earlier one counts: no reload
// cancels it.

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

const (
	maxDrains   = 20  // under way
	keptDrains  = 100 // and those that are over
	drainIDSize = 12  // characters
)

// ErrTooManyDrains is for a drain beyond the 20 that may be under way.
var ErrTooManyDrains = errors.New("too many drains are under way")

// Manner is how a drain by hand tells tunnels. What is nil is as each tunnel's own policy
// says.
type Manner struct {
	Window *time.Duration
	Code   *uint16
	Reason *string
}

func (m Manner) of(p Policy) terms {
	if m.Window != nil {
		p.Window = *m.Window
	}
	if m.Code != nil {
		p.Code = *m.Code
	}
	if m.Reason != nil {
		p.Reason = *m.Reason
	}
	p.Keep = false
	return terms{policy: p, why: tunnel.ReasonOperator}
}

// Drain is a drain by hand. Its fields are guarded by its group's mutex.
type Drain struct{ DrainStatus }

// DrainStatus is a drain at one moment. Tunnels are those that it began with.
type DrainStatus struct {
	ID      string
	Query   Query
	Manner  Manner
	Began   time.Time
	Tunnels int
	Waiting int // they are not told yet
	Told    int // by this drain
	Ended   int // of those that were told
	Spared  int // by Spare, or by a later drain
}

// Over says that nothing more comes of it.
func (d DrainStatus) Over() bool { return d.Waiting == 0 && d.Ended == d.Told }

// DrainByHand schedules the end of the tunnels that match, spread over the window of each.
func (g *Group) DrainByHand(q Query, m Manner) (DrainStatus, error) {
	defer g.scan()()
	entries := g.matchLocked(q)
	d := &Drain{DrainStatus{ID: rand.Text()[:drainIDSize], Query: q, Manner: m, Began: time.Now(), Tunnels: len(entries), Waiting: len(entries)}}
	if len(entries) == 0 {
		return d.DrainStatus, nil // nothing to be shown
	}
	if err := g.keepDrainLocked(d); err != nil {
		return DrainStatus{}, err
	}
	leaving := make(map[terms][]*Entry)
	for _, e := range entries {
		t := m.of(e.policy())
		leaving[t] = append(leaving[t], e)
	}
	for t, entries := range leaving {
		spread(entries, 0, t.policy.Window, func(e *Entry, after time.Duration) { e.scheduleByHandLocked(after, t, d) })
	}
	return d.DrainStatus, nil
}

// keepDrainLocked has Drains list it.
func (g *Group) keepDrainLocked(d *Drain) error {
	underWay := 0
	for _, other := range g.byHand {
		if !other.Over() {
			underWay++
		}
	}
	if underWay >= maxDrains {
		return ErrTooManyDrains
	}
	g.byHand = append(g.byHand, d)
	for excess := len(g.byHand) - keptDrains; excess > 0; excess-- {
		over := slices.IndexFunc(g.byHand, func(d *Drain) bool { return d.Over() })
		g.byHand = slices.Delete(g.byHand, over, over+1)
	}
	return nil
}

// Matching counts the tunnels that match, by route.
func (g *Group) Matching(q Query) map[string]int {
	defer g.scan()()
	count := make(map[string]int)
	for _, e := range g.matchLocked(q) {
		count[e.route]++
	}
	return count
}

// Drains are those by hand, the latest first.
func (g *Group) Drains() []DrainStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]DrainStatus, 0, len(g.byHand))
	for _, d := range slices.Backward(g.byHand) {
		all = append(all, d.DrainStatus)
	}
	return all
}

// Spare lets the tunnels be that the drain has not told yet. It returns false if there is
// no such drain.
func (g *Group) Spare(id string) (DrainStatus, bool) {
	defer g.scan()()
	i := slices.IndexFunc(g.byHand, func(d *Drain) bool { return d.ID == id })
	if i < 0 {
		return DrainStatus{}, false
	}
	d := g.byHand[i]
	if d.Waiting > 0 {
		for e := range g.entries {
			if e.byHand != nil && e.byHand.drain == d {
				e.spareLocked()
			}
		}
	}
	return d.DrainStatus, true
}

// End ends a tunnel of this group at once, as a drain does.
func (g *Group) End(e *Entry, m Manner) {
	g.mu.Lock()
	if e.byHand != nil {
		e.spareLocked()
	}
	command := e.tellLocked(&scheduled{terms: m.of(e.policy())})
	g.mu.Unlock()
	command()
}

func (e *Entry) scheduleByHandLocked(after time.Duration, t terms, d *Drain) {
	if e.byHand != nil {
		e.spareLocked()
	}
	s := &scheduled{terms: t, drain: d}
	e.byHand = s
	e.recountLocked()
	s.timer = time.AfterFunc(after, func() { e.dueByHand(s) })
}

// dueByHand is s's timer.
func (e *Entry) dueByHand(s *scheduled) {
	e.group.mu.Lock()
	if e.byHand != s {
		e.group.mu.Unlock()
		return
	}
	e.byHand = nil
	s.drain.Waiting--
	command := e.tellLocked(s)
	e.recountLocked()
	e.group.mu.Unlock()
	command()
}

// tellLocked tells the tunnel to end, unless it has been told.
func (e *Entry) tellLocked(s *scheduled) (command func()) {
	if e.handleLocked(mustEndNow)&notify == 0 {
		return func() {}
	}
	e.scheduled = s
	e.group.countToldLocked(e.route, s.terms)
	if s.drain != nil {
		s.drain.Told++
	}
	return e.commandLocked()
}

// spareLocked undoes what a drain by hand has scheduled.
func (e *Entry) spareLocked() {
	e.byHand.timer.Stop()
	e.byHand.drain.Waiting--
	e.byHand.drain.Spared++
	e.byHand = nil
	e.recountLocked()
}

// leaveHandLocked notes in its drain by hand that the tunnel has ended.
func (e *Entry) leaveHandLocked() {
	if e.byHand != nil {
		e.byHand.timer.Stop()
		e.byHand.drain.Waiting--
		e.byHand = nil
	}
	if e.state == ending && e.scheduled != nil && e.scheduled.drain != nil {
		e.scheduled.drain.Ended++
	}
}

// staysLocked says that nothing tells the tunnel to move or to end.
func (e *Entry) staysLocked() bool { return e.state == staying && e.byHand == nil }

// drainingLocked says that the tunnel has been told to end, or will be.
func (e *Entry) drainingLocked() bool { return e.state.mustEnd() || e.byHand != nil }
