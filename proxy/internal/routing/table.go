// Package routing compiles a routes file's Set into an immutable [Table], which says
// for each request what is to be done with it.
//
//	*routefile.Set -Build-> *Table -(swapped by the caller)-> readers
//
// A Set is what the routes file says; a Table is what serves it. [Build] (build.go and, by
// feature, route.go, target.go, health.go, sticky.go, discovery.go) reads certificates and
// takes over from the previous Table what must outlive a reload: backends and counts. If it
// fails, it has changed nothing. A Table never changes after Build. [Compare] names what a
// reload has changed, and [Table.Evaluate] says what that means for an open tunnel
// (changes.go).
//
// Nothing here listens, dials or answers a request.
package routing

import (
	"maps"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// Table is what to serve: immutable, safe for concurrent use, made by Build.
type Table struct {
	tree      *match.Tree
	routes    []*Route // by the tree's index
	byName    map[string]*Route
	listeners map[string]*listen.Config // by their Key
	trusted   Trusted
	unmatched forward.ErrorAnswers
	shutdown  Shutdown
	backends  map[upstream.BackendKey]*upstream.Backend
	pools     map[string]*upstream.Pool
	secret    []byte                                     // of sticky cookies without one of their own
	tlsKeys   map[*upstream.Backend][]string             // the TLS settings each backend is reached with
	health    map[*upstream.Backend]upstream.HealthCheck // of each member of a pool

	discoveries map[string]*discovery.Rule // by pool, of those whose members are discovered
	rebalance   map[string]*RebalanceRule  // by pool
	retired     retired
	auth        *auth.State // what policies remember; nil without any

	poolHashes, listenerHashes map[string]fingerprint // for Compare, by name
}

// Shutdown is what SIGTERM does, as routefile.Shutdown says.
type Shutdown struct {
	Delay  time.Duration // not ready, still accepting
	Policy drain.Policy
}

// Routes is how many routes there are.
func (t *Table) Routes() int { return len(t.routes) }

// Names are the names of the routes, sorted.
func (t *Table) Names() []string { return slices.Sorted(maps.Keys(t.byName)) }

// Route is the route of that name; nil if there is none.
func (t *Table) Route(name string) *Route { return t.byName[name] }

// Lookup finds the route of a request and the path to send, see match.Tree.PathFor. raw
// is the path as it came. The route is nil if none matches; err is of a path that the
// route does not take.
func (t *Table) Lookup(r *match.Request, raw string, c *match.Captures) (rt *Route, path match.SentPath, err error) {
	index := t.tree.Lookup(r, c)
	if index < 0 {
		return nil, match.SentPath{}, nil
	}
	rt = t.routes[index]
	path, err = t.tree.PathFor(index, r, raw, rt.Paths, c)
	return rt, path, err
}

// Trusted are the proxies whose reports about clients are believed.
func (t *Table) Trusted() Trusted { return t.trusted }

// Listener is the settings of the socket with that key; nil if there is none.
func (t *Table) Listener(key string) *listen.Config { return t.listeners[key] }

// Listeners are all of them, by key. Not to be changed.
func (t *Table) Listeners() map[string]*listen.Config { return t.listeners }

// Pools are all of them, by name. Not to be changed.
func (t *Table) Pools() map[string]*upstream.Pool { return t.pools }

// Backend is the backend that the routes file lists under that key; nil if it does not.
func (t *Table) Backend(key upstream.BackendKey) *upstream.Backend { return t.backends[key] }

// Discoveries are the rules of the pools whose members are discovered, by pool. Not to
// be changed.
func (t *Table) Discoveries() map[string]*discovery.Rule { return t.discoveries }

// RebalanceRules are those of the pools that rebalance, by pool. Not to be changed.
func (t *Table) RebalanceRules() map[string]*RebalanceRule { return t.rebalance }

// Shutdown is how the Server is to stop.
func (t *Table) Shutdown() Shutdown { return t.shutdown }

// LongestClose is the longest time that peers of any route have to answer a Close.
func (t *Table) LongestClose() (longest time.Duration) {
	for _, rt := range t.routes {
		longest = max(longest, rt.Tunnel.CloseTimeout)
	}
	return longest
}

// CheckHealth applies the Table's health checks to its backends. changed is called at
// every change of a backend's health, probed after each probe.
func (t *Table) CheckHealth(changed func(*upstream.Backend, health.Event), probed func(took time.Duration, err error)) {
	for backend, h := range t.health {
		h.Probed = probed
		backend.CheckHealth(h, changed)
	}
}

// Retire ends what next does not continue: connections to backends that it does not
// reach, or reaches in another way, and queues of pools that it replaces, whose
// requests go to the new pool.
func (t *Table) Retire(next *Table) {
	for _, backend := range t.backends {
		switch {
		case next.Lists(backend):
			keys := next.tlsKeys[backend]
			backend.RetainTransports(func(key string) bool { return slices.Contains(keys, key) })
		case !next.discovers(backend): // one that is discovered belongs to discovery
			backend.Close()
		}
	}
	for name, pool := range t.pools {
		if next.pools[name] != pool {
			pool.Retire()
		}
	}
}

// Close ends the health checks of the Table's backends and closes idle connections.
func (t *Table) Close() {
	for _, backend := range t.backends {
		backend.Close()
	}
}

// RebalanceRule is a pool's rebalance. Immutable.
type RebalanceRule struct {
	Within    time.Duration // for all of it
	Tolerance int           // percent of a share
}
