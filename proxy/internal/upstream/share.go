package upstream

// How far each member of a pool is from its share of the open tunnels, for
// rebalancing.

import "time"

// Share is one member's part of a pool's tunnels.
type Share struct {
	Backend *Backend
	Tunnels int
	Fair    float64 // how many it would have by weight, within the limits
}

// Shares returns the share of each member that may get new tunnels now, by the weights that
// Pick goes by at this moment: a client that left a member for the sake of another one in
// slow start, or of one at its limit, would be sent back to it. Members of other tiers than the
// one in use have no share, and are left out.
//
// count returns the number of a backend's tunnels that stay. If all counts sum to less
// than least, Shares shares out least: the other tunnels are on their way back.
func (p *Pool) Shares(count func(*Backend) int, least int) (all []Share, tunnels int) {
	members := p.usedTier()
	for _, m := range members {
		all = append(all, Share{Backend: m.Backend, Tunnels: count(m.Backend)})
		tunnels += all[len(all)-1].Tunnels
	}
	for i, fair := range shareOut(members, float64(max(tunnels, least))) {
		all[i].Fair = fair
	}
	return all, tunnels
}

// shareOut shares out tunnels by weight. A member whose limit is below its share gets
// its limit, and the others share the rest. When all limits are below, as after an edit,
// they do not say which member has too many, and are ignored.
func shareOut(members []*Member, tunnels float64) []float64 {
	fair := sharesByWeight(members, tunnels)
	var others []*Member
	left := tunnels
	for i, m := range members {
		if m.MaxTunnels > 0 && float64(m.MaxTunnels) < fair[i] {
			left -= float64(m.MaxTunnels)
		} else {
			others = append(others, m)
		}
	}
	if len(others) == 0 || len(others) == len(members) {
		return fair
	}
	rest := shareOut(others, left)
	for i, m := range members {
		if len(others) > 0 && m == others[0] {
			fair[i], others, rest = rest[0], others[1:], rest[1:]
		} else {
			fair[i] = float64(m.MaxTunnels)
		}
	}
	return fair
}

func sharesByWeight(members []*Member, tunnels float64) []float64 {
	weights, fair := 0.0, make([]float64, len(members))
	for i, m := range members {
		fair[i] = float64(m.weight()) // once: it grows in slow start
		weights += fair[i]
	}
	for i := range fair {
		fair[i] *= tunnels / weights
	}
	return fair
}

// usedTier returns the usable regular members of the tier in use, full ones too.
func (p *Pool) usedTier() []*Member {
	for _, t := range p.members.Load().tiers {
		var open []*Member
		for _, m := range t.regulars {
			if m.usable() {
				open = append(open, m)
			}
		}
		if len(open) > 0 {
			return open
		}
	}
	return nil
}

// RisingFor is how long it takes until all members that may get new tunnels now have their
// whole weight.
func (p *Pool) RisingFor() (longest time.Duration) {
	for _, m := range p.usedTier() {
		longest = max(longest, m.Backend.health.RisingFor())
	}
	return longest
}

// Over is how many tunnels the member has beyond its share plus the tolerance, which is
// in percent of the share. One tunnel more than the share is never over: few shares are
// whole numbers.
func (s Share) Over(tolerance int) int {
	most := max(s.Fair*(1+float64(tolerance)/100), s.Fair+1)
	return max(s.Tunnels-int(most), 0)
}
