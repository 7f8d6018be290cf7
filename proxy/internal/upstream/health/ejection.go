package health

// Outlier detection by consecutive failures, as in Envoy. Only what fails before there
// is an answer counts (no connection, no TLS, no handshake): how a tunnel ends says
// nothing of the backend's health.

import (
	"sync"
	"time"
)

// Ejection is when a backend is ejected, and for how long.
type Ejection struct {
	Fails      int           // failures in a row; not positive: never
	For        time.Duration // the first time; doubled each time that it fails again
	Max        time.Duration // of the doubling; below For it is For
	MaxPercent int           // of the pool's backends that may be ejected at once
}

// span is how long the n-th ejection in a row takes, n from 1 on.
func (e Ejection) span(n int) time.Duration {
	longest := max(e.Max, e.For)
	d := e.For
	for ; n > 1 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}

// ejection is what a backend's ejections have come to. Guarded by Monitor.mu.
type ejection struct {
	times    int         // in a row, for the doubling
	until    time.Time   // of the present one; zero: none
	returned time.Time   // the last one's end
	timer    *time.Timer // at until
}

// ejecting is held from looking at the rest of the pool to the ejection: two failures
// at once must not both take the last place. Ejections are rare enough for one lock.
var ejecting sync.Mutex

// Succeeded notes that the backend answered. It costs one atomic load for a backend
// that fails nothing.
func (m *Monitor) Succeeded() {
	if m.failures.Load() != 0 {
		m.failures.Store(0)
	}
}

// Failing reports whether the backend's last connection or handshake failed.
func (m *Monitor) Failing() bool { return m.failures.Load() != 0 }

// Failed notes that a connection or a handshake failed, and ejects the backend when that
// is due and its pool can spare it: canSpare is given what percentage of the pool may be
// ejected at once. It runs under m's lock.
func (m *Monitor) Failed(err error, canSpare func(maxPercent int) bool) {
	failures := int(m.failures.Add(1))
	m.mu.Lock()
	span, notify := m.ejectLocked(failures, canSpare), m.notify
	m.mu.Unlock()
	if span > 0 {
		notify(Event{Change: Ejected, Err: err, For: span})
	}
}

// ejectLocked returns how long the ejection takes; 0 if there is none.
func (m *Monitor) ejectLocked(failures int, canSpare func(int) bool) time.Duration {
	e, now := m.config.Eject, time.Now()
	if m.closed || e.Fails <= 0 || failures < e.Fails && !m.onTrialLocked(now) {
		return 0
	}
	ejecting.Lock()
	defer ejecting.Unlock()
	if !canSpare(e.MaxPercent) || !m.setDown(ejected) {
		return 0
	}
	j := &m.ejection
	if now.Sub(j.returned) >= max(e.Max, e.For) {
		j.times = 0
	}
	j.times++
	span := e.span(j.times)
	j.until = now.Add(span)
	j.timer = time.AfterFunc(span, m.ejectionOver)
	return span
}

// onTrialLocked reports whether the backend has been back for a shorter time than its
// last ejection took: then its first failure ejects it again.
func (m *Monitor) onTrialLocked(now time.Time) bool {
	j := &m.ejection
	return j.times > 0 && j.until.IsZero() && now.Sub(j.returned) < m.config.Eject.span(j.times)
}

// ejectionOver runs when a timer fires. The ejection may have been ended meanwhile, and
// another one begun.
func (m *Monitor) ejectionOver() {
	m.mu.Lock()
	if until := m.ejection.until; until.IsZero() || time.Now().Before(until) {
		m.mu.Unlock()
		return
	}
	m.unejectLocked()
	notify := m.notify
	m.mu.Unlock()
	notify(Event{Change: Returned})
}

func (m *Monitor) unejectLocked() {
	j := &m.ejection
	if j.until.IsZero() {
		return
	}
	j.timer.Stop()
	j.until, j.returned = time.Time{}, time.Now()
	m.failures.Store(0)
	m.clearLocked(ejected)
}
