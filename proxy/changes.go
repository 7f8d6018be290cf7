package proxy

// What a reload changed, and what that means for tunnels that are open.

import (
	"maps"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
)

// Changes is the difference between two Tables, by route name, sorted.
type Changes struct {
	Added, Changed, Removed []string
	Renamed                 map[string]string // old name -> new name
	Kept, Draining          int               // open tunnels
}

// compare finds what differs. A route whose name is gone while its match and
// target stand under exactly one new name is renamed, not removed.
func compare(old, new *Table) Changes {
	c := Changes{Renamed: make(map[string]string)}
	added := make(map[fingerprint][]string) // new names, by shape
	for name, rt := range new.byName {
		before, known := old.byName[name]
		switch {
		case !known:
			added[rt.shape] = append(added[rt.shape], name)
		case before.whole != rt.whole:
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.byName)) {
		if new.byName[name] != nil {
			continue
		}
		shape := old.byName[name].shape
		if names := added[shape]; len(names) == 1 {
			c.Renamed[name] = names[0]
			delete(added, shape)
			continue
		}
		c.Removed = append(c.Removed, name)
	}
	for _, names := range added {
		c.Added = append(c.Added, names...)
	}
	slices.Sort(c.Added)
	slices.Sort(c.Changed)
	return c
}

// judge says what becomes of a tunnel now that this Table is current: it stays
// while its route is there, its backend is still the route's and not drained,
// and its client and Origin would still be let in: without that it is forbidden, by
// whatever policy it was opened. All else may change. Where it is
// the backend alone, a tunnel that can redial moves within the pool.
func (t *Table) judge(f drain.Facts, renamed map[string]string) drain.Verdict {
	name, backend := f.Route, f.Backend
	if to, ok := renamed[name]; ok {
		name = to
	}
	rt := t.byName[name]
	if rt == nil {
		return drain.Verdict{Drain: true, Route: name, Backend: backend}
	}
	if backend.Pool == f.Route && !rt.has(backend) {
		// A target written in place is a pool that bears its route's name, and
		// is renamed with it.
		backend.Pool = name
	}
	welcome := rt.allowsClient(f.Client) && rt.allowsOrigin(f)
	return drain.Verdict{
		Drain:     !welcome || !rt.has(backend),
		Forbidden: !welcome,
		Move:      welcome && rt.leadsTo(backend.Pool),
		Route:     name,
		Backend:   backend,
	}
}

// judgePool judges the tunnels to one pool's backends, after its members have
// changed by themselves. It goes by the Table that was adopted last: tunnels of
// routes that only the next one knows are the next judgement's.
func (s *Server) judgePool(pool string) {
	s.judging.Lock()
	defer s.judging.Unlock()
	t := s.adopted
	s.tunnels.Evaluate(func(f drain.Facts) drain.Verdict {
		if f.Backend.Pool != pool || t.byName[f.Route] == nil {
			return drain.Verdict{Unchanged: true}
		}
		return t.judge(f, nil)
	})
}
