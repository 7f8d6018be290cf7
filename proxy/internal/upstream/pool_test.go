package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// members makes backends a, b, c... of the given weights.
func members(weights ...int) []Member {
	var ms []Member
	for i, w := range weights {
		name := string(rune('a' + i))
		ms = append(ms, Member{Backend: NewBackend(BackendKey{"pool", "ws", name}), Weight: w})
	}
	return ms
}

func newPool(t *testing.T, policy string, ms []Member, prev *Pool) *Pool {
	t.Helper()
	p, err := NewPool("pool", Settings{Balance: policy}, ms, prev)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pick is the backend of one more request, which ends at once.
func pick(t *testing.T, p *Pool, exclude ...*Backend) *Backend {
	t.Helper()
	b, err := p.Pick(Choice{Exclude: exclude})
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	return b
}

// picks is the names of the next n backends.
func picks(t *testing.T, p *Pool, n int, exclude ...*Backend) string {
	t.Helper()
	var names []string
	for range n {
		b := pick(t, p, exclude...)
		names = append(names, b.Key().Authority)
	}
	return strings.Join(names, " ")
}

func TestRoundRobin(t *testing.T) {
	for _, tt := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "a a a"},
		{[]int{0, 0, 0}, "a b c a b c"},
		{[]int{3, 1}, "a a b a a a b a"},
		{[]int{5, 1, 1}, "a a b a c a a"},
	} {
		p := newPool(t, "round_robin", members(tt.weights...), nil)
		if got := picks(t, p, len(strings.Fields(tt.want))); got != tt.want {
			t.Errorf("weights %v: got %s, want %s", tt.weights, got, tt.want)
		}
	}
}

// Over one round of all weights, each backend comes exactly as often as it
// weighs, whatever the weights.
func TestRoundRobinIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		weights, total := make([]int, 1+random.IntN(8)), 0
		for i := range weights {
			weights[i] = 1 + random.IntN(9)
			total += weights[i]
		}
		p := newPool(t, "round_robin", members(weights...), nil)
		for range 3 {
			counts := map[string]int{}
			for _, name := range strings.Fields(picks(t, p, total)) {
				counts[name]++
			}
			for i, w := range weights {
				if name := string(rune('a' + i)); counts[name] != w {
					t.Fatalf("weights %v: %s came %d times in a round, want %d", weights, name, counts[name], w)
				}
			}
		}
	}
}

func TestDrainAndExclude(t *testing.T) {
	for name := range policies {
		ms := members(1, 1, 1)
		ms[1].Drain = true
		p := newPool(t, name, ms, nil)
		// So many that chance, which is all that random_two goes by here, cannot miss one.
		if got := picks(t, p, 64); strings.Contains(got, "b") || !strings.Contains(got, "a") || !strings.Contains(got, "c") {
			t.Errorf("%s: got %s, want a and c", name, got)
		}
		if got := picks(t, p, 2, ms[0].Backend); got != "c c" {
			t.Errorf("%s without a: got %s, want c c", name, got)
		}
		if b, err := p.Pick(Choice{Exclude: []*Backend{ms[0].Backend, ms[2].Backend}}); err != ErrUnavailable {
			t.Errorf("%s: got %v, %v, want nobody", name, b, err)
		}
		if got := len(p.Members()); got != 3 || p.Name() != "pool" {
			t.Errorf("%s: %d members of %q, want 3 of pool", name, got, p.Name())
		}
	}
}

func TestPositionSurvivesReload(t *testing.T) {
	ms := members(1, 1, 1)
	first := newPool(t, "round_robin", ms, nil)
	if got := picks(t, first, 1); got != "a" {
		t.Fatalf("got %s, want a", got)
	}
	shuffled := []Member{ms[2], ms[1], ms[0]}
	shuffled[0].Drain = true
	second := newPool(t, "round_robin", shuffled, first)
	if got := picks(t, second, 1); got != "b" {
		t.Errorf("same members: got %s, want to go on with b", got)
	}
	heavier := slices.Clone(ms)
	heavier[2].Weight = 2
	third := newPool(t, "round_robin", heavier, second)
	if got := picks(t, third, 5); got != "c b c a c" {
		t.Errorf("another weight: got %s, want c, whose turn it is, then every other time", got)
	}
	if got := picks(t, newPool(t, "round_robin", heavier[:2], third), 4); got != "b a b a" {
		t.Errorf("one member gone: got %s, want the others in turn", got)
	}
	if got := picks(t, newPool(t, "least_tunnels", ms, first), 1); got != "a" {
		t.Errorf("another policy: got %s, want to begin with a", got)
	}
}

func TestLeastTunnels(t *testing.T) {
	for _, tt := range []struct {
		weights           []int
		tunnels, requests []int
		want              string
	}{
		{[]int{1, 1}, []int{3, 1}, []int{0, 0}, "b b b"},
		{[]int{1, 1}, []int{3, 1}, []int{0, 5}, "a a a"},
		{[]int{1, 1, 1}, []int{0, 0, 0}, []int{0, 0, 0}, "a b c a b c"},
		{[]int{1, 1, 1}, []int{9, 2, 2}, []int{0, 0, 0}, "b c b c b c"},
		{[]int{1, 3}, []int{0, 0}, []int{0, 0}, "b b"},
		{[]int{1, 3}, []int{0, 2}, []int{0, 0}, "a b"},
		{[]int{1, 3}, []int{0, 3}, []int{0, 0}, "a a"},
	} {
		ms := members(tt.weights...)
		for i, m := range ms {
			for range tt.tunnels[i] {
				m.Backend.OpenTunnel()
			}
			for range tt.requests[i] {
				m.Backend.Acquire()
			}
		}
		p := newPool(t, "", ms, nil)
		if got := picks(t, p, len(strings.Fields(tt.want))); got != tt.want {
			t.Errorf("weights %v, tunnels %v, requests %v: got %s, want %s", tt.weights, tt.tunnels, tt.requests, got, tt.want)
		}
	}
}

// Whoever is picked has the least load by weight, computed the plain way; and
// tunnels opened one after the other end up spread by weight.
func TestLeastTunnelsAgainstDivision(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ms := members(1, 2, 3, 4)
	p := newPool(t, "least_tunnels", ms, nil)
	for range 2000 {
		b := pick(t, p)
		chosen := ms[slices.IndexFunc(ms, func(m Member) bool { return m.Backend == b })]
		for _, m := range ms {
			if perWeight(m) < perWeight(chosen)-1e-9 {
				t.Fatalf("picked %v at %v, %v is at %v", b.Key(), perWeight(chosen), m.Backend.Key(), perWeight(m))
			}
		}
		b.OpenTunnel()
		if other := ms[random.IntN(4)].Backend; other.Tunnels() > 0 && random.IntN(2) == 0 {
			other.CloseTunnel()
		}
	}
}

func perWeight(m Member) float64 {
	return float64(m.Backend.Tunnels()+m.Backend.InFlight()+1) / float64(m.Weight)
}

func TestPoolErrors(t *testing.T) {
	_, err := NewPool("chat", Settings{Balance: "random"}, nil, nil)
	if want := `pool "chat": unknown balance "random"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := newPool(t, "", nil, nil).Pick(Choice{}); err != ErrUnavailable {
		t.Errorf("an empty pool: got %v, want %v", err, ErrUnavailable)
	}
}

// Pools of two generations share a policy and are used at once.
func TestPickConcurrently(t *testing.T) {
	for name := range policies {
		ms := members(1, 1)
		old := newPool(t, name, ms, nil)
		young := newPool(t, name, ms, old)
		var wg sync.WaitGroup
		for _, p := range []*Pool{old, young, old, young} {
			wg.Go(func() {
				for range 1000 {
					b, _ := p.Pick(Choice{})
					b.Release()
				}
			})
		}
		wg.Wait()
		for _, m := range ms {
			if n := m.Backend.InFlight(); n != 0 {
				t.Errorf("%s: %d in flight, want 0", name, n)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for name := range policies {
		for _, n := range []int{2, 20} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p, _ := NewPool("pool", Settings{Balance: name}, members(make([]int, n)...), nil)
				b.ReportAllocs()
				for b.Loop() {
					picked, _ := p.Pick(Choice{})
					picked.Release()
				}
			})
		}
	}
}

// down makes a backend unavailable, or available again.
func down(b *Backend, is bool) {
	if !is {
		b.CheckHealth(HealthCheck{Config: health.Config{Key: "up"}}, nil)
		return
	}
	b.CheckHealth(HealthCheck{Config: health.Config{Eject: health.Ejection{Fails: 1, For: time.Hour}, Key: "down"}}, nil)
	b.health.Failed(errors.New("down"), func(int) bool { return true })
	b.Succeeded() // Failing is not what the test is about
}

// rise has a backend begin a slow start that no test sees the end of.
func rise(b *Backend) {
	down(b, true)
	b.CheckHealth(HealthCheck{Config: health.Config{SlowStart: 10000 * time.Hour, Key: "rising"}}, nil)
}
