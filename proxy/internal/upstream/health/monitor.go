package health

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Monitor keeps the verdict on one backend. Safe for concurrent use. Close ends its
// goroutine and timers.
type Monitor struct {
	verdict  *verdict
	failures atomic.Int32 // of its traffic, in a row

	mu       sync.Mutex // guards all below
	config   Config
	notify   func(Event)
	stop     context.CancelFunc // ends the probes; nil: there are none
	probed   bool               // a probe has had a result
	passed   bool               // a probe has had a good one
	contrary int                // results in a row that contradict the verdict
	ejection ejection
	closed   bool
}

// verdict is what the choice of a backend reads, with one atomic load each.
type verdict struct {
	down   atomic.Uint32             // the downReasons that hold
	rising atomic.Pointer[slowStart] // nil: it has its whole weight
}

// downReason is why a backend gets nothing new. Several may hold at once.
type downReason uint32

const (
	unhealthy downReason = 1 << iota // its probes fail, or none has passed yet
	ejected                          // its traffic failed
)

// New makes a Monitor of a backend that nothing is known of.
func New() *Monitor { return &Monitor{verdict: new(verdict)} }

// Revive makes a Monitor that goes on with the verdict of m, which must be closed.
func (m *Monitor) Revive() *Monitor { return &Monitor{verdict: m.verdict} }

// Available reports whether the backend may get new work.
func (m *Monitor) Available() bool { return m.verdict.down.Load() == 0 }

// Ejected reports whether an ejection is a reason why it may not.
func (m *Monitor) Ejected() bool { return m.is(ejected) }

func (m *Monitor) is(r downReason) bool { return m.verdict.down.Load()&uint32(r) != 0 }

// setDown adds a reason, and reports whether it is a new one.
func (m *Monitor) setDown(r downReason) bool { return m.verdict.down.Or(uint32(r))&uint32(r) == 0 }

// clearLocked removes a reason. When the last one is gone, the backend rises.
func (m *Monitor) clearLocked(r downReason) {
	if m.is(r) && m.verdict.down.And(^uint32(r)) == uint32(r) && !m.closed {
		m.verdict.rise(m.config.SlowStart)
	}
}

// Configure has the backend probed and judged as c says, until the next Configure or
// Close. The verdict stays, but without a probe a backend is not unhealthy: nothing could
// find it healthy again. notify is called
// at every change, and must not block; it may be nil.
func (m *Monitor) Configure(c Config, t Target, notify func(Event)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.notify != nil && m.config.Key == c.Key {
		return
	}
	m.stopLocked()
	m.config, m.notify = c, notify
	if notify == nil {
		m.notify = func(Event) {}
	}
	if c.Eject.Fails <= 0 {
		m.unejectLocked()
	}
	if c.Probe == nil {
		m.probed, m.passed, m.contrary = false, false, 0
		m.clearLocked(unhealthy)
		return
	}
	if c.StartDown && !m.probed {
		m.setDown(unhealthy)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.keepProbing(ctx, c, t)
}

func (m *Monitor) stopLocked() {
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
}

// Close ends the probes and every ejection. Reopen takes it back.
func (m *Monitor) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.stopLocked()
	m.unejectLocked()
	m.verdict.rising.Store(nil)
}

// Reopen lets the next Configure probe again after a Close.
func (m *Monitor) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.closed, m.config, m.notify = false, Config{}, nil
	}
}

// keepProbing probes at once, and then again and again until ctx ends. The interval
// varies, so that many backends and proxies do not probe in step.
func (m *Monitor) keepProbing(ctx context.Context, c Config, t Target) {
	for {
		m.probe(ctx, c, t)
		select {
		case <-time.After(time.Duration(float64(c.Interval) * (0.9 + 0.2*rand.Float64()))):
		case <-ctx.Done():
			return
		}
	}
}

func (m *Monitor) probe(ctx context.Context, c Config, t Target) {
	within := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	m.result(ctx, c.Probe(within, t))
}

// result takes what a probe found, unless ctx has ended: then another Config is in
// force, which the probe does not belong to.
func (m *Monitor) result(ctx context.Context, err error) {
	m.mu.Lock()
	if ctx.Err() != nil || !m.turnsLocked(err == nil) {
		m.mu.Unlock()
		return
	}
	change, notify := CameUp, m.notify
	if err != nil {
		change = WentDown
		m.setDown(unhealthy)
	} else {
		m.clearLocked(unhealthy)
	}
	m.mu.Unlock()
	notify(Event{Change: change, Err: err})
}

// turnsLocked counts a result, and reports whether it turns the verdict: Fails or
// Passes contrary ones in a row do. The very first good one does at once: a backend that
// is just starting need not prove that it is back.
func (m *Monitor) turnsLocked(passed bool) bool {
	down := m.is(unhealthy)
	needed := m.config.Fails
	if down {
		needed = m.config.Passes
	}
	if passed && !m.passed {
		m.passed, needed = true, 1
	}
	m.probed = true
	if down != passed {
		m.contrary = 0
		return false
	}
	if m.contrary++; m.contrary < needed {
		return false
	}
	m.contrary = 0
	return true
}
