package upstream

// The same key to the same backend: weighted rendezvous hashing (D. G. Thaler and
// C. V. Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998). Every
// backend draws a number from the key and its own name, and the best draw wins.
// When a backend leaves, only its own keys move; when one joins, or its weight
// grows, keys move to it alone. There is no table to build, and every proxy with
// these backends decides alike.

import "math"

type hashing struct {
	key   RequestKey
	spare leastTunnels // for requests without the key
}

func newHash(s Settings) Policy { return &hashing{key: s.Key} }

// Pick: a request without the key goes where the least is going on.
func (h *hashing) Pick(c Choice, candidates []*Member) int {
	key, ok := h.key.hash(c)
	if !ok {
		return h.spare.Pick(c, candidates)
	}
	best, least := 0, math.Inf(1)
	for i, m := range candidates {
		if draw := m.draw(key); draw < least {
			best, least = i, draw
		}
	}
	return best
}

// Keep has nothing to forget.
func (h *hashing) KeepOnly([]Member) {}

// draw is a number from an exponential distribution whose rate is the weight:
// the odds that the least one is a given backend's are its share of the weights.
func (m *Member) draw(key uint64) float64 {
	uniform := (float64(mix(key^m.seed)>>11) + 0.5) / (1 << 53)
	return -math.Log(uniform) / float64(m.weight())
}

// seedOf is what a backend brings to the draw: where it is, whatever pool it is in.
func seedOf(id BackendKey) uint64 { return hashText(id.Scheme + " " + id.Authority) }
