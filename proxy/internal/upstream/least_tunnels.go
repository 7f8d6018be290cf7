package upstream

// The least busy by its weight: open tunnels and requests in flight, counted
// with the one that is about to come, so that an idle backend of weight 3 goes
// before an idle one of weight 1. The counts live in the backends: a reload
// does not reset them.

import "sync/atomic"

type leastTunnels struct {
	turn atomic.Uint64
}

func newLeastTunnels() Policy { return &leastTunnels{} }

// Pick starts each search one place further, and the first of equals wins: ties
// go round.
func (l *leastTunnels) Pick(candidates []Member) int {
	count := uint64(len(candidates))
	start := l.turn.Add(1) - 1
	best := int(start % count)
	for i := uint64(1); i < count; i++ {
		next := int((start + i) % count)
		if lighter(candidates[next], candidates[best]) {
			best = next
		}
	}
	return best
}

// lighter compares load over weight without dividing.
func lighter(a, b Member) bool { return a.load()*b.weight() < b.load()*a.weight() }

func (m Member) load() int64 { return m.Backend.Tunnels() + m.Backend.InFlight() + 1 }
