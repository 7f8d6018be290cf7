package routing

// From a Set to a Table. A builder has one method for each section of the file.

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Build makes a Table of a checked set. It takes over from prev what outlives reloads
// (backends, places in queues, counts); prev may be nil and is not changed. Build reads
// certificates and dials nothing. Its error is routefile.Errors.
func Build(set *routefile.Set, prev *Table) (*Table, error) {
	return BuildContext(context.Background(), set, prev)
}

// BuildContext is Build for as long as ctx lasts; then the error is ctx's cause.
func BuildContext(ctx context.Context, set *routefile.Set, prev *Table) (*Table, error) {
	if prev == nil {
		prev = &Table{}
	}
	b := &builder{
		ctx:  ctx,
		set:  set,
		prev: prev,
		tls:  make(map[upstream.TLSFiles]loadedTLS),

		built:    make(map[*routefile.Settings]*Settings),
		contents: make(map[string][]byte),
		table: &Table{
			byName:    make(map[string]*Route, len(set.Routes)),
			listeners: make(map[string]*listen.Config, len(set.Listeners)),
			trusted:   set.TrustedProxies,
			backends:  make(map[upstream.BackendKey]*upstream.Backend),
			pools:     make(map[string]*upstream.Pool),
			tlsKeys:   make(map[*upstream.Backend][]string),
			secret:    prev.secret,
			auth:      prev.auth,

			poolHashes:     hashesOf(set.Pools),
			listenerHashes: hashesOf(set.Listeners),
			health:         make(map[*upstream.Backend]upstream.HealthCheck),

			discoveries: make(map[string]*discovery.Rule),
			rebalance:   make(map[string]*RebalanceRule),
		},
	}
	b.unmatched()
	b.listeners()
	b.pools()
	b.routes()
	b.healthChecks()
	b.discoveries()
	b.shutdown()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(b.errs) > 0 {
		return nil, routefile.Merge(b.errs)
	}
	renamed := Compare(b.prev, b.table).Renamed
	b.followRenames(renamed)
	b.table.retired = retiredOf(b.prev, b.table, renamed)
	return b.table, nil
}

// followRenames lets a renamed route keep its counts. Where tunnels of an earlier route of
// its new name are still open, they are its own from now on, and count too.
func (b *builder) followRenames(renamed map[string]string) {
	for from, to := range renamed {
		counts := b.prev.byName[from].Counts
		if retired := b.prev.retired.counts[to]; retired != nil {
			counts = limits.Continue(counts, retired)
		}
		b.table.byName[to].Counts = counts
	}
}

// builder is one Build under way.
type builder struct {
	ctx   context.Context
	set   *routefile.Set
	prev  *Table
	table *Table
	tls   map[upstream.TLSFiles]loadedTLS   // each set of files is read once
	built map[*routefile.Settings]*Settings // each is compiled once

	contents map[string][]byte // of files that hold texts to be sent, by path
	errs     routefile.Errors
}

type loadedTLS struct {
	upstream.TLS
	err error
}

func (b *builder) fail(pos routefile.Pos, key, record string, err error) {
	b.errs = append(b.errs, &routefile.Error{Pos: pos, Key: key, Record: record, Text: err.Error()})
}

func (b *builder) listeners() {
	for _, name := range slices.Sorted(maps.Keys(b.set.Listeners)) {
		l := b.set.Listeners[name]
		built := &listen.Config{Name: name, Address: l.Address, Limits: buildListenerLimits(l.Limits)}
		var err error
		if built.Socket, err = buildSocketFile(l); err != nil {
			b.fail(l.Pos, "listeners."+name+".group", fmt.Sprintf("listener %q", name), err)
			continue
		}
		if l.TLS != nil {
			if err := built.LoadTLS(buildTLSFiles(l)); err != nil {
				b.fail(l.Pos, "listeners."+name+".tls", fmt.Sprintf("listener %q", name), err)
				continue
			}
		}
		b.table.listeners[built.Key()] = built
	}
}

func buildSocketFile(l *routefile.Listener) (f listen.SocketFile, err error) {
	f.Mode, _ = routefile.SocketMode(l.Mode) // Parse has checked it
	if f.Group, err = routefile.SocketGroup(l.Group); err != nil {
		err = fmt.Errorf("group %q: %w", l.Group, err)
	}
	return f, err
}

func buildListenerLimits(l routefile.ListenerLimits) listen.Limits {
	return listen.Limits{
		Head:        h1.Limits{HeadBytes: int(l.HeaderBytes), Fields: l.Headers, HeadTimeout: l.HeaderTimeout},
		Connections: l.Connections,
	}
}

func buildTLSFiles(l *routefile.Listener) listen.TLSFiles {
	files := listen.TLSFiles{ClientCA: l.TLS.ClientCA, HTTP2: l.HTTP2 != routefile.Off}
	for _, pair := range l.TLS.Certificates {
		files.Certificates = append(files.Certificates, listen.CertificateFiles{Certificate: pair.Certificate, Key: pair.Key})
	}
	return files
}

func (b *builder) pools() {
	for name, p := range b.set.Pools {
		members := make([]upstream.Member, 0, len(p.Backends))
		for _, key := range slices.Sorted(maps.Keys(p.Backends)) {
			backend := p.Backends[key]
			members = append(members, upstream.Member{
				Backend:  b.backend(backendKey(name, &backend.URL)),
				Name:     key,
				Route:    backend.Route,
				Weight:   backend.Weight,
				Record:   recordOf(backend),
				Drain:    backend.Drain,
				Disabled: backend.Disabled,
				Tier:     backend.Tier,
				Spare:    backend.Spare,
				Standby:  backend.Standby,

				MaxTunnels:  backend.MaxTunnels,
				MaxRequests: backend.MaxRequests,
			})
		}
		if p.Resolve != nil {
			members = b.membersBefore(name, p.Resolve)
		}
		settings := upstream.Settings{Balance: p.Balance, Key: hashKey(p.Hash)}
		sticky, err := b.sticky(p.Sticky)
		if err != nil {
			b.fail(p.Pos, "pools."+name+".sticky", fmt.Sprintf("pool %q", name), err)
			continue
		}
		settings.Sticky = sticky
		pool, err := upstream.NewPool(name, settings, members, b.prev.pools[name])
		if err != nil {
			b.fail(p.Pos, "pools."+name, fmt.Sprintf("pool %q", name), err)
			continue
		}
		if r := p.Rebalance; r != nil {
			b.table.rebalance[name] = &RebalanceRule{Within: r.Within, Tolerance: r.Tolerance}
		}
		if q := p.Queue; q != nil {
			pool.SetQueue(upstream.Queue{Length: q.Length, Wait: q.Wait})
		}
		b.table.pools[name] = pool
	}
}

// backend is the backend with that key: the one of the Table before, with all that is
// known of it, or a new one.
func (b *builder) backend(id upstream.BackendKey) *upstream.Backend {
	if known := b.table.backends[id]; known != nil {
		return known
	}
	backend := b.prev.backends[id]
	if backend == nil {
		backend = b.prev.discoveredBackend(id)
	}
	if backend == nil {
		backend = b.prev.retired.backend(id)
	}
	b.table.backends[id] = backend
	return backend
}

// backendKey is the key of a target's backend. pool is the pool's name, or the
// route's for a target written in place.
func backendKey(pool string, target *routefile.Target) upstream.BackendKey {
	return upstream.BackendKey{Pool: pool, Scheme: target.Scheme, Authority: target.Host}
}

// recordOf tells two records of a backend apart.
func recordOf(backend *routefile.Backend) string {
	hash := fingerprintOf(backend)
	return string(hash[:12])
}

func (b *builder) routes() {
	names := slices.Sorted(maps.Keys(b.set.Routes))
	rules := make([]match.Rule, 0, len(names))
	for _, name := range names {
		spec := b.set.Routes[name]
		built, err := b.route(spec)
		if err != nil {
			b.fail(spec.Route.Pos, "routes."+name, fmt.Sprintf("route %q", name), err)
			continue
		}
		rules = append(rules, spec.Rule())
		b.table.routes = append(b.table.routes, built)
		b.table.byName[name] = built
	}
	tree, problems, err := match.CompileContext(b.ctx, rules)
	if err != nil {
		return // as BuildContext notices
	}
	for _, p := range problems {
		spec := b.set.Routes[p.Rule]
		b.fail(spec.Route.Pos, "routes."+p.Rule+".match."+p.Field, fmt.Sprintf("route %q", p.Rule), fmt.Errorf("%s", p.Text))
	}
	b.table.tree = tree
}

// loadTLS is readTLS, and notes that the backend is reached that way.
func (b *builder) loadTLS(backend *upstream.Backend, files upstream.TLSFiles) (upstream.TLS, error) {
	loaded, err := b.readTLS(files)
	b.table.tlsKeys[backend] = append(b.table.tlsKeys[backend], loaded.Key)
	return loaded, err
}

// readTLS reads what files name, once a Build.
func (b *builder) readTLS(files upstream.TLSFiles) (upstream.TLS, error) {
	loaded, known := b.tls[files]
	if !known {
		loaded.TLS, loaded.err = upstream.LoadTLS(files)
		b.tls[files] = loaded
	}
	return loaded.TLS, loaded.err
}

func (b *builder) shutdown() {
	b.table.shutdown = Shutdown{
		Delay: max(b.set.Shutdown.Delay, 0),
		Policy: drain.Policy{
			Window: max(b.set.Shutdown.Window, 0),
			Code:   1001,
			Reason: "the proxy is stopping",
		},
	}
}
