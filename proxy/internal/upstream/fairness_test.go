package upstream

// What every policy must keep: shares by weight, whatever backends come and go.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// choices is how many a share is taken over.
const choices = 100_000

// crowd is tunnels and requests that come, carry bytes and go, on a pool.
type crowd struct {
	t      *testing.T
	random *rand.Rand
	pool   *Pool
	open   []*Backend // one for each tunnel
	keys   int
}

func newCrowd(t *testing.T, policy string, ms []Member, seed uint64) *crowd {
	s := Settings{Balance: policy, Key: RequestKey{Source: FromCapture, Name: "1"}}
	p, err := NewPool("pool", s, ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := p.policy.(*randomTwo); ok {
		r.random = rand.New(rand.NewPCG(seed, 1))
	}
	return &crowd{t: t, random: rand.New(rand.NewPCG(seed, 2)), pool: p}
}

// captured is captures of one text.
type captured string

func (c captured) Index(int) (string, bool)  { return string(c), true }
func (c captured) Get(string) (string, bool) { return string(c), true }

// arrive opens a tunnel, that of a client never seen before.
func (w *crowd) arrive() *Backend {
	w.t.Helper()
	w.keys++
	c := Choice{Tunnel: true}
	if w.pool.settings.Balance == "hash" {
		c.Captures = captured(fmt.Sprintf("client %d", w.keys))
	}
	b, err := w.pool.Pick(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.open = append(w.open, b)
	return b
}

// leave closes a tunnel, any of them.
func (w *crowd) leave() {
	i := w.random.IntN(len(w.open))
	w.open[i].CloseTunnel()
	w.open[i] = w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
}

func shares(counts map[*Backend]float64, ms []Member) []float64 {
	total := 0.0
	for _, n := range counts {
		total += n
	}
	out := make([]float64, len(ms))
	for i, m := range ms {
		out[i] = counts[m.Backend] / total
	}
	return out
}

// wantShares fails the test where a share is more than one percentage point off.
func wantShares(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 0.01 {
			t.Errorf("%s: shares %.4f, want %.4f", what, got, want)
			return
		}
	}
}

func byWeight(ms []Member, here func(*Member) bool) []float64 {
	total, out := 0.0, make([]float64, len(ms))
	for i := range ms {
		if here(&ms[i]) {
			out[i] = float64(max(ms[i].Weight, 1))
			total += out[i]
		}
	}
	for i := range out {
		out[i] /= total
	}
	return out
}

var someWeights = [][]int{{1, 2, 3, 4}, {10, 1, 1, 1}, {7, 5, 5, 2, 1}}

// TestSharesByWeight: of 100,000 tunnels, of which a thousand are open at once,
// every policy gives each backend its share. least_bytes is held to shares of
// bytes, which is what it balances.
func TestSharesByWeight(t *testing.T) {
	for policy := range policies {
		for i, weights := range someWeights {
			t.Run(fmt.Sprint(policy, weights), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ms := members(weights...)
					w := newCrowd(t, policy, ms, uint64(i))
					got := map[*Backend]float64{}
					for range choices {
						b := w.arrive()
						got[b] += w.carry(b, policy)
						if len(w.open) > 1000 {
							w.leave()
						}
					}
					wantShares(t, "of all", shares(got, ms), byWeight(ms, func(*Member) bool { return true }))
				})
			})
		}
	}
}

// carry lets a tunnel carry what it does, and returns what its policy counts: one
// tunnel, or its bytes, which are mostly few and at times very many.
func (w *crowd) carry(b *Backend, policy string) float64 {
	if policy != "least_bytes" {
		return 1
	}
	time.Sleep(10 * time.Millisecond) // in the bubble: a hundred new tunnels a second
	bytes := math.Exp(w.random.NormFloat64()*1.5 + 8)
	b.Meter().FromBackend.Add(int64(bytes))
	return bytes
}

// TestSharesUnderChurn: backends go and come back all the time, and each still
// gets its share of what there was to get while it was there. The other policies
// let a backend that was away catch up, which is their purpose (TestCatchingUp).
func TestSharesUnderChurn(t *testing.T) {
	for _, policy := range []string{"round_robin", "hash"} {
		for i, weights := range someWeights {
			ms := members(weights...)
			w := newCrowd(t, policy, ms, uint64(i))
			got, want := map[*Backend]float64{}, make([]float64, len(ms))
			var here []float64
			for n := range choices {
				if n%97 == 0 {
					w.shake(ms)
					here = byWeight(ms, func(m *Member) bool { return m.usable() })
				}
				for j, share := range here {
					want[j] += share / choices
				}
				got[w.arrive()]++
				w.leave()
			}
			wantShares(t, fmt.Sprint(policy, weights), shares(got, ms), want)
		}
	}
}

// shake changes which backends are available, and leaves at least one.
func (w *crowd) shake(ms []Member) {
	for i := range ms {
		down(ms[i].Backend, w.random.IntN(3) == 0)
	}
	down(ms[w.random.IntN(len(ms))].Backend, false)
}

// TestCatchingUp: a backend that was away has its share of the open tunnels again once as
// many have come and gone as are open, several times over.
func TestCatchingUp(t *testing.T) {
	for _, policy := range []string{"least_tunnels", "random_two"} {
		for i, weights := range someWeights {
			ms := members(weights...)
			w := newCrowd(t, policy, ms, uint64(i))
			down(ms[0].Backend, true)
			for range 1000 {
				w.arrive()
			}
			down(ms[0].Backend, false)
			for range 10_000 {
				w.arrive()
				w.leave()
			}
			got := map[*Backend]float64{}
			for range 10_000 { // the open ones, looked at many times
				w.arrive()
				w.leave()
				for _, m := range ms {
					got[m.Backend] += float64(m.Backend.Tunnels())
				}
			}
			wantShares(t, fmt.Sprint(policy, weights), shares(got, ms), byWeight(ms, func(*Member) bool { return true }))
		}
	}
}

// TestCatchingUpInBytes: a backend that was away has missed no more than fades: once it is
// forgotten, its share of what flows is its own again.
func TestCatchingUpInBytes(t *testing.T) {
	for i, weights := range someWeights {
		synctest.Test(t, func(t *testing.T) {
			ms := members(weights...)
			w := newCrowd(t, "least_bytes", ms, uint64(i))
			got := map[*Backend]float64{}
			pass := func(n int) {
				clear(got)
				for range n {
					b := w.arrive()
					got[b] += w.carry(b, "least_bytes")
					if len(w.open) > 1000 {
						w.leave()
					}
				}
			}
			away := ms[i].Backend
			down(away, true)
			pass(10_000)
			wantShares(t, fmt.Sprint(weights, " with one away"), shares(got, ms), byWeight(ms, func(m *Member) bool { return m.Backend != away }))
			down(away, false)
			pass(60_000) // ten minutes, of which the first few are its own
			pass(choices)
			wantShares(t, fmt.Sprint(weights, " with all back"), shares(got, ms), byWeight(ms, func(*Member) bool { return true }))
		})
	}
}

// TestLeastTunnelsKeepsQuota: while tunnels only come, no backend is ever one away
// from its exact share, whatever the weights.
func TestLeastTunnelsKeepsQuota(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		weights := make([]int, 1+r.IntN(12))
		for i := range weights {
			weights[i] = 1 + r.IntN(9)
			if r.IntN(4) == 0 {
				weights[i] += r.IntN(100)
			}
		}
		ms := members(weights...)
		w := newCrowd(t, "least_tunnels", ms, 0)
		exact := byWeight(ms, func(*Member) bool { return true })
		for n := range 500 {
			w.arrive()
			for i, m := range ms {
				if off := float64(m.Backend.Tunnels()) - exact[i]*float64(n+1); math.Abs(off) >= 1 {
					t.Fatalf("weights %v: after %d tunnels backend %d is %.3f off its share", weights, n+1, i, off)
				}
			}
		}
	}
}

// TestRoundRobinAgainstNginx holds the order to nginx's algorithm as its source
// states it, on members that come and go.
func TestRoundRobinAgainstNginx(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 100 {
		ms := members(1+r.IntN(5), 1+r.IntN(5), 1+r.IntN(5), 1+r.IntN(5))
		w := newCrowd(t, "round_robin", ms, 0)
		current := make([]int, len(ms))
		for n := range 200 {
			if n%20 == 0 {
				w.shake(ms)
			}
			best, total := -1, 0
			for i := range ms {
				if !ms[i].usable() {
					continue
				}
				current[i] += ms[i].Weight
				total += ms[i].Weight
				if best < 0 || current[i] > current[best] {
					best = i
				}
			}
			current[best] -= total
			if got := w.arrive(); got != ms[best].Backend {
				t.Fatalf("choice %d: got %v, want %v", n, got.Key(), ms[best].Backend.Key())
			}
		}
	}
}

// TestRandomTwoAgainstAllPairs holds the odds of each backend, at constant
// loads, to those of every pair of draws added up.
func TestRandomTwoAgainstAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for round := range 4 {
		ms := members(1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(4))
		total := 0.0
		for _, m := range ms {
			total += float64(m.Weight)
			for range r.IntN(6) {
				m.Backend.OpenTunnel()
			}
		}
		want := make([]float64, len(ms))
		for i := range ms {
			for j := range ms {
				if i == j {
					continue
				}
				wi, wj := float64(ms[i].Weight), float64(ms[j].Weight)
				winner := i
				if perWeight(ms[j]) < perWeight(ms[i]) {
					winner = j
				}
				want[winner] += wi / total * wj / (total - wi)
			}
		}
		w := newCrowd(t, "random_two", ms, uint64(round))
		got := map[*Backend]float64{}
		for range choices {
			b := w.arrive()
			got[b]++
			w.leave()
		}
		wantShares(t, fmt.Sprint(ms), shares(got, ms), want)
	}
}

// TestHashMovesNothingElse: when a backend goes, only its own keys move, and come
// back with it; when one joins or gains weight, keys move to it alone.
func TestHashMovesNothingElse(t *testing.T) {
	const keys = 5000
	ms := members(1, 2, 3, 1, 1)
	owners := func(ms []Member) []*Backend {
		w := newCrowd(t, "hash", ms, 0)
		out := make([]*Backend, keys)
		for i := range out {
			out[i] = w.arrive()
			w.leave()
		}
		return out
	}
	moved := func(before, after []*Backend) (from, to []*Backend) {
		for i := range before {
			if before[i] != after[i] {
				from, to = append(from, before[i]), append(to, after[i])
			}
		}
		return from, to
	}
	all := func(list []*Backend, b *Backend) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(other *Backend) bool { return other != b })
	}
	whole := owners(ms)
	for i := range ms {
		gone := ms[i].Backend
		down(gone, true)
		if from, _ := moved(whole, owners(ms)); !all(from, gone) {
			t.Errorf("without %v keys of others moved too", gone.Key())
		}
		down(gone, false)
		if from, _ := moved(whole, owners(ms)); len(from) > 0 {
			t.Errorf("%v is back, and %d keys stand elsewhere than before", gone.Key(), len(from))
		}
		if _, to := moved(owners(slices.Delete(slices.Clone(ms), i, i+1)), whole); !all(to, gone) {
			t.Errorf("when %v joins, keys move between others", gone.Key())
		}
		heavier := slices.Clone(ms)
		heavier[i].Weight++
		if _, to := moved(whole, owners(heavier)); !all(to, gone) {
			t.Errorf("when %v gains weight, keys move between others", gone.Key())
		}
	}
	if from, _ := moved(whole, owners([]Member{ms[4], ms[2], ms[0], ms[3], ms[1]})); len(from) > 0 {
		t.Errorf("the order of backends moved %d keys", len(from))
	}
}

// TestHashWithoutKey: requests without the key are spread, not thrown on one.
func TestHashWithoutKey(t *testing.T) {
	ms := members(1, 1, 1)
	p, err := NewPool("pool", Settings{Balance: "hash", Key: RequestKey{Source: FromHeader, Name: "X-User"}}, ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		if _, err := p.Pick(Choice{Tunnel: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range ms {
		if got := m.Backend.Tunnels(); got != 3 {
			t.Errorf("%v has %d of 9 tunnels, want 3", m.Backend.Key(), got)
		}
	}
}

// TestLeastBytesAgainstHistory holds the fading sums to a list of all that ever
// flowed, each part halved by its age; what flows between two looks is cut into
// many parts.
func TestLeastBytesAgainstHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parts = 100
		type part struct {
			at    time.Time
			bytes float64
		}
		r := rand.New(rand.NewPCG(13, 14))
		b := NewBackend(BackendKey{"pool", "ws", "a"})
		l := newLeastBytes(Settings{}).(*leastBytes)
		l.update(b, time.Now())
		var history []part
		for range 60 {
			bytes, pause := r.Int64N(1<<20), time.Duration(r.Int64N(int64(time.Minute)))
			for i := range parts {
				at := time.Now().Add(pause * time.Duration(2*i+1) / (2 * parts))
				history = append(history, part{at, float64(bytes) / parts})
			}
			time.Sleep(pause)
			b.Meter().FromClient.Add(bytes)
			now := time.Now()
			want := 0.0
			for _, p := range history {
				want += p.bytes * math.Pow(0.5, now.Sub(p.at).Minutes())
			}
			if got := l.update(b, now).recent.sum; math.Abs(got-want) > 1e-4*want+1 {
				t.Fatalf("after %v: %f, want %f", now.Sub(history[0].at), got, want)
			}
		}
	})
}

// TestLeastBytesDecays: yesterday's bytes do not keep new tunnels away.
func TestLeastBytesDecays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := members(1, 1)
		w := newCrowd(t, "least_bytes", ms, 0)
		w.arrive() // a's account begins
		ms[0].Backend.Meter().FromBackend.Add(1 << 40)
		for range 2 {
			if got := w.arrive(); got != ms[1].Backend {
				t.Fatalf("while a's bytes flow: got %v, want b", got.Key())
			}
		}
		time.Sleep(time.Hour)
		if a, b := w.arrive(), w.arrive(); a == b {
			t.Errorf("an hour later both newcomers go to %v", a.Key())
		}
	})
}

// TestLeastBytesBurst: a burst of tunnels that have carried nothing yet is spread.
func TestLeastBytesBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := members(1, 1, 2)
		w := newCrowd(t, "least_bytes", ms, 0)
		for range 400 {
			w.arrive()
		}
		for i, want := range []int64{100, 100, 200} {
			if got := ms[i].Backend.Tunnels(); got < want-1 || got > want+1 {
				t.Errorf("backend %d has %d of 400, want %d", i, got, want)
			}
		}
	})
}

// TestRisingBackendsGetLess: slow start is a part of the weight, for every policy.
func TestRisingBackendsGetLess(t *testing.T) {
	for policy := range policies {
		synctest.Test(t, func(t *testing.T) {
			ms := members(2, 5)
			rise(ms[1].Backend) // with a tenth
			w := newCrowd(t, policy, ms, 3)
			got := map[*Backend]float64{}
			for range choices {
				b := w.arrive()
				got[b] += w.carry(b, policy)
				if len(w.open) > 1000 {
					w.leave()
				}
			}
			wantShares(t, policy, shares(got, ms), []float64{0.8, 0.2})
		})
	}
}

// TestLeastTunnelsFindsBack: from any state, once enough new tunnels have come that
// none need have more than its share, every backend has it.
func TestLeastTunnelsFindsBack(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	worst := 0.0
	for range 100 {
		weights := make([]int, 2+r.IntN(9))
		for i := range weights {
			weights[i] = 1 + r.IntN(9)
		}
		ms := members(weights...)
		exact := byWeight(ms, func(*Member) bool { return true })
		enough := 0
		for i := range ms {
			load := r.IntN(60)
			for range load {
				ms[i].Backend.OpenTunnel()
			}
			enough = max(enough, int(math.Ceil(float64(load)/exact[i])))
		}
		w := newCrowd(t, "least_tunnels", ms, 0)
		for range enough + r.IntN(50) - sum(ms) {
			w.arrive()
		}
		for i, m := range ms {
			off := math.Abs(float64(m.Backend.Tunnels()) - exact[i]*float64(sum(ms)))
			worst = max(worst, off)
			if off >= 1 {
				t.Errorf("weights %v: backend %d is %.3f off its share", weights, i, off)
			}
		}
	}
	t.Logf("at most %.3f off", worst)
}

func sum(ms []Member) (tunnels int) {
	for _, m := range ms {
		tunnels += int(m.Backend.Tunnels())
	}
	return tunnels
}
