package drain

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// Grace is the time between a judgement and the first turn that it gives. What is
// judged may be half of a file whose writer has paused, or an edit that is taken back at
// once: a judgement within it that finds the tunnel welcome lets it off.
const Grace = 3 * time.Second

// forbidden is how tunnels end whose client or Origin is no longer allowed, whatever
// their own policy says: after Grace, spread over a moment, so that they do not all
// come back at once, and within 5 s of the edit, the reading of which takes its time.
var forbidden = Policy{Window: 1500 * time.Millisecond, Code: 1008, Reason: "no longer allowed"}

// Policy is how a tunnel ends when it must go, fixed when it is opened. (The
// time its peers have to answer the Close is the tunnel's own limit.)
type Policy struct {
	Window time.Duration // the tunnels' turns are spread over it, after Grace; not positive is at once, without Grace
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
	Host    string // the request's host, lower case, without port: what same-host compares with; forgotten where there was no Origin
	Origin  string // as sent; "" when there was none
	Policy  Policy

	CloseTimeout time.Duration // the tunnel's own limit, for whoever must wait as long
}

// Verdict is a reload's judgement of one tunnel.
type Verdict struct {
	Drain   bool
	Route   string              // the route's name from now on
	Backend upstream.BackendKey // likewise

	// Move says of a tunnel to drain that it is welcome but for its backend: one that
	// can redial moves to another, and does not end.
	Move bool

	// Forbidden says of a tunnel to drain that its client or Origin is no longer allowed.
	Forbidden bool

	AsBefore bool // nothing else of this verdict counts
}

// Group is the set of open tunnels. Safe for concurrent use.
type Group struct {
	walks atomic.Int32 // under way or about to begin: ways through all entries, with mu

	mu       sync.Mutex
	entries  map[*Entry]struct{} // guarded by mu
	leaving  int                 // guarded by mu; entries that have left and have not said their last word
	stopping *Policy             // guarded by mu; set by Shutdown, for tunnels that come late
	empty    chan struct{}       // guarded by mu; closed when nobody is in or leaving, replaced when somebody is
}

// Entry is one open tunnel's place in a Group.
type Entry struct {
	group  *Group
	tunnel tunnel.Tunnel
	record       // route and backend are guarded by group.mu; the rest never changes
	turn   *turn // guarded by group.mu; nil: not draining
	told   bool  // guarded by group.mu: its turn has come

	// Guarded by group.mu; see move.go.
	mayMove bool
	moved   int       // times
	bound   bool      // backend is where it is moving to
	again   time.Time // and there it may not stay, by a judgement of then; zero: it may
}

// turn is a moment at which a tunnel will be told to end. It is compared by
// identity: a timer that fires while its turn is being taken back, or replaced,
// finds that the entry's turn is another one.
type turn struct {
	timer     *time.Timer
	policy    Policy
	why       tunnel.Reason
	forbidden bool
	move      bool // guarded by group.mu: the tunnel is to move, rather than to end
	own       bool // guarded by group.mu: it moves by itself; there is no timer
}

// NewGroup returns an empty Group.
func NewGroup() *Group {
	g := &Group{entries: make(map[*Entry]struct{}), empty: make(chan struct{})}
	close(g.empty)
	return g
}

// walk locks the group for a way through all of its entries, which takes a while
// where there are many; the function that it returns ends it.
func (g *Group) walk() (end func()) {
	g.walks.Add(1)
	g.mu.Lock()
	return func() {
		g.mu.Unlock()
		g.walks.Add(-1)
	}
}

// Busy says that Reserve and Entry.Opened would have to wait for a way through all
// tunnels.
func (g *Group) Busy() bool { return g.walks.Load() > 0 }

// Reserve makes a place for a tunnel that is about to open, so that no reload
// can miss it: a judgement that falls between Reserve and Entry.Opened is kept
// and carried out when the tunnel is there. The caller calls Remove when the
// tunnel has ended, or when it never opened.
func (g *Group) Reserve(facts Facts) *Entry {
	e := &Entry{group: g, record: recordOf(facts)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isEmptyLocked() {
		g.empty = make(chan struct{})
	}
	g.entries[e] = struct{}{}
	if g.stopping != nil {
		e.scheduleLocked(0, departure{policy: *g.stopping, why: tunnel.ReasonShutdown})
	}
	return e
}

// Opened hands the entry its tunnel.
func (e *Entry) Opened(t tunnel.Tunnel) {
	e.group.mu.Lock()
	e.tunnel = t
	late := e.told && !e.turn.own
	var o order
	if late {
		o = e.orderLocked()
	}
	e.group.mu.Unlock()
	if late {
		o.give(t)
	}
}

// Remove takes the entry out of its group. It may be called more than once.
func (e *Entry) Remove() { e.Leave()() }

// Leave is Remove where something is still to be said of the tunnel: it no longer
// counts, but Wait waits until done is called, once.
func (e *Entry) Leave() (done func()) {
	g := e.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, in := g.entries[e]; !in {
		return func() {}
	}
	e.letOffLocked()
	delete(g.entries, e)
	g.leaving++
	return g.left
}

func (g *Group) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaving--; g.isEmptyLocked() {
		close(g.empty)
	}
}

func (g *Group) isEmptyLocked() bool { return len(g.entries)+g.leaving == 0 }

// Route is the name of the tunnel's route as of the last reload.
func (e *Entry) Route() string {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	return e.route
}

// Judge asks for a verdict on every tunnel and acts on it: a tunnel to drain is
// given its turn in its policy's window, which begins after Grace; one that is forbidden
// is given one soon, whatever its policy says; one that waits for its turn and is
// welcome again is let off, one that has been told already stays told. It
// returns how many stay and how many are on their way out. verdict runs under
// the group's lock and must not block.
func (g *Group) Judge(verdict func(Facts) Verdict) (kept, draining int) {
	defer g.walk()()
	leaving := make(map[departure][]*Entry)
	for e := range g.entries {
		v := verdict(e.facts())
		if v.AsBefore {
			if e.turn != nil {
				draining++
			} else {
				kept++
			}
			continue
		}
		e.route, e.backend = v.Route, unique.Make(v.Backend)
		switch {
		case e.goingLocked() || g.stopping != nil:
			draining++
		case !v.Drain || e.policy().Keep && !v.Forbidden:
			e.again = time.Time{}
			e.letOffLocked()
			kept++
		default:
			draining++
			if d := e.departureLocked(v); !e.leavesAlreadyLocked(d) {
				leaving[d] = append(leaving[d], e)
			}
		}
	}
	for d, entries := range leaving {
		spreadLocked(entries, d.grace(), d)
	}
	return kept, draining
}

// Staying counts the tunnels of a pool that are not on their way out, by backend.
func (g *Group) Staying(pool string) map[upstream.BackendKey]int {
	defer g.walk()()
	count := make(map[upstream.BackendKey]int)
	for e := range g.entries {
		if id := e.backend.Value(); id.Pool == pool && e.turn == nil && !e.told {
			count[id]++
		}
	}
	return count
}

// Release gives so many of a backend's tunnels their turn within the time, but
// leaves at least keep of them alone, and those whose policy keeps them too. It
// returns how many it gave one. A reload that finds them welcome before their turn
// lets them off, as any other.
func (g *Group) Release(backend upstream.BackendKey, most, keep int, within time.Duration) int {
	defer g.walk()()
	staying, movable := 0, make(map[departure][]*Entry)
	for e := range g.entries {
		if e.backend.Value() != backend || e.turn != nil || e.told {
			continue
		}
		if staying++; !e.policy().Keep && e.tunnel != nil {
			d := e.departureLocked(Verdict{Move: true})
			d.policy.Window = within
			movable[d] = append(movable[d], e)
		}
	}
	most = min(most, staying-keep)
	released := 0
	for d, entries := range movable {
		n := max(min(len(entries), most-released), 0)
		spreadLocked(entries[:n], 0, d)
		released += n
	}
	return released
}

// Shutdown gives every tunnel its turn in the policy's window, whatever its own
// policy says, and every tunnel that opens from now on goes at once.
func (g *Group) Shutdown(policy Policy) {
	defer g.walk()()
	g.stopping = &policy
	var entries []*Entry
	for e := range g.entries {
		if e.goingLocked() {
			continue
		}
		e.letOffLocked()
		e.told = false // one that moves is told to end, too
		entries = append(entries, e)
	}
	spreadLocked(entries, 0, departure{policy: policy, why: tunnel.ReasonShutdown})
}

// Cut cuts every tunnel now.
func (g *Group) Cut(why tunnel.Reason) {
	for _, t := range g.tunnels() {
		t.Cut(why)
	}
}

// LongestClose is the longest time that any open tunnel gives its peers to answer
// a Close.
func (g *Group) LongestClose() (longest time.Duration) {
	defer g.walk()()
	for e := range g.entries {
		longest = max(longest, e.terms.Value().closeTimeout)
	}
	return longest
}

// Wait returns nil as soon as no tunnel is open and the last word is said of all
// (see Leave), or ctx's error.
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

// Len is the number of open tunnels, and of those among them that are on their
// way out. To move is not on the way out.
func (g *Group) Len() (open, draining int) {
	defer g.walk()()
	for e := range g.entries {
		if e.turn != nil && !e.turn.move {
			draining++
		}
	}
	return len(g.entries), draining
}

// tunnels copies the open tunnels, so that they can be spoken to without the
// lock: one that ends at once calls Remove.
func (g *Group) tunnels() []tunnel.Tunnel {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := make([]tunnel.Tunnel, 0, len(g.entries))
	for e := range g.entries {
		if e.tunnel != nil {
			open = append(open, e.tunnel)
		}
	}
	return open
}

// spreadLocked gives each of n entries one of n equal slots of the window, which
// begins after a while, in random order and at a random moment of its slot: evenly
// spread, and no two proxies in step.
func spreadLocked(entries []*Entry, after time.Duration, d departure) {
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	slot := float64(max(d.policy.Window, 0)) / float64(max(len(entries), 1))
	for i, e := range entries {
		e.scheduleLocked(after+time.Duration(slot*(float64(i)+rand.Float64())), d)
	}
}

// departure is what tunnels that go together have in common.
type departure struct {
	policy    Policy
	why       tunnel.Reason
	move      bool
	forbidden bool
}

// grace is how long a judgement's first turn waits.
func (d departure) grace() time.Duration {
	if d.policy.Window <= 0 {
		return 0
	}
	return Grace
}

func (e *Entry) scheduleLocked(after time.Duration, d departure) {
	t := &turn{policy: d.policy, why: d.why, move: d.move, forbidden: d.forbidden}
	e.turn = t
	t.timer = time.AfterFunc(after, func() { e.take(t) })
}

// letOffLocked takes back a turn that has not come yet.
func (e *Entry) letOffLocked() {
	if e.turn == nil || e.told {
		return
	}
	e.letOffTimerLocked()
	e.turn = nil
}

func (e *Entry) letOffTimerLocked() {
	if e.turn.timer != nil {
		e.turn.timer.Stop()
	}
}

// take tells the tunnel to end, if t still is its turn.
func (e *Entry) take(t *turn) {
	e.group.mu.Lock()
	if e.turn != t || e.told {
		e.group.mu.Unlock()
		return
	}
	e.told = true
	open, o := e.tunnel, e.orderLocked()
	e.group.mu.Unlock()
	if open != nil {
		o.give(open)
	}
}

// order is what a tunnel is told in its turn.
type order struct {
	departure
	moved int // how often it had moved by then
}

func (e *Entry) orderLocked() order {
	return order{departure{policy: e.turn.policy, why: e.turn.why, move: e.turn.move, forbidden: e.turn.forbidden}, e.moved}
}

func (o order) give(open tunnel.Tunnel) {
	if m, ok := open.(tunnel.Mover); ok && o.move {
		m.Move(o.moved, o.policy.Code, o.policy.Reason, o.why)
		return
	}
	open.Close(o.policy.Code, o.policy.Reason, o.why)
}
