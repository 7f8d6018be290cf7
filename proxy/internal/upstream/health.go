package upstream

// How a backend is found to be well or not: it is asked, again and again, by a
// probe of its own, and what it is asked belongs to the pool. The verdict
// belongs to the backend: it outlives every edit of the file, an edit of the
// probe included, and falls only with the next verdict.

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Health is how a backend is asked and judged. Plain data, read-only once given
// to Watch. The zero value asks nothing and ejects nobody.
type Health struct {
	// Probe asks once; nil asks nothing. Its error is why the backend is not well.
	Probe    Probe
	Interval time.Duration // from one answer to the next question, give or take a tenth
	Timeout  time.Duration // for one whole question; its end is a failure
	Passes   int           // in a row that make a backend that is down well; not positive is 1
	Fails    int           // in a row that make a backend that is well down; not positive is 1
	// StartDown holds a backend of which nothing is known yet for down, until its
	// first answer.
	StartDown bool
	// SlowStart is how long a backend that came back takes to its whole share.
	SlowStart time.Duration
	Eject     Ejection
	// Key is a digest of all of the above: equal keys go on as they are.
	Key string
}

// Probe asks a backend once whether it is well. It is called from one goroutine
// at a time, and returns when ctx ends.
type Probe func(ctx context.Context, b *Backend) error

// HealthEvent is a backend that was found down, or well again.
type HealthEvent struct {
	Backend *Backend
	What    HealthChange
	Err     error         // why, where there is a reason
	For     time.Duration // Ejected: how long
}

// HealthChange is one word for what happened.
type HealthChange string

const (
	WentDown HealthChange = "down"     // by its probe
	CameUp   HealthChange = "up"       // by its probe
	Ejected  HealthChange = "ejected"  // after failures of what it was sent
	Returned HealthChange = "returned" // from an ejection, to be tried again
)

// condition is who finds out about one backend, and what was counted so far.
// What comes of it stands in the backend's availability.
type condition struct {
	failures atomic.Int32 // in a row, of what it was sent; for Ejection

	mu     sync.Mutex // guards all below
	watch  *watch     // nil: never watched
	known  bool       // a probe has answered since the backend came to be
	run    int        // answers in a row against the standing verdict
	exile  exile
	rising *rise // nil: has its whole share
	closed bool
}

// watch is one way of asking one backend, for as long as it is the way.
type watch struct {
	backend *Backend
	health  Health
	tell    func(HealthEvent)
	stop    context.CancelFunc // nil: nothing is asked
}

// Watch has the backend asked and judged as h says, until the next Watch or
// Close. What is known of the backend stays; without a probe nobody could ever
// find it well again, so what the last one said against it falls. tell is called
// at every change, from a goroutine that must not be held up.
func (b *Backend) Watch(h Health, tell func(HealthEvent)) {
	c := &b.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.watch != nil && c.watch.health.Key == h.Key {
		return
	}
	c.endWatchLocked()
	c.watch = &watch{backend: b, health: h, tell: tell}
	if h.Eject.Fails <= 0 {
		b.pardonLocked()
	}
	if h.Probe == nil {
		c.known, c.run = false, 0
		b.recoverLocked(unhealthy)
		return
	}
	if h.StartDown && !c.known {
		b.setTrouble(unhealthy, true)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.watch.stop = cancel
	go c.watch.keepAsking(ctx)
}

func (c *condition) endWatchLocked() {
	if c.watch != nil && c.watch.stop != nil {
		c.watch.stop()
	}
}

// endCare stops asking for good.
func (b *Backend) endCare() {
	c := &b.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.endWatchLocked()
	b.pardonLocked()
	b.warmUpLocked()
}

// reopen takes endCare back.
func (c *condition) reopen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.closed, c.watch = false, nil
	}
}

// recoverLocked takes a trouble back. The last one gone, the backend starts slowly.
func (b *Backend) recoverLocked(t trouble) {
	if b.setTrouble(t, false) && b.Available() {
		b.riseLocked()
	}
}

// keepAsking asks at once, and then again and again until ctx ends.
func (w *watch) keepAsking(ctx context.Context) {
	for {
		err := w.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		w.hear(err)
		if !pause(ctx, jittered(w.health.Interval)) {
			return
		}
	}
}

func (w *watch) ask(ctx context.Context) error {
	if w.health.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.health.Timeout)
		defer cancel()
	}
	return w.health.Probe(ctx, w.backend)
}

// hear counts one answer, and says what changed.
func (w *watch) hear(err error) {
	c := &w.backend.condition
	c.mu.Lock()
	changed := c.watch == w && !c.closed && w.countLocked(err)
	if changed && err != nil {
		w.backend.setTrouble(unhealthy, true)
	} else if changed {
		w.backend.recoverLocked(unhealthy)
	}
	c.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		w.say(HealthEvent{Backend: w.backend, What: WentDown, Err: err})
	default:
		w.say(HealthEvent{Backend: w.backend, What: CameUp})
	}
}

// countLocked says whether the answer turns the verdict: so many in a row do, and
// the opposite begins the count anew. Of a backend of which nothing is known yet,
// one answer that it is well is enough.
func (w *watch) countLocked(err error) (turned bool) {
	c := &w.backend.condition
	down := w.backend.inTrouble(unhealthy)
	needed := w.health.Fails
	if down {
		needed = w.health.Passes
	}
	if !c.known && err == nil {
		needed = 1
	}
	c.known = true
	if down == (err != nil) {
		c.run = 0
		return false
	}
	if c.run++; c.run < needed {
		return false
	}
	c.run = 0
	return true
}

// say tells of a change, and lets whoever waits for a backend look again.
func (w *watch) say(e HealthEvent) {
	if e.What == CameUp || e.What == Returned {
		e.Backend.free()
	}
	if w.tell != nil {
		w.tell(e)
	}
}

// jittered keeps the probes of many proxies and backends from falling into step.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
