package upstream

// Who comes into question: tiers, and within a tier the regular members, spares
// for those that cannot be used, and standbys when there is nobody else. Apache's
// lbset, hot spare and hot standby.

import (
	"cmp"
	"slices"
)

// lineup is a pool's members by tier, the lowest first. Immutable.
type lineup struct {
	members []Member // as they were given
	tiers   []tier
	bound   *binding // nil: nobody is bound
}

type tier struct {
	regulars, spares, standbys []*Member
}

func newLineup(members []Member, sticky *Sticky) *lineup {
	l := &lineup{members: slices.Clone(members)}
	l.bound = sticky.bind(l.members)
	byTier := make([]*Member, len(members))
	for i := range l.members {
		byTier[i] = &l.members[i]
		byTier[i].seed = seedOf(byTier[i].Backend.id)
	}
	slices.SortStableFunc(byTier, func(a, b *Member) int { return cmp.Compare(a.Tier, b.Tier) })
	for i, m := range byTier {
		if i == 0 || m.Tier != byTier[i-1].Tier {
			l.tiers = append(l.tiers, tier{})
		}
		l.tiers[len(l.tiers)-1].add(m)
	}
	return l
}

func (t *tier) add(m *Member) {
	switch {
	case m.Standby:
		t.standbys = append(t.standbys, m)
	case m.Spare:
		t.spares = append(t.spares, m)
	default:
		t.regulars = append(t.regulars, m)
	}
}

// candidates are those among whom the policy chooses, written into room. Of a
// pool with nobody the error says whether somebody is merely full.
func (l *lineup) candidates(c Choice, room []*Member) ([]*Member, error) {
	room = room[:0]
	err := ErrUnavailable
	for i := range l.tiers {
		if room = l.tiers[i].candidates(c, room, &err); len(room) > 0 {
			return room, nil
		}
	}
	return room, err
}

func (t *tier) candidates(c Choice, room []*Member, err *error) []*Member {
	room = c.usable(t.regulars, room, len(t.regulars), err)
	room = c.usable(t.spares, room, len(t.regulars)-len(room), err)
	if len(room) == 0 {
		room = c.usable(t.standbys, room, len(t.standbys), err)
	}
	return room
}

// usable appends at most so many of the members that may get what is asked for,
// the first ones first.
func (c Choice) usable(members, room []*Member, most int, err *error) []*Member {
	for _, m := range members {
		switch {
		case most <= 0:
			return room
		case !m.open() || slices.Contains(c.Exclude, m.Backend):
		case m.full(c):
			*err = ErrFull
		default:
			room = append(room, m)
			most--
		}
	}
	return room
}
