package upstream

// The least loaded by weight: open tunnels and requests in flight. The backends hold the
// counts, so a reload does not reset them.
//
// The choice follows the quota method (M. L. Balinski and H. P. Young, The Quota Method of
// Apportionment, 1975): of the candidates that stay within their share of the whole,
// rounded up, the one with the least load, counting the new tunnel, over its weight. The
// least load alone would give a heavy backend among many light ones several tunnels more
// than its share; so no backend is ever a whole tunnel off its share while tunnels only
// come, and new ones soon even out what closed tunnels have left.

type leastTunnels struct {
	next int // the index behind the last pick
}

func newLeastTunnels(Settings) Policy { return &leastTunnels{} }

// Pick starts each search behind the last pick, and the first of equals wins: ties go
// round evenly.
func (l *leastTunnels) Pick(_ Choice, candidates []*Member) int {
	best := leastLoaded(candidates, l.next)
	l.next = best + 1
	return best
}

func (l *leastTunnels) KeepOnly([]Member) {}

func leastLoaded(candidates []*Member, start int) int {
	loads, weights := int64(1), int64(0) // with the new one
	for _, m := range candidates {
		loads += m.load()
		weights += m.weight()
	}
	best := -1
	for i := range candidates {
		at := (start + i) % len(candidates)
		m := candidates[at]
		if m.load()*weights >= m.weight()*loads {
			continue // it has its share
		}
		if best < 0 || lighter(m, candidates[best]) {
			best = at
		}
	}
	return max(best, 0) // one is always below its share: loads only shrink meanwhile
}

// lighter compares load, with the new tunnel, over weight without dividing.
func lighter(a, b *Member) bool { return (a.load()+1)*b.weight() < (b.load()+1)*a.weight() }
