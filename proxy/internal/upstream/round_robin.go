package upstream

// Smooth weighted round robin, as nginx chooses: weights 3 and 1 give a a b a,
// never a a a b.

type roundRobin struct {
	credit map[*Backend]int64
}

func newRoundRobin(Settings) Policy { return &roundRobin{credit: map[*Backend]int64{}} }

// Pick gives every candidate its weight in credit, takes the one with the most, and
// charges it the total. Invariant: the credits of members that were always candidates
// add up to zero.
func (r *roundRobin) Pick(_ Choice, candidates []*Member) int {
	best, most, total := 0, int64(0), int64(0)
	for i, m := range candidates {
		weight := m.weight()
		credit := r.credit[m.Backend] + weight
		r.credit[m.Backend] = credit
		total += weight
		if i == 0 || credit > most {
			best, most = i, credit
		}
	}
	r.credit[candidates[best].Backend] = most - total
	return best
}

func (r *roundRobin) KeepOnly(members []Member) { deleteOthers(r.credit, members) }
