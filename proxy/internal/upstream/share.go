package upstream

// How far each member of a pool is from its share of the open tunnels, for
// rebalancing.

// Share is one member's part of a pool's tunnels.
type Share struct {
	Backend *Backend
	Tunnels int
	Fair    float64 // how many there would be if all went by weight
}

// Shares is the part of each member that may get new tunnels now, by what the
// members' whole weights say: a slow start is no reason to move tunnels away and
// back. Members of other tiers than the first in use have no share, and are left out.
//
// count says how many tunnels a backend has that stay. Are they fewer than least
// in all, that many are shared out: some are on their way back.
func (p *Pool) Shares(count func(*Backend) int, least int) (all []Share, tunnels int) {
	weights := int64(0)
	for _, m := range p.inUse() {
		all = append(all, Share{Backend: m.Backend, Tunnels: count(m.Backend), Fair: float64(m.wholeWeight())})
		tunnels += all[len(all)-1].Tunnels
		weights += m.wholeWeight()
	}
	for i := range all {
		all[i].Fair *= float64(max(tunnels, least)) / float64(weights)
	}
	return all, tunnels
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
