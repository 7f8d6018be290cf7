package upstream

// Slow start: a backend that came back gets a part of its weight first, and all
// of it after a while. Its caches are cold, and the clients of every other
// backend's tunnels would otherwise come to it at once.

import "time"

// rise is one slow start under way, compared by identity: a step that was under
// way while another one began finds that it is no longer the present one.
type rise struct {
	from  time.Time
	over  time.Duration
	timer *time.Timer // the next step
}

const (
	riseSteps = 50                     // of a slow start
	riseFloor = fullWarmth / 10        // the share it begins with: enough to be tried
	riseStep  = 100 * time.Millisecond // a step at the least
)

// riseLocked begins a slow start, if there is to be one.
func (b *Backend) riseLocked() {
	b.warmUpLocked()
	w := b.condition.watch
	if w == nil || w.health.SlowStart <= 0 || b.condition.closed {
		return
	}
	r := &rise{from: time.Now(), over: w.health.SlowStart}
	b.condition.rising = r
	b.stepLocked(r)
}

// warmUpLocked ends a slow start with the whole share.
func (b *Backend) warmUpLocked() {
	if r := b.condition.rising; r != nil {
		r.timer.Stop()
		b.condition.rising = nil
	}
	b.setWarmth(fullWarmth)
}

// stepLocked gives the backend the share that is due now.
func (b *Backend) stepLocked(r *rise) {
	done := time.Since(r.from)
	if done >= r.over {
		b.warmUpLocked()
		return
	}
	b.setWarmth(max(int(fullWarmth*done/r.over), riseFloor))
	r.timer = time.AfterFunc(max(r.over/riseSteps, riseStep), func() {
		b.condition.mu.Lock()
		defer b.condition.mu.Unlock()
		if b.condition.rising == r {
			b.stepLocked(r)
		}
	})
}
