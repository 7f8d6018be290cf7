package proxy

import (
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
		s := &Server{tunnels: drain.NewGroup(), log: slog.New(slog.DiscardHandler), balancing: map[string]*balancing{}, adopted: now}
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
		if got := gone.Load(); got != over || len(s.balancing) != 0 {
			t.Errorf("%d tunnels were let go in the end, wanted %d and nothing under way", got, over)
		}
	})
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
				s := &Server{tunnels: drain.NewGroup(), log: slog.New(slog.DiscardHandler), balancing: map[string]*balancing{}, adopted: after}
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
					s.judging.Lock() // a step may be under way
					s.adopted, want = before, 0
					s.judging.Unlock()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := gone.Load(); got != want || len(s.balancing) != 0 {
					t.Errorf("%d tunnels were let go in the end, want %d and nothing under way", got, want)
				}
			})
		})
	}
}
