package drain

// What is counted of drains, for those who look at all of them: a million tunnels are not to
// be walked for a number.

import "github.com/tunnelform/tunnelform/proxy/internal/tunnel"

// Draining is how many tunnels have been told to end, or will be, by route. Routes without
// any are not in it.
func (g *Group) Draining() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	count := make(map[string]int, len(g.draining))
	for route, n := range g.draining {
		count[route] = n
	}
	return count
}

// recountLocked is called after whatever may have changed drainingLocked, and after the end.
func (e *Entry) recountLocked() {
	if now := e.state != removed && e.drainingLocked(); now != e.counted {
		e.counted = now
		e.group.addDrainingLocked(e.route, now)
	}
}

// renameLocked follows the tunnel's route to another name.
func (e *Entry) renameLocked(route string) {
	if e.counted && route != e.route {
		e.group.addDrainingLocked(e.route, false)
		e.group.addDrainingLocked(route, true)
	}
	e.route = route
}

func (g *Group) addDrainingLocked(route string, more bool) {
	if more {
		g.draining[route]++
		return
	}
	if g.draining[route]--; g.draining[route] == 0 {
		delete(g.draining, route)
	}
}

// cause is why a tunnel is told to move or to end, as drained_total has it.
func (t terms) cause() string {
	switch {
	case t.rebalances:
		return "rebalance"
	case t.why == tunnel.ReasonDrain:
		return "routes"
	}
	return string(t.why) // forbidden, operator or shutdown
}

// countToldLocked counts a tunnel that is told.
func (g *Group) countToldLocked(route string, t terms) {
	if g.Told != nil {
		g.Told(route, t.cause())
	}
}
