package discovery

import (
	"maps"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Registry keeps the backends of one discovered pool: its members, and those that
// left while tunnels to them were open. Through it a backend keeps its counts when it
// leaves the name and comes back, and when the routes file begins or ceases to list
// it. It lives as long as the pool is discovered. It is safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	backends map[upstream.BackendKey]*upstream.Backend // guarded by mu
}

// NewRegistry returns a Registry that knows the backends of the generation before.
func NewRegistry(known map[upstream.BackendKey]*upstream.Backend) *Registry {
	return &Registry{backends: known}
}

// Lookup returns the backend of that key: one of members, one that had left, or a new
// one. From now on its name is host.
func (r *Registry) Lookup(key upstream.BackendKey, members []upstream.Member, host string) *upstream.Backend {
	b := MemberOf(members, key)
	if b == nil {
		b = r.revive(key)
	}
	b.SetHost(host)
	return b
}

func (r *Registry) revive(key upstream.BackendKey) *upstream.Backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := r.backends[key]; left != nil {
		r.backends[key] = left.Revive()
	} else {
		r.backends[key] = upstream.NewBackend(key)
	}
	return r.backends[key]
}

// Prune closes the backends that are not among members, and drops those of them that
// have no tunnel.
func (r *Registry) Prune(members []upstream.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, b := range r.backends {
		if MemberOf(members, key) == b {
			continue
		}
		b.Close()
		if b.Tunnels() == 0 {
			delete(r.backends, key)
		}
	}
}

// All returns a copy of what is known.
func (r *Registry) All() map[upstream.BackendKey]*upstream.Backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.backends)
}

// MemberOf returns the member with that key, or nil.
func MemberOf(members []upstream.Member, key upstream.BackendKey) *upstream.Backend {
	for _, m := range members {
		if m.Backend.Key() == key {
			return m.Backend
		}
	}
	return nil
}
