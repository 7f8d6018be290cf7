package upstream

// Passive health: a backend that fails what it is sent, several times in a row,
// is left alone for a while, for longer each time. Only what fails before there
// is an answer counts (no connection, no TLS, no handshake): how a tunnel ends
// says nothing of the backend's health.

import (
	"sync"
	"time"
)

// Ejection is when and for how long. The zero value ejects nobody.
type Ejection struct {
	Fails  int           // failures in a row; not positive: never
	For    time.Duration // the first time; doubled each time that it fails again
	Max    time.Duration // of the doubling; below For it is For
	AtMost int           // percent of the pool's backends that may be out at once
}

// exile is what a backend's ejections have come to. Guarded by condition.mu.
type exile struct {
	times int       // in a row, for the doubling
	last  time.Time // when the last one ended
	now   *sentence // the present one; nil: none
}

// sentence is one ejection, compared by identity: a timer that fires while its
// sentence is being lifted finds that it is no longer the present one.
type sentence struct{ timer *time.Timer }

// ejecting is held while the backends that are out are counted: two failures at
// once must not both take the last place. Ejections are rare enough for one lock.
var ejecting sync.Mutex

// Succeeded notes that the backend answered what it was sent. One atomic load
// for a backend that fails nothing.
func (b *Backend) Succeeded() {
	if b.condition.failures.Load() != 0 {
		b.condition.failures.Store(0)
	}
}

// Failing says that the backend failed what it was sent last.
func (b *Backend) Failing() bool { return b.condition.failures.Load() != 0 }

// Failed notes that the backend failed what it was sent before there was an
// answer: no connection, or no handshake. It may have the backend ejected, as
// far as the rest of the pool allows. A backend that has only just returned is
// on trial: its first failure ejects it again.
func (p *Pool) Failed(b *Backend, err error) {
	c := &b.condition
	failures := int(c.failures.Add(1))
	c.mu.Lock()
	w := c.watch
	due := w != nil && w.health.Eject.Fails > 0 && (failures >= w.health.Eject.Fails || c.onTrialLocked(time.Now()))
	c.mu.Unlock()
	if due {
		p.eject(b, w, err)
	}
}

// onTrialLocked says that the backend has returned a shorter time ago than it was out.
func (c *condition) onTrialLocked(now time.Time) bool {
	return c.exile.times > 0 && c.exile.now == nil && now.Sub(c.exile.last) < c.watch.health.Eject.span(c.exile.times)
}

// span is how long the n-th ejection in a row takes, n from 1 on.
func (e Ejection) span(n int) time.Duration {
	longest := max(e.Max, e.For)
	for d := e.For; ; d *= 2 {
		if n <= 1 || d >= longest {
			return min(d, longest)
		}
		n--
	}
}

func (p *Pool) eject(b *Backend, w *watch, err error) {
	ejecting.Lock()
	defer ejecting.Unlock()
	if !p.canSpare(b, w.health.Eject.AtMost) {
		return
	}
	if span := b.banish(w); span > 0 {
		w.say(HealthEvent{Backend: b, What: Ejected, Err: err, For: span})
	}
}

// canSpare says whether the pool may do without one backend more: no more than
// atMost percent of it is out then, and somebody else is available.
func (p *Pool) canSpare(b *Backend, atMost int) bool {
	members, out, others := 0, 0, 0
	for _, m := range p.Members() {
		if m.Drain || m.Disabled {
			continue
		}
		members++
		switch {
		case m.Backend == b:
		case m.Backend.inTrouble(ejected):
			out++
		case m.Backend.Available():
			others++
		}
	}
	return others > 0 && (out+1)*100 <= members*atMost
}

// banish begins an ejection and returns how long it takes; 0 if it is out already.
func (b *Backend) banish(w *watch) time.Duration {
	c := &b.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.watch != w || !b.setTrouble(ejected, true) {
		return 0
	}
	e := w.health.Eject
	if c.exile.times > 0 && time.Since(c.exile.last) >= max(e.Max, e.For) {
		c.exile.times = 0 // long forgotten
	}
	c.exile.times++
	span := e.span(c.exile.times)
	s := new(sentence)
	s.timer = time.AfterFunc(span, func() { b.endExile(s) })
	c.exile.now = s
	return span
}

// endExile runs when an ejection's time is over.
func (b *Backend) endExile(s *sentence) {
	c := &b.condition
	c.mu.Lock()
	if c.exile.now != s {
		c.mu.Unlock()
		return
	}
	w := c.watch
	b.pardonLocked()
	c.mu.Unlock()
	w.say(HealthEvent{Backend: b, What: Returned})
}

// pardonLocked ends an ejection now.
func (b *Backend) pardonLocked() {
	c := &b.condition
	if c.exile.now == nil {
		return
	}
	c.exile.now.timer.Stop()
	c.exile.now, c.exile.last = nil, time.Now()
	c.failures.Store(0)
	b.recoverLocked(ejected)
}
