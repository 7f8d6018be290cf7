package health

import "time"

// FullWeight is the weight of a backend that is not rising, see Monitor.WeightScale.
const FullWeight = 1000

// floorWeight is the part that a slow start begins with: enough to be tried.
const floorWeight = FullWeight / 10

// slowStart is a backend's way from a part of its weight to all of it: its caches are
// cold, and with its whole weight it would be the next choice for every client that
// reconnects.
type slowStart struct {
	from time.Time
	over time.Duration
}

func (v *verdict) rise(over time.Duration) {
	if over <= 0 {
		v.rising.Store(nil)
		return
	}
	v.rising.Store(&slowStart{time.Now(), over})
}

// WeightScale is how much of its weight the backend has now, in thousandths.
func (m *Monitor) WeightScale() int64 {
	s := m.verdict.rising.Load()
	if s == nil {
		return FullWeight
	}
	risen := time.Since(s.from)
	if risen >= s.over {
		m.verdict.rising.CompareAndSwap(s, nil)
		return FullWeight
	}
	return max(int64(FullWeight*(float64(risen)/float64(s.over))), floorWeight)
}

// RisingFor is how long it takes until the backend has its whole weight.
func (m *Monitor) RisingFor() time.Duration {
	s := m.verdict.rising.Load()
	if s == nil {
		return 0
	}
	return max(s.over-time.Since(s.from), 0)
}
