package routing

// What a reload changed, and what that means for tunnels that are open.

import (
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
)

// Changes is the difference between two Tables, by route name, sorted.
type Changes struct {
	Added, Changed, Removed []string
	Renamed                 map[string]string // old name -> new name
	Kept, Draining          int               // open tunnels
}

// Compare finds what differs. A route whose name is gone while exactly one new route has
// its match and target is renamed, not removed.
func Compare(old, new *Table) Changes {
	c := Changes{Renamed: make(map[string]string)}
	var gone []string
	for name := range old.byName {
		if new.byName[name] == nil {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	added := make(map[fingerprint][]string) // new names, by shape, if some may be renamed
	for name, rt := range new.byName {
		before, known := old.byName[name]
		switch {
		case !known && len(gone) == 0:
			c.Added = append(c.Added, name)
		case !known:
			added[rt.shape] = append(added[rt.shape], name)
		case before.digest != rt.digest:
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range gone {
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

// Evaluate returns what becomes of an open tunnel when this Table becomes current. The
// tunnel stays while its route exists, its backend is still the route's and not drained,
// and its client and Origin would still be allowed; all else may change. A client or
// Origin that is no longer allowed makes it forbidden, and it ends whatever its drain
// policy says. If only the backend is gone, a tunnel that can redial moves within the
// pool. renamed maps old names of routes to new ones.
func (t *Table) Evaluate(f drain.Facts, renamed map[string]string) drain.Verdict {
	name, backend := f.Route, f.Backend
	if to, ok := renamed[name]; ok {
		name = to
	}
	rt := t.byName[name]
	if rt == nil {
		return drain.Verdict{Drain: true, Route: name, Backend: backend}
	}
	if backend.Pool == f.Route && !rt.HasBackend(backend) {
		// A target written in place is a pool with the name of its route, and is
		// renamed with it.
		backend.Pool = name
	}
	allowed := rt.allowsClient(f.Client) && rt.allowsOrigin(f)
	return drain.Verdict{
		Drain:     !allowed || !rt.HasBackend(backend),
		Forbidden: !allowed,
		Move:      allowed && rt.LeadsTo(backend.Pool),
		Route:     name,
		Backend:   backend,
	}
}
