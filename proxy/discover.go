package proxy

// Pools whose backends are found: who asks, and what an answer changes. Asking
// outlives reloads by the pool's name, and so does the last good answer: a name
// server that is away changes nothing.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// discoverRule is how the members of one pool are found. Immutable.
type discoverRule struct {
	lookup upstream.Lookup
	every  time.Duration
	key    fingerprint // equal ones go on asking as they are
	said   *routefile.Resolve
	health upstream.HealthCheck // of every member
	tls    []string             // the keys of the TLS settings that routes reach them with
	roster *roster              // shared with the rules before and after
}

// lookupTimeout bounds one question, whatever the resolver's own limits are.
const lookupTimeout = 10 * time.Second

// discoveries notes how the members of pools are found, once the routes are
// built, which say how TLS is spoken.
func (b *builder) discoveries() {
	for name, p := range b.set.Pools {
		if p.Resolve == nil {
			continue
		}
		ways := b.foundTLS(name)
		health, err := buildHealthCheck(p.Health, ways[0])
		if err != nil {
			b.fail(p.Pos, "pools."+name+".health", fmt.Sprintf("pool %q", name), err)
			continue
		}
		rule := &discoverRule{every: p.Resolve.Every, key: fingerprintOf(p.Resolve), said: p.Resolve, health: health, roster: b.roster(name)}
		for _, t := range ways {
			rule.tls = append(rule.tls, t.Key)
		}
		if p.Resolve.DNS != "" {
			rule.lookup = upstream.LookupAddresses(p.Resolve.Server, p.Resolve.DNS)
		} else {
			rule.lookup = upstream.LookupService(p.Resolve.Server, p.Resolve.SRV)
		}
		b.table.discoveries[name] = rule
	}
}

// foundTLS is how TLS is spoken to a pool whose members are found, by route; the
// first is also the probes'.
func (b *builder) foundTLS(pool string) (ways []upstream.TLS) {
	for _, rt := range b.table.routes {
		if rt.to != nil && rt.to.pool == b.table.pools[pool] {
			ways = append(ways, rt.to.found)
		}
	}
	if len(ways) == 0 {
		ways = append(ways, upstream.TLS{}) // no route leads there
	}
	return ways
}

// foundBefore is who is in a pool in the generation before, found or written
// down: where the new one begins, until there is an answer.
func (b *builder) foundBefore(pool string, r *routefile.Resolve) (members []upstream.Member) {
	before := b.prev.pools[pool]
	if before == nil {
		return nil
	}
	for _, m := range before.Members() {
		if m.Backend.Key().Scheme == r.Scheme {
			members = append(members, limitedAs(m, r))
		}
	}
	return members
}

func limitedAs(m upstream.Member, r *routefile.Resolve) upstream.Member {
	m.MaxTunnels, m.MaxRequests = r.MaxTunnels, r.MaxRequests
	return m
}

// discovery keeps one pool's members up to date.
type discovery struct {
	server *Server
	name   string
	asked  chan struct{} // closed after the first answer, or the first failure

	mu      sync.Mutex // guards all below
	pool    *upstream.Pool
	rule    *discoverRule // nil: ended
	stop    context.CancelFunc
	once    sync.Once
	failing bool
}

// adoptDiscoveries makes the pools of a new Table go on being kept up to date:
// those that are, those that are new, and no others.
func (s *Server) adoptDiscoveries(t *Table) {
	for name, d := range s.discoveries {
		if t.discoveries[name] == nil {
			delete(s.discoveries, name)
			d.end(t.names)
		}
	}
	for name, rule := range t.discoveries {
		d := s.discoveries[name]
		if d == nil {
			d = &discovery{server: s, name: name, asked: make(chan struct{})}
			s.discoveries[name] = d
		}
		d.adopt(t.pools[name], rule)
	}
}

// awaitDiscoveries waits, for a short while, until every pool has had its first
// answer, so that who comes first does not find it empty.
func (s *Server) awaitDiscoveries() {
	late := time.After(firstAnswer)
	for _, d := range s.discoveries {
		select {
		case <-d.asked:
		case <-late:
			return
		}
	}
}

const firstAnswer = 2 * time.Second

func (d *discovery) adopt(pool *upstream.Pool, rule *discoverRule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.rule
	var found []upstream.Member
	if d.pool != nil {
		found = d.pool.Members() // more may have been found since the new pool was made
	}
	d.pool, d.rule = pool, rule
	if before != nil && before.said.Scheme == rule.said.Scheme {
		members := make([]upstream.Member, len(found))
		for i, m := range found {
			members[i] = limitedAs(m, rule.said)
		}
		pool.SetMembers(members)
	}
	d.checkHealthLocked()
	for _, b := range rule.roster.all() {
		b.RetainTransports(func(key string) bool { return slices.Contains(rule.tls, key) })
	}
	if before != nil && before.key == rule.key {
		return
	}
	if d.stop != nil {
		d.stop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	go d.keepAsking(ctx, rule)
}

// end ends the asking. Backends that the file names now go on as they are, under
// their own names; one may have left the pool since the new Table was built.
func (d *discovery) end(named func(*upstream.Backend) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
	for _, b := range d.rule.roster.all() {
		if named(b) {
			b.SetHost("")
			b.Reopen()
		} else {
			b.Close()
		}
	}
	d.rule = nil
}

func (d *discovery) checkHealthLocked() {
	for _, m := range d.pool.Members() {
		m.Backend.CheckHealth(d.rule.health, d.server.healthChanged)
	}
}

// keepAsking asks until ctx ends.
func (d *discovery) keepAsking(ctx context.Context, rule *discoverRule) {
	for ctx.Err() == nil {
		found, err := ask(ctx, rule.lookup)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.complain(err)
		default:
			d.take(rule, found)
		}
		d.once.Do(func() { close(d.asked) })
		sleep(ctx, time.Duration(float64(rule.every)*(0.9+0.2*rand.Float64())))
	}
}

func ask(ctx context.Context, lookup upstream.Lookup) ([]upstream.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return lookup(ctx)
}

// complain says once that lookups fail.
func (d *discovery) complain(err error) {
	d.mu.Lock()
	before := d.failing
	d.failing = true
	members := len(d.pool.Members())
	d.mu.Unlock()
	if !before {
		d.server.log.Warn("lookup failed", "pool", d.name, "error", err, "backends", members)
	}
}

// take makes the pool what was found. Tunnels to what is no longer found are
// judged as after a reload, and so are those to what is found again.
func (d *discovery) take(rule *discoverRule, found []upstream.Found) {
	d.mu.Lock()
	if d.rule == nil || d.rule.key != rule.key { // an answer to the question before
		d.mu.Unlock()
		return
	}
	recovered := d.failing
	d.failing = false
	before := d.pool.Members()
	members := d.membersLocked(found)
	joined, left := difference(before, members)
	changed := !slices.Equal(before, members)
	if changed {
		d.pool.SetMembers(members)
		d.checkHealthLocked()
		d.rule.roster.forget(members)
	}
	d.mu.Unlock()
	if changed || recovered {
		d.server.log.Info("backends found", "pool", d.name, "backends", len(members), "joined", joined, "left", left)
	}
	if changed {
		d.server.judgePool(d.name)
	}
	if len(joined) > 0 && len(before) > 0 {
		d.server.rebalance(d.name)
	}
}

func (d *discovery) membersLocked(found []upstream.Found) []upstream.Member {
	members := make([]upstream.Member, 0, len(found))
	for _, f := range found {
		id := upstream.BackendKey{Pool: d.name, Scheme: d.rule.said.Scheme, Authority: f.Authority}
		members = append(members, limitedAs(upstream.Member{
			Name:    f.Authority,
			Backend: d.rule.roster.call(id, d.pool.Members(), f.Called),
			Weight:  f.Weight,
			Tier:    f.Tier,
		}, d.rule.said))
	}
	return members
}

// difference names who is in one list and not in the other, by authority.
func difference(before, after []upstream.Member) (joined, left []string) {
	in := func(list []upstream.Member) map[*upstream.Backend]bool {
		set := make(map[*upstream.Backend]bool, len(list))
		for _, m := range list {
			set[m.Backend] = true
		}
		return set
	}
	was, is := in(before), in(after)
	for _, m := range after {
		if !was[m.Backend] {
			joined = append(joined, m.Backend.Key().Authority)
		}
	}
	for _, m := range before {
		if !is[m.Backend] {
			left = append(left, m.Backend.Key().Authority)
		}
	}
	return joined, left
}

// judgePool judges the tunnels to one pool's backends, after its members have
// changed by themselves. It goes by the Table that was adopted last: tunnels of
// routes that only the next one knows are the next judgement's.
func (s *Server) judgePool(pool string) {
	s.judging.Lock()
	defer s.judging.Unlock()
	t := s.adopted
	s.tunnels.Judge(func(f drain.Facts) drain.Verdict {
		if f.Backend.Pool != pool || t.byName[f.Route] == nil {
			return drain.Verdict{AsBefore: true}
		}
		return t.judge(f, nil)
	})
}

// tlsOf is how the route speaks TLS to a backend.
func (d *destination) tlsOf(b *upstream.Backend) upstream.TLS {
	if t, ok := d.tls[b]; ok {
		return t
	}
	return d.found
}
