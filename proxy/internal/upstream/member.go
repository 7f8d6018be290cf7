package upstream

// What the routes file says of a backend in a pool.

import (
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// Member is one backend in a pool. Immutable: what changes at run time is the Backend's.
type Member struct {
	Backend *Backend
	Name    string // its key in the routes file
	Route   string // its name in an application's sticky key; "" is Name
	Weight  int    // its share among the others; 0 is 1

	Record string // a hash of what the routes file says of it; "" of one that was discovered

	Drain    bool // gets nothing new, and its tunnels are ended
	Disabled bool // gets nothing new; its tunnels stay

	Tier    int  // the lowest tier with a usable member is used
	Spare   bool // replaces one regular member of its tier that is not usable
	Standby bool // used when no other member of its tier is usable

	// Limits of what is open at once; not positive is no limit.
	MaxTunnels  int
	MaxRequests int

	seed uint64 // of the hash policy; set by newMemberSet
}

// EqualMembers reports whether a pool with members a would become another one by
// SetMembers(b).
func EqualMembers(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(m, n Member) bool {
		m.seed, n.seed = 0, 0 // derived, and only of members that are in a pool
		return m == n
	})
}

// weight is the member's effective weight, in thousandths: a part of Weight in slow
// start, and never 0, so that it can be chosen alone.
func (m *Member) weight() int64 {
	return max(int64(max(m.Weight, 1))*m.Backend.health.WeightScale(), 1)
}

// EffectiveWeight is the share of the load that the member has now: 0 while it gets nothing
// new, and a part of Weight in slow start.
func (m *Member) EffectiveWeight() float64 {
	if !m.usable() {
		return 0
	}
	return float64(m.weight()) / health.FullWeight
}

// load is the backend's tunnels and requests, whatever pools they came through.
func (m *Member) load() int64 { return m.Backend.Tunnels() + m.Backend.InFlight() }

// usable reports whether the routes file, the operator and the backend's health let it have new work.
func (m *Member) usable() bool {
	return !m.Drain && !m.Disabled && m.Temporary() == nil && m.Backend.Available()
}

// full reports whether the member is at its limit of what c asks for. The counts grow
// only under the pool's lock, so that the answer holds there.
func (m *Member) full(c Choice) bool {
	if c.Tunnel {
		return m.MaxTunnels > 0 && m.Backend.Tunnels() >= int64(m.MaxTunnels)
	}
	return m.MaxRequests > 0 && m.Backend.InFlight() >= int64(m.MaxRequests)
}

func (m *Member) count(c Choice) {
	if c.Tunnel {
		m.Backend.OpenTunnel()
	} else {
		m.Backend.Acquire()
	}
}
