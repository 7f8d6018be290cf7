package drain

// What an evaluation would do, without doing it.

import "time"

// Cause is why a tunnel is to be drained.
type Cause uint8

const (
	Stays Cause = iota
	RouteRemoved
	TargetGone // the route leads elsewhere
	BackendGone
	BackendDrained
	ClientForbidden
	OriginForbidden
	CredentialGone
)

// Text is the cause, for people, of a tunnel to that backend.
func (c Cause) Text(backend string) string {
	switch c {
	case RouteRemoved:
		return "the route is removed"
	case TargetGone:
		return "the route no longer leads to " + backend
	case BackendGone:
		return "backend " + backend + " leaves the pool"
	case BackendDrained:
		return "backend " + backend + " is drained"
	case ClientForbidden:
		return "its client is no longer allowed"
	case OriginForbidden:
		return "its Origin is no longer allowed"
	case CredentialGone:
		return "its credential is no longer valid"
	}
	return ""
}

// Impact is what an evaluation would do to the open tunnels. One that is on its way
// already, by an earlier edit or by hand, is counted nowhere, unless it may stay now.
type Impact struct {
	Counts
	Routes map[string]*RouteImpact // by the name that the route has then
}

// Counts are tunnels.
type Counts struct {
	Kept    int
	Drained int // will be told to go
	Moved   int // of those: will go on with another backend, if one is found
}

// RouteImpact is what an evaluation would do to the tunnels of one route.
type RouteImpact struct {
	Counts
	Causes map[string]int // why they are drained, with their numbers
	Window time.Duration  // the longest
}

// Impact asks for a decision on every tunnel, as Evaluate does, and changes nothing.
func (g *Group) Impact(decide func(Facts) Decision) *Impact {
	defer g.scan()()
	impact := &Impact{Routes: make(map[string]*RouteImpact)}
	for e := range g.entries {
		v := decide(e.facts())
		c := e.impactLocked(v)
		if c == (Counts{}) {
			continue
		}
		r := impact.Routes[v.Route]
		if r == nil {
			r = &RouteImpact{Causes: make(map[string]int)}
			impact.Routes[v.Route] = r
		}
		impact.add(c)
		r.add(c)
		if c.Drained > 0 {
			r.Causes[v.Cause.Text(e.backend.Value().URL())]++
			r.Window = max(r.Window, e.termsLocked(v.eventLocked(e)).policy.Window)
		}
	}
	return impact
}

func (c *Counts) add(d Counts) {
	c.Kept += d.Kept
	c.Drained += d.Drained
	c.Moved += d.Moved
}

// impactLocked is what the decision would change for one tunnel, by the same table of states
// by which Evaluate changes it.
func (e *Entry) impactLocked(v Decision) (c Counts) {
	if e.byHand != nil || v.Unchanged {
		return c
	}
	ev := v.eventLocked(e)
	after, _ := e.state.on(ev)
	switch now, then := e.state.fate(), after.fate(); {
	case then == fateStays:
		c.Kept = 1
	case then > now:
		c.Drained = 1
		if then == fateMoves {
			c.Moved = 1
		}
	}
	return c
}

// fate is what becomes of a tunnel if nothing more is said of it.
type fate uint8

const (
	fateStays fate = iota
	fateMoves
	fateEnds
)

func (s state) fate() fate {
	switch {
	case s.mustEnd():
		return fateEnds
	case s == moveScheduled || s == moveNotified || s == connectingToLeave:
		return fateMoves
	}
	return fateStays // one that looks for a backend takes what the routes then say
}
