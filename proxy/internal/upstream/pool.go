package upstream

// A pool: its members, and which of them is next.

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Settings is how a pool chooses.
type Settings struct {
	Balance string     // a policy's name; "" is for a pool of one member
	Key     RequestKey // hash: of what
	Sticky  *Sticky
}

// Policy chooses among candidates. The pool's lock guards it. What it remembers is by
// Backend, as it serves the pools of two generations.
type Policy interface {
	// Pick returns an index into candidates, which is never empty. Pick must not keep it.
	Pick(c Choice, candidates []*Member) int
	// KeepOnly forgets every other backend.
	KeepOnly(members []Member)
}

// policies has them by their names in the routes file, which are also the enum of the
// key balance there (routefile/pool.go).
var policies = map[string]func(Settings) Policy{
	"least_tunnels": newLeastTunnels,
	"round_robin":   newRoundRobin,
	"least_bytes":   newLeastBytes,
	"random_two":    newRandomTwo,
	"hash":          newHash,
	"":              newLeastTunnels, // any would do
}

// Pool is a choice among backends. Safe for concurrent use. It does not close its
// backends. Only its members change.
type Pool struct {
	name     string
	settings Settings
	state    *poolState
	policy   Policy // guarded by state.mu
	members  atomic.Pointer[memberSet]
	queue    Queue
	retired  atomic.Bool // see Retire
}

// poolState is what the pools of one name share across generations. Its lock is held
// while a choice is made and counted, so that each choice sees the one before it:
// otherwise a burst of handshakes would all find the same backend idle, and one too many
// would find it below its limit.
type poolState struct {
	mu      sync.Mutex // guards scratch and a pool's policy
	scratch []*Member  // for candidates: a choice allocates nothing

	queues queues
}

// NewPool makes a pool. prev is the pool of that name in the generation before, or nil:
// under the same policy the new pool goes on with what that policy remembers, so that an
// edit does not send all clients to the first backend.
func NewPool(name string, s Settings, members []Member, prev *Pool) (*Pool, error) {
	make, ok := policies[s.Balance]
	if !ok {
		return nil, fmt.Errorf("pool %q: unknown balance %q", name, s.Balance)
	}
	p := &Pool{name: name, settings: s, state: new(poolState)}
	if prev != nil {
		p.state = prev.state
	}
	if p.samePolicy(prev) {
		p.policy = prev.policy
		// prev still serves, and goes on if this generation is rejected: its members
		// are forgotten one generation later.
		p.setMembers(members, slices.Concat(members, prev.Members()))
	} else {
		p.policy = make(s)
		p.setMembers(members, members)
	}
	return p, nil
}

func (p *Pool) samePolicy(prev *Pool) bool {
	return prev != nil && prev.settings.Balance == p.settings.Balance && prev.settings.Key == p.settings.Key
}

func (p *Pool) Name() string { return p.name }

// Members includes drained ones. The caller must not change it.
func (p *Pool) Members() []Member { return p.members.Load().members }

// HasURL reports whether a member has that URL.
func (p *Pool) HasURL(url string) bool { return p.members.Load().hasURL(url) }

// SetMembers replaces the members, for pools whose members are discovered.
func (p *Pool) SetMembers(members []Member) { p.setMembers(members, members) }

func (p *Pool) setMembers(members, remembered []Member) {
	p.members.Store(newMemberSet(members, p.settings.Sticky))
	p.state.mu.Lock()
	p.policy.KeepOnly(remembered)
	p.state.mu.Unlock()
	for _, m := range members {
		m.Backend.queues.Store(&p.state.queues)
	}
	p.state.queues.serve()
}

// Pick chooses a backend and counts what it was chosen for; the caller ends that with
// one CloseTunnel for a tunnel, one Release for a request. The error is ErrUnavailable,
// ErrFull or ErrBoundUnavailable.
func (p *Pool) Pick(c Choice) (*Backend, error) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	m, err := p.choose(c)
	if err != nil {
		return nil, err
	}
	m.count(c)
	return m.Backend, nil
}

func (p *Pool) choose(c Choice) (*Member, error) {
	l := p.members.Load()
	if m, err := l.sticky.pick(c); m != nil || err != nil {
		return m, err
	}
	candidates, err := l.candidates(c, p.state.scratch)
	p.state.scratch = candidates
	if err != nil {
		return nil, err
	}
	return candidates[p.policy.Pick(c, candidates)], nil
}

func deleteOthers[T any](memory map[*Backend]T, members []Member) {
	there := make(map[*Backend]bool, len(members))
	for _, m := range members {
		there[m.Backend] = true
	}
	maps.DeleteFunc(memory, func(b *Backend, _ T) bool { return !there[b] })
}
