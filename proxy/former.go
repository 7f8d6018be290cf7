package proxy

// What the routes no longer name while tunnels of it are still open (they wait
// for their turn, or may stay): its counts, for when it is named again.

import (
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// former is what an earlier Table named. Immutable; its zero value is empty.
type former struct {
	backends map[upstream.BackendKey]*upstream.Backend
	counts   map[string]*limits.Route // by route
}

// formerOf is what next must remember of prev: all that has just left the
// routes, as a handshake under prev may still be about to open its tunnel, and
// of what had left before that which has tunnels open. A renamed route has not
// left: renamed says which, by their old names.
func formerOf(prev, next *Table, renamed map[string]string) former {
	f := former{map[upstream.BackendKey]*upstream.Backend{}, map[string]*limits.Route{}}
	for id, backend := range prev.former.backends {
		if next.backends[id] == nil && backend.Tunnels() > 0 {
			f.backends[id] = backend
		}
	}
	for id, backend := range prev.backends {
		if next.backends[id] == nil {
			f.backends[id] = backend
		}
	}
	for pool, rule := range prev.discoveries {
		if next.discoveries[pool] != nil {
			continue // the pool's registry keeps them
		}
		for id, backend := range rule.Registry.All() {
			if next.backends[id] == nil {
				f.backends[id] = backend
			}
		}
	}
	for name, o := range prev.former.counts {
		if next.byName[name] == nil && o.Tunnels.Open() > 0 {
			f.counts[name] = o
		}
	}
	for name, rt := range prev.byName {
		if next.byName[name] == nil && renamed[name] == "" {
			f.counts[name] = rt.counts
		}
	}
	return f
}

// backend is the backend of that identity, with the counts it had.
func (f former) backend(id upstream.BackendKey) *upstream.Backend {
	if known := f.backends[id]; known != nil {
		return known.Revive()
	}
	return upstream.NewBackend(id)
}

// routeCounts is those of the route of that name, as they were.
func (f former) routeCounts(name string) *limits.Route {
	if known := f.counts[name]; known != nil {
		return known
	}
	return &limits.Route{}
}
