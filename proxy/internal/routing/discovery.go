package routing

// Pools whose members are discovered: their rules, for package discovery.

import (
	"encoding/hex"
	"fmt"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// discoveries builds the rules. The routes must have been built: the TLS settings towards
// the members are theirs.
func (b *builder) discoveries() {
	for name, p := range b.set.Pools {
		if p.Resolve == nil {
			continue
		}
		tls := b.tlsOfDiscovered(name)
		health, err := b.healthCheck(b.probeSpec(name), tls[0])
		if err != nil {
			b.fail(p.Pos, "pools."+name+".health", fmt.Sprintf("pool %q", name), err)
			continue
		}
		rule := buildDiscovery(p.Resolve)
		rule.Health, rule.Registry = health, b.registry(name)
		for _, t := range tls {
			rule.TLSKeys = append(rule.TLSKeys, t.Key)
		}
		b.table.discoveries[name] = rule
	}
}

func buildDiscovery(r *routefile.Resolve) *discovery.Rule {
	key := fingerprintOf(r)
	rule := &discovery.Rule{
		Every:       r.Every,
		Key:         hex.EncodeToString(key[:]),
		Scheme:      r.Scheme,
		MaxTunnels:  r.MaxTunnels,
		MaxRequests: r.MaxRequests,
	}
	if r.DNS != "" {
		rule.Lookup = discovery.LookupAddresses(r.Server, r.DNS)
	} else {
		rule.Lookup = discovery.LookupService(r.Server, r.SRV)
	}
	return rule
}

// tlsOfDiscovered returns the TLS settings of the routes that lead to the pool. Probes use
// the first.
func (b *builder) tlsOfDiscovered(pool string) (all []upstream.TLS) {
	for _, rt := range b.table.routes {
		if rt.Target != nil && rt.Target.Pool == b.table.pools[pool] {
			all = append(all, rt.Target.discoveredTLS)
		}
	}
	if len(all) == 0 {
		all = append(all, upstream.TLS{}) // no route leads there
	}
	return all
}

// membersBefore returns the pool's members in the previous Table, whether they were
// discovered or listed. The new pool has them until the first lookup has succeeded.
func (b *builder) membersBefore(pool string, r *routefile.Resolve) (members []upstream.Member) {
	before := b.prev.pools[pool]
	if before == nil {
		return nil
	}
	rule := buildDiscovery(r)
	for _, m := range before.Members() {
		if m.Backend.Key().Scheme == r.Scheme {
			members = append(members, rule.Limited(m))
		}
	}
	return members
}

// registry returns the pool's registry in the previous Table, or a new one that holds all
// backends known of the pool.
func (b *builder) registry(pool string) *discovery.Registry {
	if before := b.prev.discoveries[pool]; before != nil {
		return before.Registry
	}
	known := make(map[upstream.BackendKey]*upstream.Backend)
	for _, backends := range []map[upstream.BackendKey]*upstream.Backend{b.prev.retired.backends, b.prev.backends} {
		for key, backend := range backends {
			if key.Pool == pool {
				known[key] = backend
			}
		}
	}
	return discovery.NewRegistry(known)
}

// discoveredBackend returns the backend with that key, if it was discovered for its pool,
// and otherwise nil.
func (t *Table) discoveredBackend(key upstream.BackendKey) *upstream.Backend {
	rule := t.discoveries[key.Pool]
	if rule == nil {
		return nil
	}
	if b := discovery.MemberOf(t.pools[key.Pool].Members(), key); b != nil {
		return b
	}
	if left := rule.Registry.All()[key]; left != nil {
		return left.Revive()
	}
	return nil
}

// Lists reports whether the routes file lists b itself, not another backend with its key.
func (t *Table) Lists(b *upstream.Backend) bool { return t.backends[b.Key()] == b }

// discovers reports whether b is a member of a pool whose members are discovered.
func (t *Table) discovers(b *upstream.Backend) bool {
	key := b.Key()
	return t.discoveries[key.Pool] != nil && discovery.MemberOf(t.pools[key.Pool].Members(), key) == b
}
