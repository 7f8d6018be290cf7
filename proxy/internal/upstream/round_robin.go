package upstream

// Smooth weighted round robin, as nginx chooses: weights 3 and 1 give a a b a,
// never a a a b.

import "sync"

type roundRobin struct {
	mu     sync.Mutex // guards credit
	credit map[*Backend]int64
}

func newRoundRobin() Policy { return &roundRobin{credit: map[*Backend]int64{}} }

// Pick gives every candidate its weight in credit, takes the richest, and lets
// it pay for all. Invariant: the credits of those that were always candidates
// add up to zero.
func (r *roundRobin) Pick(candidates []Member) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	best, total := 0, int64(0)
	for i, m := range candidates {
		r.credit[m.Backend] += m.weight()
		total += m.weight()
		if r.credit[m.Backend] > r.credit[candidates[best].Backend] {
			best = i
		}
	}
	r.credit[candidates[best].Backend] -= total
	return best
}
