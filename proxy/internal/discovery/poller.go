package discovery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// Rule is how the members of one pool are discovered. Immutable.
type Rule struct {
	Lookup Lookup
	Every  time.Duration
	Key    string // a rule with an equal key continues the polling of the one before

	// Of every member.
	Scheme                  string
	MaxTunnels, MaxRequests int
	Health                  upstream.HealthCheck
	TLSKeys                 []string // the TLS settings that routes reach them with

	Registry *Registry // shared with the rules before and after
}

// Limited returns m with the rule's limits.
func (r *Rule) Limited(m upstream.Member) upstream.Member {
	m.MaxTunnels, m.MaxRequests = r.MaxTunnels, r.MaxRequests
	return m
}

// Events is what Pollers reports. The functions are called from the polling
// goroutines, without locks.
type Events struct {
	Log *slog.Logger
	// Health receives changes of members' health.
	Health func(*upstream.Backend, health.Event)
	// Probed is called after each probe of a member; it may be nil.
	Probed func(took time.Duration, err error)
	// Changed is called after a pool's members have changed.
	Changed func(pool string)
	// Joined is called after that if a pool that had members got new ones.
	Joined func(pool string)
}

// Pollers keeps the members of all discovered pools up to date. Its methods but Succeeded
// are called by one goroutine at a time.
type Pollers struct {
	events Events

	mu     sync.Mutex // guards changes of byPool, which Succeeded reads
	byPool map[string]*poller
}

// New returns Pollers that poll nothing yet.
func New(events Events) *Pollers {
	return &Pollers{events: events, byPool: make(map[string]*poller)}
}

// Adopt makes the pools of a new generation the ones that are kept up to date.
// Backends of a pool that is discovered no longer are closed, except those for which
// listed returns true: the routes file lists them now.
func (p *Pollers) Adopt(rules map[string]*Rule, pools map[string]*upstream.Pool, listed func(*upstream.Backend) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, poller := range p.byPool {
		if rules[name] == nil {
			delete(p.byPool, name)
			poller.stop(listed)
		}
	}
	for name, rule := range rules {
		poll := p.byPool[name]
		if poll == nil {
			poll = &poller{events: p.events, name: name, polled: make(chan struct{})}
			p.byPool[name] = poll
		}
		poll.adopt(pools[name], rule)
	}
}

// AwaitFirst waits until every pool has had its first answer or failure, but no
// longer than d: the first clients should not find empty pools.
func (p *Pollers) AwaitFirst(d time.Duration) {
	timeout := time.After(d)
	for _, poller := range p.byPool {
		select {
		case <-poller.polled:
		case <-timeout:
			return
		}
	}
}

// Succeeded returns when each pool's last lookup was that has succeeded; pools of which none
// has are not in it. Safe for concurrent use.
func (p *Pollers) Succeeded() map[string]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	times := make(map[string]time.Time, len(p.byPool))
	for name, poll := range p.byPool {
		poll.mu.Lock()
		if !poll.succeeded.IsZero() {
			times[name] = poll.succeeded
		}
		poll.mu.Unlock()
	}
	return times
}

// Stop ends all polling and closes the backends.
func (p *Pollers) Stop() {
	p.Adopt(nil, nil, func(*upstream.Backend) bool { return false })
}

// poller keeps one pool's members up to date.
type poller struct {
	events Events
	name   string
	polled chan struct{} // closed after the first answer or failure

	mu      sync.Mutex // guards all below
	pool    *upstream.Pool
	rule    *Rule // nil once stopped
	cancel  context.CancelFunc
	once    sync.Once
	failing bool

	succeeded time.Time // the last lookup
}

func (p *poller) adopt(pool *upstream.Pool, rule *Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.rule
	var found []upstream.Member
	if p.pool != nil {
		found = p.pool.Members() // more may have been found since the new pool was made
	}
	p.pool, p.rule = pool, rule
	if before != nil && before.Scheme == rule.Scheme {
		members := make([]upstream.Member, len(found))
		for i, m := range found {
			members[i] = rule.Limited(m)
		}
		pool.SetMembers(members)
	}
	p.checkHealthLocked()
	for _, b := range rule.Registry.All() {
		b.RetainTransports(func(key string) bool { return slices.Contains(rule.TLSKeys, key) })
	}
	if before != nil && before.Key == rule.Key {
		return
	}
	if p.cancel != nil {
		p.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.poll(ctx, rule)
}

// stop ends the polling. A listed backend continues under its own name, and is opened
// again in case it had left the pool since the new generation was built.
func (p *poller) stop(listed func(*upstream.Backend) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel()
	for _, b := range p.rule.Registry.All() {
		if listed(b) {
			b.SetHost("")
			b.Reopen()
		} else {
			b.Close()
		}
	}
	p.rule = nil
}

func (p *poller) checkHealthLocked() {
	check := p.rule.Health
	check.Probed = p.events.Probed
	for _, m := range p.pool.Members() {
		m.Backend.CheckHealth(check, p.events.Health)
	}
}

// lookupTimeout bounds one lookup, whatever the resolver's own limits are.
const lookupTimeout = 10 * time.Second

// poll looks the pool up until ctx ends, at jittered intervals.
func (p *poller) poll(ctx context.Context, rule *Rule) {
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
		found, err := rule.Lookup(bounded)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.failed(err)
		default:
			p.update(rule, found)
		}
		p.once.Do(func() { close(p.polled) })
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(float64(rule.Every) * (0.9 + 0.2*rand.Float64()))):
		}
	}
}

// failed logs the first of a run of failures. The pool stays as it is.
func (p *poller) failed(err error) {
	p.mu.Lock()
	before := p.failing
	p.failing = true
	members := len(p.pool.Members())
	p.mu.Unlock()
	if !before {
		p.events.Log.Warn("lookup failed", "pool", p.name, "error", err, "backends", members)
	}
}

// update makes the pool's members what was found.
func (p *poller) update(rule *Rule, found []Found) {
	p.mu.Lock()
	if p.rule == nil || p.rule.Key != rule.Key { // the answer to an earlier rule's lookup
		p.mu.Unlock()
		return
	}
	recovered := p.failing
	p.failing, p.succeeded = false, time.Now()
	before := p.pool.Members()
	members := p.membersLocked(found)
	joined, left := difference(before, members)
	changed := !upstream.EqualMembers(before, members)
	if changed {
		p.pool.SetMembers(members)
		p.checkHealthLocked()
		p.rule.Registry.Prune(members)
	}
	p.mu.Unlock()
	if changed || recovered {
		p.events.Log.Info("backends found", "pool", p.name, "backends", len(members), "joined", joined, "left", left)
	}
	if changed {
		p.events.Changed(p.name)
	}
	if len(joined) > 0 && len(before) > 0 {
		p.events.Joined(p.name)
	}
}

func (p *poller) membersLocked(found []Found) []upstream.Member {
	members := make([]upstream.Member, 0, len(found))
	for _, f := range found {
		key := upstream.BackendKey{Pool: p.name, Scheme: p.rule.Scheme, Authority: f.Authority}
		members = append(members, p.rule.Limited(upstream.Member{
			Name:    f.Authority,
			Backend: p.rule.Registry.Lookup(key, p.pool.Members(), f.Host),
			Weight:  f.Weight,
			Tier:    f.Tier,
		}))
	}
	return members
}

// difference returns the authorities that are in one list only.
func difference(before, after []upstream.Member) (joined, left []string) {
	only := func(list, other []upstream.Member) (authorities []string) {
		known := make(map[*upstream.Backend]bool, len(other))
		for _, m := range other {
			known[m.Backend] = true
		}
		for _, m := range list {
			if !known[m.Backend] {
				authorities = append(authorities, m.Backend.Key().Authority)
			}
		}
		return authorities
	}
	return only(after, before), only(before, after)
}
