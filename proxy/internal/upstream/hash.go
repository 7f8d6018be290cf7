package upstream

// The same key to the same backend: weighted rendezvous hashing (D. G. Thaler and
// C. V. Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998). Every
// backend draws a number from the key and its address, and the least draw wins. When a
// backend leaves, only its own keys move; when one joins, or its weight grows, keys move
// to it alone. There is no table to build, and proxies with the same backends agree.

import "math"

type hashing struct {
	key      RequestKey
	fallback leastTunnels // for requests without the key
}

func newHash(s Settings) Policy { return &hashing{key: s.Key} }

func (h *hashing) Pick(c Choice, candidates []*Member) int {
	key, ok := h.key.hash(c)
	if !ok {
		return h.fallback.Pick(c, candidates)
	}
	best, least := 0, math.Inf(1)
	for i, m := range candidates {
		if draw := m.draw(key); draw < least {
			best, least = i, draw
		}
	}
	return best
}

func (h *hashing) KeepOnly([]Member) {}

// draw is from an exponential distribution whose rate is the weight: the odds that a
// backend has the least draw are its share of the weights.
func (m *Member) draw(key uint64) float64 {
	uniform := (float64(mix(key^m.seed)>>11) + 0.5) / (1 << 53)
	return -math.Log(uniform) / float64(m.weight())
}

// seedOf leaves out the pool: a key goes to the same server in all of them.
func seedOf(id BackendKey) uint64 { return hashText(id.Scheme + " " + id.Authority) }
