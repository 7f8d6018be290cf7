// Package limits counts what a route's limits are about: open tunnels, recent
// handshakes, retries and redials.
//
// The counts outlive reloads: every generation of a route shares one [Route]. What
// is allowed is an argument of each call, because an edit may change it while the
// counts go on. The package refuses with errors; what a client is told about them,
// and with which status, is the caller's to say.
//
// All types are safe for concurrent use, and their zero values are ready.
package limits

// Route is one route's counts.
type Route struct {
	Tunnels Tunnels
	Retries Retries
	Redials Redials
}

// Continue returns new counts in which the open tunnels of both routes count for as long
// as they are open. The counts of the two stay as they are, and the budgets begin anew.
func Continue(a, b *Route) *Route {
	return &Route{Tunnels: Tunnels{earlier: []*Tunnels{&a.Tunnels, &b.Tunnels}}}
}
