package drain

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Grace is the time between an evaluation and the first tunnel that is told to go. What
// is evaluated may be half of a file whose writer has paused, or an edit that is undone
// at once: an evaluation within that time that lets the tunnel stay cancels the first.
const Grace = 3 * time.Second

// forbidden is how tunnels end whose client or Origin is no longer allowed, whatever
// their own policy says: after Grace, over a moment, so that they do not all come back
// at once, and within 5 s of the edit, which takes some time to be read.
var forbidden = Policy{Window: 1500 * time.Millisecond, Code: 1008, Reason: "no longer allowed"}

// Policy is how a tunnel ends when it must go, fixed when it is opened. (The
// time its peers have to answer the Close is the tunnel's own limit.)
type Policy struct {
	Window time.Duration // the tunnels are told over it, after Grace; not positive is at once, without Grace
	Code   uint16
	Reason string
	Keep   bool // leave it open until it ends; a shutdown ends it all the same
}

// Facts is what a tunnel remembers of its handshake, so that a later reload can
// tell whether it would still be let in. It must not pin a routing table.
type Facts struct {
	Route   string // the route's name, followed through renames
	Backend upstream.BackendKey
	Client  netip.Addr
	Host    string // the request's host, lower case, without port: what same-host compares with
	Origin  string // as sent; "" when there was none
	Policy  Policy

	Identity *auth.Identity // of the credential that let it in; nil without one. Not to be changed
	Expiry   Expiry         // not kept

	CloseTimeout time.Duration // the tunnel's own limit, for LongestClose

	// For those who look at open tunnels: what the log calls it, and what was asked for.
	ID, Path, Protocol string

	// Lost is called by each evaluation before Entry.Opened that finds that the tunnel would
	// have to go, whatever its policy: the handshake is to be routed again. It must not
	// block, or call the Group. nil is nothing.
	Lost func()
}

// Decision is what a reload says of one tunnel.
type Decision struct {
	Drain   bool
	Route   string              // the route's name from now on
	Backend upstream.BackendKey // likewise

	// Move says of a tunnel to drain that only its backend must go: a tunnel that can
	// redial moves to another one, and does not end.
	Move bool

	// Forbidden says of a tunnel to drain that its client or Origin is no longer allowed.
	Forbidden bool

	Cause Cause // why it is to be drained

	Unchanged bool // nothing else of this decision counts
}

// eventLocked is what the decision is to an entry.
func (v Decision) eventLocked(e *Entry) event {
	switch {
	case !v.Drain || e.policy().Keep && !v.Forbidden:
		return mayStay
	case v.Forbidden:
		return isForbidden
	case v.Move && e.movable:
		return mustMove
	}
	return mustEnd
}

// Group is the set of open tunnels. Safe for concurrent use.
type Group struct {
	// Told, if set, is called for each tunnel that is told to move or to end: its route, and
	// why in one word. It is set before the first tunnel, and must not call the Group.
	Told func(route, cause string)

	scans atomic.Int32 // of all entries, with mu, under way or about to begin

	mu       sync.Mutex
	entries  map[*Entry]struct{} // guarded by mu
	draining map[string]int      // guarded by mu; see Draining
	removing int                 // guarded by mu; entries between BeginRemove and its done
	serial   uint64              // guarded by mu; of the last entry
	byHand   []*Drain            // guarded by mu; the latest, oldest first
	stopping *Policy             // guarded by mu; set by Shutdown, for tunnels that come late
	empty    chan struct{}       // guarded by mu; closed while there are neither entries nor removing ones, replaced when there are
}

// NewGroup returns an empty Group.
func NewGroup() *Group {
	g := &Group{entries: make(map[*Entry]struct{}), draining: make(map[string]int), empty: make(chan struct{})}
	close(g.empty)
	return g
}

// scan locks the group for a scan of all of its entries, which takes a while where
// there are many, until end is called.
func (g *Group) scan() (end func()) {
	g.scans.Add(1)
	g.mu.Lock()
	return func() {
		g.mu.Unlock()
		g.scans.Add(-1)
	}
}

// Busy says that Reserve and Entry.Opened would have to wait for a scan of all tunnels.
func (g *Group) Busy() bool { return g.scans.Load() > 0 }

// Reserve adds a tunnel that is about to open, so that no reload can miss it: an
// evaluation between Reserve and Entry.Opened is carried out when the tunnel is there, if
// the handshake goes on.
// The caller calls Remove when the tunnel has ended, or when it never opened.
func (g *Group) Reserve(facts Facts) *Entry {
	e := &Entry{group: g, record: recordOf(facts), lost: facts.Lost}
	g.mu.Lock()
	defer g.mu.Unlock()
	e.expireLocked(facts.Expiry)
	if g.isEmptyLocked() {
		g.empty = make(chan struct{})
	}
	g.serial++
	e.serial = g.serial
	g.entries[e] = struct{}{}
	if g.stopping != nil {
		e.handleLocked(isShutdown)
		e.scheduleLocked(0, terms{policy: *g.stopping, why: tunnel.ReasonShutdown})
	}
	return e
}

func (g *Group) endRemove() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removing--; g.isEmptyLocked() {
		close(g.empty)
	}
}

func (g *Group) isEmptyLocked() bool { return len(g.entries)+g.removing == 0 }

// Evaluate asks for a decision on every tunnel and acts on it. It returns how many
// tunnels stay and how many are to go. decide runs under the group's lock and must not
// block. What it would do is what Impact says.
func (g *Group) Evaluate(decide func(Facts) Decision) (kept, draining int) {
	defer g.scan()()
	leaving := make(map[terms][]*Entry)
	for e := range g.entries {
		v := decide(e.facts())
		stays := e.staysLocked()
		if !v.Unchanged {
			if e.lost != nil && v.Drain {
				e.lost()
			}
			e.renameLocked(v.Route)
			e.backend = unique.Make(v.Backend)
			ev := v.eventLocked(e)
			if e.handleLocked(ev)&schedule != 0 {
				t := e.termsLocked(ev)
				leaving[t] = append(leaving[t], e)
			}
			stays = ev == mayStay && !e.drainingLocked()
		}
		if stays {
			kept++
		} else {
			draining++
		}
	}
	for t, entries := range leaving {
		spreadLocked(entries, t.grace(), t)
	}
	return kept, draining
}

// Staying counts the tunnels of a pool that are neither to move nor to end, by backend.
func (g *Group) Staying(pool string) map[upstream.BackendKey]int {
	defer g.scan()()
	count := make(map[upstream.BackendKey]int)
	for e := range g.entries {
		if id := e.backend.Value(); id.Pool == pool && e.staysLocked() {
			count[id]++
		}
	}
	return count
}

// DrainSome drains up to most of a backend's tunnels within the time, but leaves at
// least keep of them, and those whose policy keeps them. It returns how many it drains.
// A later evaluation that lets them stay cancels it.
func (g *Group) DrainSome(backend upstream.BackendKey, most, keep int, within time.Duration) int {
	defer g.scan()()
	count, drainable := 0, make(map[terms][]*Entry)
	for e := range g.entries {
		if e.backend.Value() != backend || !e.staysLocked() {
			continue
		}
		if count++; !e.policy().Keep && e.tunnel != nil {
			t := e.termsLocked(mustEnd)
			t.policy.Window, t.rebalances = within, true
			drainable[t] = append(drainable[t], e)
		}
	}
	most = min(most, count-keep)
	drained := 0
	for t, entries := range drainable {
		entries = entries[:max(min(len(entries), most-drained), 0)]
		for _, e := range entries {
			e.handleLocked(Decision{Drain: true, Move: true}.eventLocked(e))
		}
		spreadLocked(entries, 0, t)
		drained += len(entries)
	}
	return drained
}

// Shutdown drains every tunnel over the policy's window, whatever its own policy says,
// and every tunnel that opens from now on at once.
func (g *Group) Shutdown(policy Policy) {
	defer g.scan()()
	g.stopping = &policy
	var entries []*Entry
	for e := range g.entries {
		if e.handleLocked(isShutdown)&schedule != 0 {
			entries = append(entries, e)
		}
	}
	spreadLocked(entries, 0, terms{policy: policy, why: tunnel.ReasonShutdown})
}

// Cut cuts every tunnel now, without the lock: a tunnel that ends at once calls Remove.
func (g *Group) Cut(why tunnel.Reason) {
	g.mu.Lock()
	open := make([]tunnel.Tunnel, 0, len(g.entries))
	for e := range g.entries {
		if e.tunnel != nil {
			open = append(open, e.tunnel)
		}
	}
	g.mu.Unlock()
	for _, t := range open {
		t.Cut(why)
	}
}

// LongestClose is the longest time that any open tunnel gives its peers to answer
// a Close.
func (g *Group) LongestClose() (longest time.Duration) {
	defer g.scan()()
	for e := range g.entries {
		longest = max(longest, e.settings.Value().closeTimeout)
	}
	return longest
}

// Wait returns nil when no tunnel is open and none is being removed (BeginRemove), or
// ctx's error.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Len is the number of open tunnels, and of those among them that are to end.
func (g *Group) Len() (open, draining int) {
	return g.count((*Entry).drainingLocked)
}

// Moving is how many tunnels are between two backends.
func (g *Group) Moving() int {
	_, n := g.count(func(e *Entry) bool { return e.state.isMoving() })
	return n
}

// count returns how many tunnels there are, and how many of them are such.
func (g *Group) count(such func(*Entry) bool) (all, n int) {
	defer g.scan()()
	for e := range g.entries {
		if such(e) {
			n++
		}
	}
	return len(g.entries), n
}

// spreadLocked schedules each entry over the window of the terms, which begins after a
// while.
func spreadLocked(entries []*Entry, after time.Duration, t terms) {
	spread(entries, after, t.policy.Window, func(e *Entry, at time.Duration) { e.scheduleLocked(at, t) })
}

// spread gives each entry a slot of its own, in random order and at a random moment of the
// slot, so that two proxies are not in step. The slots divide the window, which begins
// after a while, evenly.
func spread(entries []*Entry, after, window time.Duration, schedule func(*Entry, time.Duration)) {
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	slot := float64(max(window, 0)) / float64(max(len(entries), 1))
	for i, e := range entries {
		schedule(e, after+time.Duration(slot*(float64(i)+rand.Float64())))
	}
}
