package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestShares against what they are by hand.
func TestShares(t *testing.T) {
	ms := members(1, 2, 1, 1)
	ms[3].Standby = true
	p := newPool(t, "", ms, nil)
	for i, n := range []int{10, 10, 0, 5} {
		for range n {
			ms[i].Backend.OpenTunnel()
		}
	}
	for _, tt := range []struct {
		down int // member, or -1
		fair []float64
		over []int // at 20 %
	}{
		{-1, []float64{5, 10, 5}, []int{4, 0, 0}},
		{2, []float64{20.0 / 3, 40.0 / 3}, []int{2, 0}},
		{1, []float64{5, 5}, []int{4, 0}},
	} {
		if tt.down >= 0 {
			down(ms[tt.down].Backend, true)
		}
		shares, _ := p.Shares(func(b *Backend) int { return int(b.Tunnels()) }, 0)
		var fair []float64
		var over []int
		for _, s := range shares {
			fair, over = append(fair, s.Fair), append(over, s.Over(20))
		}
		if fmt.Sprint(fair) != fmt.Sprint(tt.fair) || fmt.Sprint(over) != fmt.Sprint(tt.over) {
			t.Errorf("with %d down: shares %v over by %v, want %v over by %v", tt.down, fair, over, tt.fair, tt.over)
		}
		if tt.down >= 0 {
			down(ms[tt.down].Backend, false)
		}
	}
	shares, total := p.Shares(func(b *Backend) int { return int(b.Tunnels()) }, 40)
	if total != 20 || shares[0].Fair != 10 || shares[0].Over(20) != 0 {
		t.Errorf("of 20 tunnels and 20 on their way back: %+v", shares[0])
	}
}

// TestSharesWithinLimits: no share is more than its limit, and what that
// leaves is parted by weight among the others.
func TestSharesWithinLimits(t *testing.T) {
	for _, tt := range []struct {
		weights, limits []int
		tunnels         float64
		want            string
	}{
		{[]int{1, 1}, []int{0, 0}, 10, "[5 5]"},
		{[]int{1, 1}, []int{5, 0}, 10, "[5 5]"},
		{[]int{1, 1}, []int{2, 0}, 10, "[2 8]"},
		{[]int{1, 3}, []int{0, 3}, 10, "[7 3]"},
		{[]int{1, 1, 2}, []int{2, 4, 0}, 16, "[2 4 10]"}, // the second is full of what the first leaves
		{[]int{1, 1}, []int{2, 3}, 10, "[5 5]"},          // more than all may have
		{[]int{1, 1}, []int{5, 5}, 10, "[5 5]"},
	} {
		ms := members(tt.weights...)
		var open []*Member
		for i := range ms {
			ms[i].MaxTunnels = tt.limits[i]
			open = append(open, &ms[i])
		}
		if got := fmt.Sprint(shareOut(open, tt.tunnels)); got != tt.want {
			t.Errorf("%v tunnels by %v within %v: %s, want %s", tt.tunnels, tt.weights, tt.limits, got, tt.want)
		}
	}
}

// TestSharesAgainstPick: as tunnels come one by one to the backend with the least by
// its weight and is not full, so they are shared out, to within a tunnel for each
// member.
func TestSharesAgainstPick(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 300 {
		ms := members(make([]int, 1+r.IntN(6))...)
		var open []*Member
		for i := range ms {
			ms[i].Weight = 1 + r.IntN(5)
			if i > 0 && r.IntN(2) == 0 {
				ms[i].MaxTunnels = 1 + r.IntN(60)
			}
			open = append(open, &ms[i])
		}
		tunnels := r.IntN(300)
		has := make([]int, len(ms))
		for range tunnels {
			best := -1
			for i, m := range open {
				if m.MaxTunnels > 0 && has[i] >= m.MaxTunnels {
					continue
				}
				if best < 0 || (has[i]+1)*open[best].Weight < (has[best]+1)*m.Weight {
					best = i
				}
			}
			has[best]++
		}
		for i, fair := range shareOut(open, float64(tunnels)) {
			if math.Abs(fair-float64(has[i])) > float64(len(ms)) {
				t.Fatalf("%d tunnels: member %d of %+v has a share of %.2f, and %d come to it", tunnels, i, ms, fair, has[i])
			}
		}
	}
}

// TestSharesInSlowStart: what has a tenth of its weight has a tenth of a share.
func TestSharesInSlowStart(t *testing.T) {
	ms := members(1, 1)
	p := newPool(t, "", ms, nil)
	if p.RisingFor() != 0 {
		t.Errorf("rising for %v", p.RisingFor())
	}
	rise(ms[1].Backend)
	shares, _ := p.Shares(func(*Backend) int { return 55 }, 0)
	if math.Round(shares[0].Fair) != 100 || math.Round(shares[1].Fair) != 10 || p.RisingFor() <= 0 {
		t.Errorf("shares %+v, rising for %v", shares, p.RisingFor())
	}
}
