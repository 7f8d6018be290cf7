package upstream

// A pool: which backends there are, and which of them is next.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Settings is how a pool chooses. Plain data; the zero value is the default.
type Settings struct {
	Balance string     // a policy's name; "" is DefaultPolicy
	Key     RequestKey // hash: of what
	Sticky  *Sticky
}

// Policy chooses among candidates. A pool asks it one question at a time, so
// that it needs no lock of its own; what it remembers, it remembers by Backend,
// and serves the pools of two generations.
type Policy interface {
	// Pick returns an index into candidates, which is never empty and the
	// caller's: it may not be kept.
	Pick(c Choice, candidates []*Member) int
	// Keep forgets every backend that is not among the members.
	KeepOnly(members []Member)
}

// policies by their name in the routes file.
var policies = map[string]func(Settings) Policy{
	"least_tunnels": newLeastTunnels,
	"round_robin":   newRoundRobin,
	"least_bytes":   newLeastBytes,
	"random_two":    newRandomTwo,
	"hash":          newHash,
}

// DefaultPolicy is that of a pool that names none.
const DefaultPolicy = "least_tunnels"

// Pool is a choice among backends. Safe for concurrent use. It owns no backend:
// whoever made them closes them. All but its members is immutable.
type Pool struct {
	name     string
	settings Settings
	turn     *turn
	policy   Policy // asked in turn only
	lineup   atomic.Pointer[lineup]
	queue    Queue
	retired  atomic.Bool // see Retire
}

// turn lets one choice after another be made and counted, so that each sees the
// one before it: otherwise a burst of handshakes would all find the same backend
// idle, and one too many would find it below its limit. The pools of one name
// share it across generations.
type turn struct {
	mu   sync.Mutex // guards a pool's policy and room
	room []*Member  // for candidates, kept so that a choice allocates nothing

	lines lines
}

// NewPool makes a pool. prev, which may be nil, is the pool of that name in the
// generation before: under the same policy the new pool goes on where it stands,
// so that an edit does not send everyone to the first backend; whatever else was
// edited holds at once.
func NewPool(name string, s Settings, members []Member, prev *Pool) (*Pool, error) {
	if s.Balance == "" {
		s.Balance = DefaultPolicy
	}
	make, ok := policies[s.Balance]
	if !ok {
		return nil, fmt.Errorf("pool %q: balance %q: want one of %s", name, s.Balance, policyNames())
	}
	p := &Pool{name: name, settings: s, turn: new(turn)}
	if prev != nil {
		p.turn = prev.turn
	}
	if p.continues(prev) {
		p.policy = prev.policy
		// prev still serves, and goes on doing so if this generation is not taken:
		// what is known of its members is forgotten a generation later.
		p.setMembers(members, slices.Concat(members, prev.Members()))
	} else {
		p.policy = make(s)
		p.setMembers(members, members)
	}
	return p, nil
}

// continues says whether prev chose in the same way.
func (p *Pool) continues(prev *Pool) bool {
	return prev != nil && prev.settings.Balance == p.settings.Balance && prev.settings.Key == p.settings.Key
}

func policyNames() string { return strings.Join(slices.Sorted(maps.Keys(policies)), ", ") }

// Name of the pool.
func (p *Pool) Name() string { return p.name }

// Members is everyone in the pool, drained ones too. The caller must not change it.
func (p *Pool) Members() []Member { return p.lineup.Load().members }

// SetMembers replaces everyone in the pool: for members that are discovered. What
// is known of those who stay, stays.
func (p *Pool) SetMembers(members []Member) { p.setMembers(members, members) }

func (p *Pool) setMembers(members, remembered []Member) {
	p.lineup.Store(newLineup(members, p.settings.Sticky))
	p.turn.mu.Lock()
	p.policy.KeepOnly(remembered)
	p.turn.mu.Unlock()
	for _, m := range members {
		m.Backend.lines.Store(&p.turn.lines)
	}
	p.turn.lines.serve()
}

// Pick chooses a backend and counts what it was chosen for: the caller gives it
// back, with one CloseTunnel for a tunnel and one Release for a request. Retries
// exclude what they have tried. The error is ErrUnavailable, ErrFull or ErrBoundUnavailable.
func (p *Pool) Pick(c Choice) (*Backend, error) {
	p.turn.mu.Lock()
	defer p.turn.mu.Unlock()
	m, err := p.choose(c)
	if err != nil {
		return nil, err
	}
	m.count(c)
	return m.Backend, nil
}

func (p *Pool) choose(c Choice) (*Member, error) {
	l := p.lineup.Load()
	if m, err := l.bound.choose(c); m != nil || err != nil {
		return m, err
	}
	candidates, err := l.candidates(c, p.turn.room)
	p.turn.room = candidates
	if err != nil {
		return nil, err
	}
	return candidates[p.policy.Pick(c, candidates)], nil
}

// keepOnly forgets what a policy remembers of backends that are not among the members.
func keepOnly[T any](memory map[*Backend]T, members []Member) {
	there := make(map[*Backend]bool, len(members))
	for _, m := range members {
		there[m.Backend] = true
	}
	maps.DeleteFunc(memory, func(b *Backend, _ T) bool { return !there[b] })
}
