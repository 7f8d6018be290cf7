package upstream

// The less loaded of two drawn at random by weight: nearly as even as comparing all
// (M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001), and
// several proxies that do not know each other's counts do not all pick the same backend.

import "math/rand/v2"

type randomTwo struct {
	random *rand.Rand
}

func newRandomTwo(Settings) Policy {
	return &randomTwo{rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

func (r *randomTwo) Pick(_ Choice, candidates []*Member) int {
	total := int64(0)
	for _, m := range candidates {
		total += m.weight()
	}
	first := r.draw(candidates, total, -1)
	if len(candidates) == 1 {
		return first
	}
	second := r.draw(candidates, total-candidates[first].weight(), first)
	if lighter(candidates[second], candidates[first]) {
		return second
	}
	return first
}

// draw draws by weight, and leaves out the candidate at but. total is the weight of the
// others.
func (r *randomTwo) draw(candidates []*Member, total int64, but int) int {
	at, last := r.random.Int64N(max(total, 1)), 0
	for i, m := range candidates {
		if i == but {
			continue
		}
		last = i
		if at -= m.weight(); at < 0 {
			break
		}
	}
	return last // a weight may have changed since total was summed
}

func (r *randomTwo) KeepOnly([]Member) {}
