package proxy

// Moving long-lived tunnels: after a backend has joined or come back, those that
// have more than their share let go of some, a few at a time, until all are
// within the tolerance or the time is over. Their clients come back and are
// sent where there is room.

import (
	"math"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/discovery"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const (
	rebalanceSteps = 100                    // in which a whole rebalancing is done
	rebalanceStep  = 100 * time.Millisecond // one of them at the least
)

// balancing is one pool's rebalancing under way.
type balancing struct {
	began   time.Time // may be to come
	tunnels int       // that were open when it was asked for
	joined  []string  // by an edit, which may be taken back: authorities; nil where health or a name brought them
}

// rebalance begins a pool's rebalancing, or starts the one under way again: its time counts
// from the last member that has joined.
func (s *Server) rebalance(pool string) { s.beginBalancing(pool, nil) }

// beginBalancing is rebalance for those that an edit brought, too: they are given the
// grace that every drain gives an edit.
func (s *Server) beginBalancing(pool string, joined []string) {
	s.judging.Lock()
	defer s.judging.Unlock()
	if s.adopted == nil || s.adopted.RebalanceRules()[pool] == nil || s.stopping.Load() {
		return
	}
	_, tunnels := s.shares(s.adopted.Pools()[pool], 0)
	began := time.Now()
	if joined != nil {
		began = began.Add(drain.Grace)
	}
	if under := s.balancing[pool]; under != nil {
		tunnels = max(tunnels, under.tunnels)
		if time.Until(under.began) > 0 { // as when those that an edit brought are found well
			began, joined = later(began, under.began), slices.Concat(under.joined, joined)
		}
	}
	if len(s.balancing) == 0 {
		time.AfterFunc(time.Until(began), s.stepBalancing) // which comes again by itself
	}
	s.balancing[pool] = &balancing{began: began, tunnels: tunnels, joined: joined}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *Server) shares(pool *upstream.Pool, least int) ([]upstream.Share, int) {
	staying := s.tunnels.Staying(pool.Name())
	return pool.Shares(func(b *upstream.Backend) int { return staying[b.Key()] }, least)
}

// stepBalancing does one step for every pool, and comes again while there are any.
func (s *Server) stepBalancing() {
	s.judging.Lock()
	defer s.judging.Unlock()
	next := time.Duration(math.MaxInt64)
	for name, under := range s.balancing {
		rule, pool := s.adopted.RebalanceRules()[name], s.adopted.Pools()[name]
		if rule == nil || pool == nil || s.stopping.Load() || time.Since(under.began) >= rule.Within || under.takenBack(pool) {
			delete(s.balancing, name)
			continue
		}
		if wait := time.Until(under.began); wait > 0 {
			next = min(next, wait)
			continue
		}
		step := max(rule.Within/rebalanceSteps, rebalanceStep)
		s.letGo(pool, rule, under, step)
		next = min(next, step)
	}
	if len(s.balancing) > 0 {
		time.AfterFunc(next, s.stepBalancing)
	}
}

// takenBack says that all of those that an edit brought are gone again.
func (b *balancing) takenBack(pool *upstream.Pool) bool {
	return b.joined != nil && !slices.ContainsFunc(usable(pool), func(m upstream.Member) bool {
		return slices.Contains(b.joined, m.Backend.Key().Authority)
	})
}

// letGo drains over·step/remaining of the tunnels that backends have above their share, so
// that the excess is gone by the deadline. It counts the shares anew each time: a member
// that has joined may be gone again.
func (s *Server) letGo(pool *upstream.Pool, rule *routing.RebalanceRule, under *balancing, step time.Duration) {
	left := max(rule.Within-time.Since(under.began), step)
	shares, _ := s.shares(pool, under.tunnels)
	for _, share := range shares {
		over := share.Over(rule.Tolerance)
		if over == 0 {
			continue
		}
		due := int(math.Ceil(float64(over) * float64(step) / float64(left)))
		if n := s.tunnels.DrainSome(share.Backend.Key(), due, share.Tunnels-over, step); n > 0 {
			s.log.Info("rebalancing", "pool", pool.Name(), "backend", share.Backend.Key().String(),
				"tunnels", share.Tunnels, "share", math.Round(share.Fair), "draining", n)
		}
	}
}

// rebalanceJoined begins the rebalancing of pools that have members which they
// did not have in the Table before.
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
			s.beginBalancing(name, joined)
		}
	}
}

// usable are the members that the routes file lets have tunnels.
func usable(p *upstream.Pool) (members []upstream.Member) {
	for _, m := range p.Members() {
		if !m.Drain && !m.Disabled {
			members = append(members, m)
		}
	}
	return members
}
