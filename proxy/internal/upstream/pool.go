package upstream

// A pool: which backends there are, and which of them is next.

import (
	"fmt"
	"slices"
)

// Member is one backend's place in a pool.
type Member struct {
	Backend *Backend
	Drain   bool // gets nothing new
	Weight  int  // its share among the others; 0 is 1
}

func (m Member) weight() int64 { return int64(max(m.Weight, 1)) }

// Policy chooses among candidates. Safe for concurrent use: one policy, with
// what it remembers, may serve the pools of two generations at once.
type Policy interface {
	// Pick returns an index into candidates, which is never empty. Each
	// candidate is one of the members that the policy was made for.
	Pick(candidates []Member) int
}

// policies by their name in the routes file.
var policies = map[string]func() Policy{
	"round_robin":   newRoundRobin,
	"least_tunnels": newLeastTunnels,
}

// DefaultPolicy is that of a pool that names none.
const DefaultPolicy = "least_tunnels"

// Pool is an immutable choice among backends. Safe for concurrent use. It owns
// no backend: whoever made them closes them.
type Pool struct {
	name       string
	policyName string
	policy     Policy
	members    []Member
	eligible   []Member // members that are not drained
}

// NewPool makes a pool. policy is "round_robin", "least_tunnels" or "" for the
// default. prev, which may be nil, is the pool of that name in the generation
// before: while members and weights are the same, the new pool goes on where it
// stands, so that an edit elsewhere does not send everyone to the first backend.
func NewPool(name, policy string, members []Member, prev *Pool) (*Pool, error) {
	if policy == "" {
		policy = DefaultPolicy
	}
	make, ok := policies[policy]
	if !ok {
		return nil, fmt.Errorf("pool %q: balance %q: want round_robin or least_tunnels", name, policy)
	}
	p := &Pool{name: name, policyName: policy, members: slices.Clone(members)}
	for _, m := range members {
		if !m.Drain {
			p.eligible = append(p.eligible, m)
		}
	}
	if p.continues(prev) {
		p.policy = prev.policy
	} else {
		p.policy = make()
	}
	return p, nil
}

// continues says whether prev chose among the same backends in the same way,
// whatever their order in the file and whether they are drained.
func (p *Pool) continues(prev *Pool) bool {
	if prev == nil || prev.policyName != p.policyName || len(prev.members) != len(p.members) {
		return false
	}
	weights := map[*Backend]int64{}
	for _, m := range prev.members {
		weights[m.Backend] = m.weight()
	}
	for _, m := range p.members {
		if weights[m.Backend] != m.weight() {
			return false
		}
	}
	return true
}

// Name of the pool.
func (p *Pool) Name() string { return p.name }

// Members is everyone in the pool, drained ones too. The caller must not change it.
func (p *Pool) Members() []Member { return p.members }

// Pick chooses a backend that is not drained and not excluded: false if none is
// left. Retries exclude what they have tried.
func (p *Pool) Pick(exclude ...*Backend) (*Backend, bool) {
	candidates := p.eligible
	if len(exclude) > 0 {
		candidates = without(candidates, exclude)
	}
	if len(candidates) == 0 {
		return nil, false
	}
	return candidates[p.policy.Pick(candidates)].Backend, true
}

func without(members []Member, exclude []*Backend) []Member {
	var left []Member
	for _, m := range members {
		if !slices.Contains(exclude, m.Backend) {
			left = append(left, m)
		}
	}
	return left
}
