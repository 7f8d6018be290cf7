package upstream

// The least busy by its weight: open tunnels and requests in flight. The counts
// live in the backends: a reload does not reset them.
//
// Who is next is decided by the quota method (M. L. Balinski and H. P. Young, The
// Quota Method of Apportionment, 1975): of those that stay within their share of
// the whole, rounded up, the one whose load with the newcomer is the least over
// its weight. Taking the least alone would give a heavy backend among many light
// ones several tunnels more than its share; so nobody is ever one away from it
// while tunnels only come, and newcomers soon mend what departures have left.

type leastTunnels struct {
	next int // the place behind the last one picked
}

func newLeastTunnels(Settings) Policy { return &leastTunnels{} }

// Pick starts each search behind the last one picked, and the first of equals
// wins: ties go round, evenly, whoever else is among the candidates.
func (l *leastTunnels) Pick(_ Choice, candidates []*Member) int {
	best := leastLoaded(candidates, l.next)
	l.next = best + 1
	return best
}

// Keep has nothing to forget.
func (l *leastTunnels) KeepOnly([]Member) {}

func leastLoaded(candidates []*Member, start int) int {
	loads, weights := int64(1), int64(0) // with the newcomer
	for _, m := range candidates {
		loads += m.load()
		weights += m.weight()
	}
	best := -1
	for i := range candidates {
		at := (start + i) % len(candidates)
		m := candidates[at]
		if m.load()*weights >= m.weight()*loads {
			continue // has its share already
		}
		if best < 0 || lighter(m, candidates[best]) {
			best = at
		}
	}
	return max(best, 0) // somebody is always below the share: loads only shrink while a choice is made
}

// lighter compares load, with the newcomer, over weight without dividing.
func lighter(a, b *Member) bool { return (a.load()+1)*b.weight() < (b.load()+1)*a.weight() }
