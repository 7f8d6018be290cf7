package upstream

// How far each member of a pool is from its share of the open tunnels, for
// rebalancing.

// Share is one member's part of a pool's tunnels.
type Share struct {
	Backend *Backend
	Tunnels int
	Fair    float64 // how many there would be if all went by weight, within the limits
}

// Shares is the part of each member that may get new tunnels now, by what the
// members' whole weights say: a slow start is no reason to move tunnels away and
// back. Nobody's share is more than it may have at once: who is told to leave for a
// member that is full only comes back to where it was. Members of other tiers than
// the first in use have no share, and are left out.
//
// count says how many tunnels a backend has that stay. Are they fewer than least
// in all, that many are shared out: some are on their way back.
func (p *Pool) Shares(count func(*Backend) int, least int) (all []Share, tunnels int) {
	members := p.inUse()
	for _, m := range members {
		all = append(all, Share{Backend: m.Backend, Tunnels: count(m.Backend)})
		tunnels += all[len(all)-1].Tunnels
	}
	for i, fair := range shareOut(members, float64(max(tunnels, least))) {
		all[i].Fair = fair
	}
	return all, tunnels
}

// shareOut parts so many tunnels by weight: whoever may not have its part has what
// it may, and the others part the rest. Where none of them may have its part, as
// after an edit, limits say nothing of who has too many.
func shareOut(members []*Member, tunnels float64) []float64 {
	fair := byWholeWeight(members, tunnels)
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

func byWholeWeight(members []*Member, tunnels float64) []float64 {
	weights, fair := 0.0, make([]float64, len(members))
	for _, m := range members {
		weights += float64(m.wholeWeight())
	}
	for i, m := range members {
		fair[i] = tunnels * float64(m.wholeWeight()) / weights
	}
	return fair
}

// inUse are those among whom a tunnel's backend would be chosen, full ones too.
func (p *Pool) inUse() []*Member {
	for _, t := range p.lineup.Load().tiers {
		var open []*Member
		for _, m := range t.regulars {
			if m.open() {
				open = append(open, m)
			}
		}
		if len(open) > 0 {
			return open
		}
	}
	return nil
}

func (m *Member) wholeWeight() int64 { return int64(max(m.Weight, 1)) }

// Over is how many tunnels the member has beyond its share and the tolerance, in
// percent of the share; 0 if none. One tunnel more than the share is never over:
// shares are seldom whole.
func (s Share) Over(tolerance int) int {
	most := max(s.Fair*(1+float64(tolerance)/100), s.Fair+1)
	return max(s.Tunnels-int(most), 0)
}
