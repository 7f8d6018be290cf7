package proxy

// What is served, for the admin API.

import (
	"maps"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// Routes returns up to limit of the Table's routes, by name, from behind a name.
func (s *Server) Routes(after string, limit int) statusapi.RouteList {
	page := statusapi.RouteList{Routes: []statusapi.Route{}}
	table := s.current()
	names := table.Names()
	first, found := slices.BinarySearch(names, after)
	if found {
		first++
	}
	names = names[first:]
	if len(names) > limit {
		names = names[:limit]
		page.Next = names[limit-1]
	}
	for _, name := range names {
		page.Routes = append(page.Routes, routeOf(table.Route(name)))
	}
	return page
}

func routeOf(rt *routing.Route) statusapi.Route {
	r := statusapi.Route{
		Name: rt.Name, File: rt.Pos.File, Line: rt.Pos.Line, Tunnels: int64(rt.Counts.Tunnels.Open()),
		Window: rt.Drain.Window.String(), Keep: rt.Drain.Keep,
	}
	switch {
	case rt.Redirect != nil:
		r.Does = "redirect"
	case rt.Respond != nil:
		r.Does = "respond"
	case rt.Target.Internal != "":
		r.Does, r.Target = "internal", rt.Target.Internal
	case !rt.Target.Named:
		r.Does, r.Target = "backend", rt.Target.Pool.Members()[0].Backend.URL()
	default:
		r.Does, r.Target = "pool", rt.Target.Pool.Name()
	}
	return r
}

// Pools returns the Table's pools, by name.
func (s *Server) Pools() statusapi.PoolList {
	table := s.current()
	list := statusapi.PoolList{Pools: []statusapi.Pool{}}
	for _, name := range slices.Sorted(maps.Keys(table.Pools())) {
		p := table.Pools()[name]
		pool := statusapi.Pool{Name: name, Discovered: table.Discoveries()[name] != nil, Queue: p.QueueLength(), Backends: []statusapi.Backend{}}
		for _, m := range p.Members() {
			pool.Backends = append(pool.Backends, backendOf(&m))
		}
		list.Pools = append(list.Pools, pool)
	}
	return list
}

func backendOf(m *upstream.Member) statusapi.Backend {
	b := statusapi.Backend{
		Name: m.Name, URL: m.Backend.URL(), State: "up", Weight: max(m.Weight, 1), Effective: m.EffectiveWeight(),
		Tier: m.Tier, Spare: m.Spare, Standby: m.Standby,
		Tunnels: m.Backend.Tunnels(), MaxTunnels: m.MaxTunnels, Requests: m.Backend.InFlight(),
	}
	switch {
	case m.Drain:
		b.Written = "drain"
	case m.Disabled:
		b.Written = "disabled"
	}
	switch {
	case m.Backend.Ejected():
		b.State = "ejected"
	case !m.Backend.Available():
		b.State = "down"
	}
	if t := m.Temporary(); t != nil {
		b.Temporary, b.Until = string(t.State), &t.Until
	}
	return b
}

// Figures are the numbers of tunnels.
func (s *Server) Figures() statusapi.Figures {
	open, draining := s.Tunnels()
	return statusapi.Figures{
		Open: open, Draining: draining, Moving: s.Moving(),
		Opened: s.Opened(), Ended: s.Ended(), Redialled: s.Redialled(),
	}
}
