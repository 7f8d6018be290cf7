package routing

// Backends and routes that the routes file no longer names while tunnels of them are
// open: they keep their counts for when they are named again.

import (
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// retired is what earlier Tables named. Immutable; its zero value is empty.
type retired struct {
	backends map[upstream.BackendKey]*upstream.Backend
	counts   map[string]*limits.Route // by route
}

// retiredOf returns what next must remember of prev: all that was retired just now, as a
// handshake under prev may still be about to open its tunnel, and of what was retired
// before, all that has open tunnels. Routes in renamed, by their old names, are not
// retired.
func retiredOf(prev, next *Table, renamed map[string]string) retired {
	r := retired{map[upstream.BackendKey]*upstream.Backend{}, map[string]*limits.Route{}}
	for id, backend := range prev.retired.backends {
		if next.backends[id] == nil && backend.Tunnels() > 0 {
			r.backends[id] = backend
		}
	}
	for id, backend := range prev.backends {
		if next.backends[id] == nil {
			r.backends[id] = backend
		}
	}
	for pool, rule := range prev.discoveries {
		if next.discoveries[pool] != nil {
			continue // the pool's registry keeps them
		}
		for id, backend := range rule.Registry.All() {
			if next.backends[id] == nil {
				r.backends[id] = backend
			}
		}
	}
	for name, o := range prev.retired.counts {
		if next.byName[name] == nil && o.Tunnels.Open() > 0 {
			r.counts[name] = o
		}
	}
	for name, rt := range prev.byName {
		if next.byName[name] == nil && renamed[name] == "" {
			r.counts[name] = rt.Counts
		}
	}
	return r
}

// backend returns the backend with that key, with the counts it had.
func (r retired) backend(id upstream.BackendKey) *upstream.Backend {
	if known := r.backends[id]; known != nil {
		return known.Revive()
	}
	return upstream.NewBackend(id)
}

// routeCounts returns the counts of the route of that name, as they were.
func (r retired) routeCounts(name string) *limits.Route {
	if known := r.counts[name]; known != nil {
		return known
	}
	return &limits.Route{}
}
