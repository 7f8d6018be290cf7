package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// movable is an open tunnel that leaves as soon as it is told to, and whose client
// does not come back.
type movable struct {
	entry *drain.Entry
	gone  *atomic.Int64
}

func (m *movable) Close(uint16, string, tunnel.Reason) {
	m.entry.Remove()
	m.gone.Add(1)
}
func (m *movable) Cut(tunnel.Reason)     {}
func (m *movable) Counts() tunnel.Counts { return tunnel.Counts{} }

// serverOf is a Server that serves no socket, with this Table.
func serverOf(t *Table) *Server {
	s := NewServer(Options{Current: func() *Table { return t }, Log: slog.New(slog.DiscardHandler)})
	s.adopted = t
	return s
}

// TestRebalanceIsPaced: a backend that is well again has those with more than their
// share let go of what is over, as much in each part of the time, and of no more.
func TestRebalanceIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within, tunnels = 10 * time.Minute, 900
		now := routingtest.Build(t, nil, `
routes: {r: {match: {path: /r}, to: "pool://p"}}
pools:
  p:
    rebalance: {within: 10m, tolerance: 20%}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}, c: {url: "ws://127.0.0.1:9003"}}
`)
		s := serverOf(now)
		id := func(port string) upstream.BackendKey {
			return upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:" + port}
		}
		var gone atomic.Int64
		for i := range tunnels {
			entry := s.tunnels.Reserve(drain.Facts{Route: "r", Backend: id([]string{"9001", "9002"}[i%2])})
			entry.Opened(&movable{entry: entry, gone: &gone})
		}

		// 450 each, of which 360 are a share with its tolerance.
		const over = 2 * (450 - 360)
		s.healthChanged(now.Backend(id("9003")), health.Event{Change: health.CameUp})
		began := time.Now()
		for time.Since(began) < within {
			time.Sleep(within / 20)
			synctest.Wait()
			due := over * float64(time.Since(began)) / float64(within)
			if got := float64(gone.Load()); got < due-over/10 || got > due+over/10 {
				t.Errorf("after %v %v tunnels were let go, wanted about %.0f", time.Since(began), got, due)
			}
		}
		if got := gone.Load(); got != over {
			t.Errorf("%d tunnels were let go, wanted %d", got, over)
		}
		time.Sleep(within)
		synctest.Wait()
		if got := gone.Load(); got != over || len(s.rebalancing) != 0 {
			t.Errorf("%d tunnels were let go in the end, wanted %d and nothing under way", got, over)
		}
	})
}

// TestRebalanceIsSpread: a few tunnels go evenly too, and no faster because another pool
// is in more of a hurry.
func TestRebalanceIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := routingtest.Build(t, nil, `
routes:
  slow:  {match: {path: /slow}, to: "pool://slow"}
  quick: {match: {path: /quick}, to: "pool://quick"}
pools:
  slow:
    rebalance: {within: 1h, tolerance: 1%}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}}
  quick:
    rebalance: {within: 10s, tolerance: 1%}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}}
`)
		s := serverOf(now)
		const tunnels, over = 26, 26/2 - 1 // one more than the share is not over
		gone := map[string]*atomic.Int64{"slow": {}, "quick": {}}
		for pool, n := range gone {
			for range tunnels {
				entry := s.tunnels.Reserve(drain.Facts{Route: pool, Backend: upstream.BackendKey{Pool: pool, Scheme: "ws", Authority: "127.0.0.1:9001"}})
				entry.Opened(&movable{entry: entry, gone: n})
			}
			s.rebalance(pool)
		}
		for part := range 6 {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got, want := gone["slow"].Load(), int64(2*(part+1)); got < want-1 || got > want+1 {
				t.Errorf("after %d sixths %d tunnels were let go, want about %d", part+1, got, want)
			}
			if got := gone["quick"].Load(); got != over {
				t.Errorf("%d tunnels of the other pool were let go, want %d", got, over)
			}
		}
		if got := gone["slow"].Load(); got != over || len(s.rebalancing) != 0 {
			t.Errorf("%d tunnels were let go in the end, want %d and nothing under way", got, over)
		}
	})
}

// regulars are clients that come back at once when they are told to go.
type regulars struct {
	t              *testing.T
	tunnels        *drain.Group
	pool           *upstream.Pool
	told, sentBack atomic.Int64 // and sent back to where they were
}

func (r *regulars) come() *upstream.Backend {
	backend, err := r.pool.Pick(upstream.Choice{Tunnel: true})
	if err != nil {
		r.t.Error(err)
		return nil
	}
	entry := r.tunnels.Reserve(drain.Facts{Route: "r", Backend: backend.Key()})
	entry.Opened(&regular{movable: movable{entry: entry, gone: &r.told}, backend: backend, all: r})
	return backend
}

type regular struct {
	movable
	backend *upstream.Backend
	all     *regulars
}

func (c *regular) Close(code uint16, reason string, why tunnel.Reason) {
	c.movable.Close(code, reason, why)
	c.backend.CloseTunnel()
	if c.all.come() == c.backend {
		c.all.sentBack.Add(1)
	}
}

// TestRebalanceBesideSlowStart: no client is told to go for the sake of weight that a
// backend does not have yet, and the rebalancing does not end before it has all of it.
func TestRebalanceBesideSlowStart(t *testing.T) {
	for _, slowStart := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute} {
		t.Run(slowStart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := routingtest.Build(t, nil, `
routes: {r: {match: {path: /r}, to: "pool://p"}}
pools:
  p:
    rebalance: {within: 1m, tolerance: 10%}
    health: {slow_start: `+fmt.Sprint(slowStart.Seconds())+`s, passive: {fails: 1, eject: 1s}}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}}
`)
				s := serverOf(now)
				now.CheckHealth(s.healthChanged, nil)
				defer now.Close()
				r := &regulars{t: t, tunnels: s.tunnels, pool: now.Pools()["p"]}
				b := now.Backend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:9002"})
				r.pool.Failed(b, errors.New("refused"))
				for range 100 {
					r.come()
				}
				if b.Tunnels() != 0 {
					t.Fatalf("%d tunnels to an ejected backend", b.Tunnels())
				}
				time.Sleep(time.Second + max(slowStart, time.Minute)) // the ejection, and what begins then
				synctest.Wait()
				if told, back := r.told.Load(), r.sentBack.Load(); told != b.Tunnels() || told < 44 || told > 46 || back != 0 {
					t.Errorf("%d were told to go, %d are on the other backend, %d were sent back; want 45, 45 and none", told, b.Tunnels(), back)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if len(s.rebalancing) != 0 {
					t.Error("the rebalancing goes on")
				}
			})
		})
	}
}

// TestRebalanceAfterAnEdit begins when the grace of every edit is over, also when
// what joined is found well meanwhile, and does not where the edit is taken back.
func TestRebalanceAfterAnEdit(t *testing.T) {
	const text = `
routes: {r: {match: {path: /r}, to: "pool://p"}}
pools:
  p:
    rebalance: {within: 10s, tolerance: 1%}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}JOINED}
`
	for _, takenBack := range []bool{false, true} {
		t.Run(fmt.Sprint("taken back ", takenBack), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := routingtest.Build(t, nil, strings.Replace(text, "JOINED", "", 1))
				after := routingtest.Build(t, before, strings.Replace(text, "JOINED", `, c: {url: "ws://127.0.0.1:9003"}`, 1))
				s := serverOf(after)
				id := func(port string) upstream.BackendKey {
					return upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:" + port}
				}
				var gone atomic.Int64
				for i := range 90 { // 60 and 30: too many at one of them before the edit, too
					entry := s.tunnels.Reserve(drain.Facts{Route: "r", Backend: id([]string{"9001", "9001", "9002"}[i%3])})
					entry.Opened(&movable{entry: entry, gone: &gone})
				}
				s.rebalanceJoined(before, after)
				time.Sleep(drain.Grace / 2)
				s.healthChanged(after.Backend(id("9003")), health.Event{Change: health.CameUp})
				time.Sleep(drain.Grace/2 - 1)
				synctest.Wait()
				if got := gone.Load(); got != 0 {
					t.Errorf("%d tunnels were let go before the grace was over", got)
				}
				want := int64(29) // the tolerance leaves one
				if takenBack {
					s.evaluating.Lock() // a step may be under way
					s.adopted, want = before, 0
					s.evaluating.Unlock()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := gone.Load(); got != want || len(s.rebalancing) != 0 {
					t.Errorf("%d tunnels were let go in the end, want %d and nothing under way", got, want)
				}
			})
		})
	}
}
