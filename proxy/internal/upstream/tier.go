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
	if c.AvoidFailing {
		if wary, err := l.gather(c, room); err == nil {
			return wary, nil
		}
		c.AvoidFailing = false
	}
	return l.gather(c, room)
}

func (l *lineup) gather(c Choice, room []*Member) ([]*Member, error) {
	f := field{choice: c, room: room[:0]}
	for i := range l.tiers {
		if f.enter(&l.tiers[i]); len(f.room) > 0 {
			return f.room, nil
		}
	}
	if f.full {
		return f.room, ErrFull
	}
	return f.room, ErrUnavailable
}

// field is those who come into question, as they are gathered.
type field struct {
	choice Choice
	room   []*Member
	full   bool // somebody is kept out by being full alone
}

// enter gathers those of a tier.
func (f *field) enter(t *tier) {
	f.add(t.regulars, len(t.regulars))
	f.add(t.spares, len(t.regulars)-len(f.room))
	if len(f.room) == 0 {
		f.add(t.standbys, len(t.standbys))
	}
}

// add gathers at most so many who may get what is asked for, the first ones first.
func (f *field) add(members []*Member, most int) {
	for _, m := range members {
		switch {
		case most <= 0:
			return
		case !m.open() || slices.Contains(f.choice.Exclude, m.Backend) || f.choice.AvoidFailing && m.Backend.Failing():
		case m.full(f.choice):
			f.full = true
		default:
			f.room = append(f.room, m)
			most--
		}
	}
}
