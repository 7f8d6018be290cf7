package upstream

// The candidates of a choice: the lowest tier with a usable member; within it the
// regular members, a spare for each that is not usable, and standbys when there is no
// other. Apache's lbset, hot spare and hot standby.

import (
	"cmp"
	"slices"
)

// memberSet is a pool's members by tier, the lowest first. Immutable.
type memberSet struct {
	members []Member // as they were given
	tiers   []tier
	sticky  *stickyIndex    // nil: the pool is not sticky
	urls    map[string]bool // of the members; nil: they are few
}

type tier struct {
	regulars, spares, standbys []*Member
}

func newMemberSet(members []Member, sticky *Sticky) *memberSet {
	l := &memberSet{members: slices.Clone(members)}
	if len(members) > fewMembers {
		l.urls = make(map[string]bool, len(members))
	}
	l.sticky = sticky.index(l.members)
	byTier := make([]*Member, len(members))
	for i := range l.members {
		byTier[i] = &l.members[i]
		if l.urls != nil {
			l.urls[byTier[i].Backend.url] = true
		}
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

// fewMembers are looked through one by one.
const fewMembers = 8

func (l *memberSet) hasURL(url string) bool {
	if l.urls != nil {
		return l.urls[url]
	}
	return slices.ContainsFunc(l.members, func(m Member) bool { return m.Backend.url == url })
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

// candidates are those that the policy chooses among, written into scratch. If there is
// none, the error says whether a member is only full.
func (l *memberSet) candidates(c Choice, scratch []*Member) ([]*Member, error) {
	if c.AvoidFailing {
		if healthy, err := l.gather(c, scratch); err == nil {
			return healthy, nil
		}
		c.AvoidFailing = false
	}
	return l.gather(c, scratch)
}

func (l *memberSet) gather(c Choice, scratch []*Member) ([]*Member, error) {
	f := candidateSet{choice: c, list: scratch[:0]}
	for i := range l.tiers {
		if f.addTier(&l.tiers[i]); len(f.list) > 0 {
			return f.list, nil
		}
	}
	if f.full {
		return f.list, ErrFull
	}
	return f.list, ErrUnavailable
}

// candidateSet is the candidates as they are gathered.
type candidateSet struct {
	choice Choice
	list   []*Member
	full   bool // a member is left out only because it is full
}

func (f *candidateSet) addTier(t *tier) {
	f.add(t.regulars, len(t.regulars))
	f.add(t.spares, len(t.regulars)-len(f.list))
	if len(f.list) == 0 {
		f.add(t.standbys, len(t.standbys))
	}
}

// add adds the first of the members that may get what is asked for, most at most.
func (f *candidateSet) add(members []*Member, most int) {
	for _, m := range members {
		switch {
		case most <= 0:
			return
		case !m.usable() || slices.Contains(f.choice.Exclude, m.Backend) || f.choice.AvoidFailing && m.Backend.Failing():
		case m.full(f.choice):
			f.full = true
		default:
			f.list = append(f.list, m)
			most--
		}
	}
}
