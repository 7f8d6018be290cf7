package drain

import (
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// TestDraining: whatever happens, what is counted is what a walk of all tunnels finds.
func TestDraining(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			g := NewGroup()
			routes := []string{"a", "b", "c"}
			var all []*Entry
			for step := range 60 {
				route := routes[random.IntN(len(routes))]
				switch random.IntN(8) {
				case 0, 1, 2:
					e, _ := open(g, route, testPolicy)
					all = append(all, e)
				case 3:
					to, drain := routes[random.IntN(len(routes))], random.IntN(2) == 0
					g.Evaluate(func(f Facts) Decision {
						if f.Route != route {
							return Decision{Unchanged: true}
						}
						return Decision{Drain: drain, Forbidden: drain && step%2 == 0, Route: to, Backend: f.Backend}
					})
				case 4:
					if d, err := g.DrainByHand(Query{Route: route}, in(20*time.Second)); err == nil && step%2 == 0 {
						g.Spare(d.ID)
					}
				case 5:
					time.Sleep(time.Duration(random.IntN(8)) * time.Second)
				case 6:
					if len(all) > 0 {
						all[random.IntN(len(all))].Remove()
					}
				case 7:
					if len(all) > 0 && step > 50 {
						g.End(all[0], Manner{})
					}
				}
				synctest.Wait()
				walked := make(map[string]int)
				g.mu.Lock()
				for e := range g.entries {
					if e.drainingLocked() {
						walked[e.route]++
					}
				}
				g.mu.Unlock()
				if got := g.Draining(); !maps.Equal(got, walked) {
					t.Fatalf("seed %d, step %d: %v counted, and there are %v", seed, step, got, walked)
				}
			}
			for _, e := range all {
				e.Remove()
			}
			if got := g.Draining(); len(got) != 0 {
				t.Errorf("%v counted of none", got)
			}
		})
	}
}

// TestTold: each tunnel that is told counts once, under its route and by its cause.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		told := make(map[[2]string]int)
		g.Told = func(route, cause string) { told[[2]string{route, cause}]++ }
		for _, route := range []string{"edit", "edit", "forbidden", "hand"} {
			open(g, route, testPolicy)
		}
		g.Evaluate(func(f Facts) Decision {
			return Decision{Drain: f.Route != "hand", Forbidden: f.Route == "forbidden", Route: f.Route, Backend: f.Backend}
		})
		if _, err := g.DrainByHand(Query{Route: "hand"}, in(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Grace + testPolicy.Window)
		synctest.Wait()
		e, _ := open(g, "uneven", testPolicy)
		g.DrainSome(e.Backend(), 1, 0, time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		open(g, "last", testPolicy)
		g.Shutdown(Policy{Code: 1001})
		time.Sleep(time.Second)
		synctest.Wait()
		want := map[[2]string]int{
			{"edit", "routes"}: 2, {"forbidden", "forbidden"}: 1, {"hand", "operator"}: 1,
			{"uneven", "rebalance"}: 1, {"last", "shutdown"}: 1,
		}
		if !maps.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		g.Cut(tunnel.ReasonShutdown)
	})
}
