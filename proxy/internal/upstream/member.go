package upstream

// A backend's place in a pool: what the routes file says of it there.

// Member is one backend's place in a pool. Immutable: what changes by itself is
// the Backend's.
type Member struct {
	Backend *Backend
	Name    string // its key in the routes file
	Route   string // what applications call it, if that is not Name
	Weight  int    // its share among the others; 0 is 1

	Drain    bool // gets nothing new, and its tunnels are ended
	Disabled bool // gets nothing new; its tunnels stay

	Tier    int  // a lower tier is used while it has somebody
	Spare   bool // takes the place of one of its tier that cannot be used
	Standby bool // used when nobody else of its tier can be

	// What it may have at once; not positive is no limit.
	MaxTunnels  int
	MaxRequests int

	seed uint64 // of Backend's identity, for hashing; set by newLineup
}

// weight is the member's effective weight, in thousandths: less than it says
// while the backend starts slowly, and never 0, so that it may be chosen alone.
func (m *Member) weight() int64 {
	return max(int64(max(m.Weight, 1))*m.Backend.health.WeightScale(), 1)
}

// load is what the backend has to do, of any pool's members: tunnels and requests.
func (m *Member) load() int64 { return m.Backend.Tunnels() + m.Backend.InFlight() }

// open says that the member may get what c asks for, as far as the routes file
// and the backend's health go.
func (m *Member) open() bool { return !m.Drain && !m.Disabled && m.Backend.Available() }

// full says that the member has all that it may have at once of what c asks for.
// Only a pool's turn makes it more, so that what is asked there stays true.
func (m *Member) full(c Choice) bool {
	if c.Tunnel {
		return m.MaxTunnels > 0 && m.Backend.Tunnels() >= int64(m.MaxTunnels)
	}
	return m.MaxRequests > 0 && m.Backend.InFlight() >= int64(m.MaxRequests)
}

// count counts what c asks for.
func (m *Member) count(c Choice) {
	if c.Tunnel {
		m.Backend.OpenTunnel()
	} else {
		m.Backend.Acquire()
	}
}
