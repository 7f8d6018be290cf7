package proxy

// Who has been found for a pool, and who was in it when it began to be found: by
// it a pool's backends keep their counts when they leave the name and come back,
// and when the file comes to name them, or no longer does.

import (
	"maps"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// roster is a pool's members, and those that left with tunnels open. It outlives
// reloads for as long as the pool's members are found. Safe for concurrent use.
type roster struct {
	mu       sync.Mutex
	backends map[upstream.BackendKey]*upstream.Backend // guarded by mu
}

// roster is that of the generation before, or a new one with all that is known of
// the pool's backends.
func (b *builder) roster(pool string) *roster {
	if before := b.prev.discoveries[pool]; before != nil {
		return before.roster
	}
	r := &roster{backends: make(map[upstream.BackendKey]*upstream.Backend)}
	for _, known := range []map[upstream.BackendKey]*upstream.Backend{b.prev.former.backends, b.prev.backends} {
		for id, backend := range known {
			if id.Pool == pool {
				r.backends[id] = backend
			}
		}
	}
	return r
}

// call is the backend of that identity, under the name that it goes by: one of the
// members, one that has left and comes back with its counts, or a new one.
func (r *roster) call(id upstream.BackendKey, members []upstream.Member, name string) *upstream.Backend {
	b := memberOf(members, id)
	if b == nil {
		b = r.again(id)
	}
	b.SetHost(name)
	return b
}

func (r *roster) again(id upstream.BackendKey) *upstream.Backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := r.backends[id]; left != nil {
		r.backends[id] = left.Revive()
	} else {
		r.backends[id] = upstream.NewBackend(id)
	}
	return r.backends[id]
}

// forget closes those who are no members any more, and drops whose last tunnel
// has ended.
func (r *roster) forget(members []upstream.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, b := range r.backends {
		if memberOf(members, id) == b {
			continue
		}
		b.Close()
		if b.Tunnels() == 0 {
			delete(r.backends, id)
		}
	}
}

// all is a copy.
func (r *roster) all() map[upstream.BackendKey]*upstream.Backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.backends)
}

// memberOf is the member of that identity, nil if there is none.
func memberOf(members []upstream.Member, id upstream.BackendKey) *upstream.Backend {
	for _, m := range members {
		if m.Backend.Key() == id {
			return m.Backend
		}
	}
	return nil
}

// foundBackend is the backend of that identity which was found for its pool, nil
// if none was.
func (t *Table) foundBackend(id upstream.BackendKey) *upstream.Backend {
	rule := t.discoveries[id.Pool]
	if rule == nil {
		return nil
	}
	if b := memberOf(t.pools[id.Pool].Members(), id); b != nil {
		return b
	}
	if left := rule.roster.all()[id]; left != nil {
		return left.Revive()
	}
	return nil
}

// names says whether the file names this very backend.
func (t *Table) names(b *upstream.Backend) bool { return t.backends[b.Key()] == b }

// finds says whether it is a member of a pool whose members are found.
func (t *Table) finds(b *upstream.Backend) bool {
	id := b.Key()
	return t.discoveries[id.Pool] != nil && memberOf(t.pools[id.Pool].Members(), id) == b
}
