package proxy

// Rebalancing of pools: after a backend has joined or come back, those that have more
// tunnels than their share let go of some, evenly over the time that the routes file
// says. Their clients come back, and the pool sends them where there is room.

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const (
	rebalanceSteps   = 100                    // of a rebalancing
	minRebalanceStep = 100 * time.Millisecond // then there are fewer of them
)

// rebalancing is one pool's rebalancing under way. Server.evaluating guards it.
type rebalancing struct {
	began   time.Time // may be to come
	tunnels int       // that were open when it was asked for
	joined  []string  // authorities of backends that an edit has brought and may take back; nil where health or DNS has brought them

	// owed is the part of a tunnel that each backend's steps have left so far: a step of
	// a few tunnels is less than one.
	owed map[upstream.BackendKey]float64
}

// rebalance begins a pool's rebalancing, or starts the one under way again: its time counts
// from the last backend that has come.
func (s *Server) rebalance(pool string) { s.beginRebalancing(pool, nil) }

// beginRebalancing is rebalance. Where an edit has brought the backends joined, it waits for
// the grace that every drain gives an edit.
func (s *Server) beginRebalancing(pool string, joined []string) {
	s.evaluating.Lock()
	defer s.evaluating.Unlock()
	if s.adopted == nil || s.adopted.RebalanceRules()[pool] == nil || s.stopping.Load() {
		return
	}
	_, tunnels := s.shares(s.adopted.Pools()[pool], 0)
	began := time.Now()
	if joined != nil {
		began = began.Add(drain.Grace)
	}
	if under := s.rebalancing[pool]; under != nil {
		tunnels = max(tunnels, under.tunnels)
		if time.Until(under.began) > 0 { // health has found up what an edit has brought
			began, joined = later(began, under.began), slices.Concat(under.joined, joined)
		}
	}
	under := &rebalancing{began: began, tunnels: tunnels, joined: joined, owed: make(map[upstream.BackendKey]float64)}
	s.rebalancing[pool] = under
	time.AfterFunc(time.Until(began), func() { s.stepRebalancing(pool, under) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// shares returns the shares of a pool's backends, and how many tunnels stay there.
func (s *Server) shares(pool *upstream.Pool, least int) ([]upstream.Share, int) {
	staying := s.tunnels.Staying(pool.Name())
	return pool.Shares(func(b *upstream.Backend) int { return staying[b.Key()] }, least)
}

// stepRebalancing does one step of a pool's rebalancing, and comes again until its time is
// over. While a slow start goes on, shares still change, and so it is not over before that.
func (s *Server) stepRebalancing(name string, under *rebalancing) {
	s.evaluating.Lock()
	defer s.evaluating.Unlock()
	if s.rebalancing[name] != under {
		return // it was started again
	}
	rule, pool := s.adopted.RebalanceRules()[name], s.adopted.Pools()[name]
	if rule == nil || pool == nil || s.stopping.Load() || under.takenBack(pool) {
		delete(s.rebalancing, name)
		return
	}
	left := max(rule.Within-time.Since(under.began), pool.RisingFor())
	if left <= 0 {
		delete(s.rebalancing, name)
		return
	}
	step := max(rule.Within/rebalanceSteps, minRebalanceStep)
	if left < 2*step { // timers are late: the last step takes all that is left
		step = left
	}
	s.letGo(pool, rule, under, float64(step)/float64(left), step)
	time.AfterFunc(step, func() { s.stepRebalancing(name, under) })
}

// takenBack reports whether an edit brought the backends, and all of them are gone again.
func (b *rebalancing) takenBack(pool *upstream.Pool) bool {
	return b.joined != nil && !slices.ContainsFunc(usable(pool), func(m upstream.Member) bool {
		return slices.Contains(b.joined, m.Backend.Key().Authority)
	})
}

// letGo drains this part of the tunnels that backends have above their share, spread over
// the step. It counts the shares anew each time: a backend that has joined may be gone
// again, or have more weight.
func (s *Server) letGo(pool *upstream.Pool, rule *routing.RebalanceRule, under *rebalancing, part float64, step time.Duration) {
	shares, _ := s.shares(pool, under.tunnels)
	for _, share := range shares {
		over, key := share.Over(rule.Tolerance), share.Backend.Key()
		if over == 0 {
			continue
		}
		if _, ok := under.owed[key]; !ok {
			under.owed[key] = rand.Float64() // backends need not be in step
		}
		due := int(under.owed[key] + part*float64(over))
		if part == 1 {
			due = over
		}
		under.owed[key] += part*float64(over) - float64(due)
		if due == 0 {
			continue
		}
		if n := s.tunnels.DrainSome(key, due, share.Tunnels-over, step); n > 0 {
			s.countRebalanced(pool.Name(), n)
			s.log.Info("rebalancing", "pool", pool.Name(), "backend", key.String(),
				"tunnels", share.Tunnels, "share", math.Round(share.Fair), "draining", n)
		}
	}
}

// rebalanceJoined begins the rebalancing of pools with backends that the Table before did
// not have.
func (s *Server) rebalanceJoined(old, new *routing.Table) {
	for name := range new.RebalanceRules() {
		before, now := old.Pools()[name], new.Pools()[name]
		if before == nil {
			continue
		}
		var joined []string
		known := usable(before)
		for _, m := range usable(now) {
			if discovery.MemberOf(known, m.Backend.Key()) != m.Backend {
				joined = append(joined, m.Backend.Key().Authority)
			}
		}
		if joined != nil {
			s.beginRebalancing(name, joined)
		}
	}
}

// usable returns the members that the routes file lets have tunnels.
func usable(p *upstream.Pool) (members []upstream.Member) {
	for _, m := range p.Members() {
		if !m.Drain && !m.Disabled && m.Temporary() == nil {
			members = append(members, m)
		}
	}
	return members
}
