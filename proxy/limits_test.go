package proxy

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

var (
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

// statusOf is what admit would answer: 101 when the tunnel may open.
func statusOf(rf *refusal) int {
	if rf == nil {
		return http.StatusSwitchingProtocols
	}
	return rf.status
}

func TestOccupancyLimitsTunnels(t *testing.T) {
	var o occupancy
	limits := routeLimits{tunnels: 2}
	now := time.Unix(1000, 0)
	for i, want := range []int{101, 101, 503, 503} {
		if got := statusOf(o.admit(limits, alice, now)); got != want {
			t.Errorf("tunnel %d: %d, want %d", i+1, got, want)
		}
	}
	o.release(alice)
	if got := statusOf(o.admit(limits, bob, now)); got != 101 {
		t.Errorf("after a release: %d, want 101", got)
	}
	if got := statusOf(o.admit(routeLimits{}, bob, now)); got != 101 {
		t.Errorf("after the limit was lifted: %d, want 101", got)
	}
}

func TestOccupancyLimitsEachClient(t *testing.T) {
	var o occupancy
	limits := routeLimits{tunnelsPerClient: 1}
	now := time.Unix(1000, 0)
	steps := []struct {
		client netip.Addr
		want   int
	}{{alice, 101}, {alice, 429}, {bob, 101}, {bob, 429}}
	for i, step := range steps {
		if got := statusOf(o.admit(limits, step.client, now)); got != step.want {
			t.Errorf("step %d: %d, want %d", i+1, got, step.want)
		}
	}
	o.release(alice)
	if got := statusOf(o.admit(limits, alice, now)); got != 101 {
		t.Errorf("after alice's release: %d, want 101", got)
	}
}

// Tunnels that opened before there was a limit count under it.
func TestOccupancyCountsWhatWasOpenBeforeTheLimit(t *testing.T) {
	var o occupancy
	now := time.Unix(1000, 0)
	o.admit(routeLimits{}, alice, now)
	if got := statusOf(o.admit(routeLimits{tunnelsPerClient: 1}, alice, now)); got != 429 {
		t.Errorf("%d, want 429", got)
	}
}

func TestOccupancyLimitsHandshakes(t *testing.T) {
	var o occupancy
	limits := routeLimits{handshakesPerSec: 2}
	start := time.Unix(1000, 0)
	steps := []struct {
		after time.Duration
		want  int
	}{
		{0, 101}, {0, 101}, {0, 429}, // a second's worth at once
		{250 * time.Millisecond, 429},
		{500 * time.Millisecond, 101}, {500 * time.Millisecond, 429},
		{time.Hour, 101}, {time.Hour, 101}, {time.Hour, 429}, // never more than a second's worth
	}
	for i, step := range steps {
		got := statusOf(o.admit(limits, alice, start.Add(step.after)))
		if got != step.want {
			t.Errorf("step %d, after %v: %d, want %d", i+1, step.after, got, step.want)
		}
		if got == 101 {
			o.release(alice)
		}
	}
}

func TestOccupancyAllowsLessThanOneHandshakeASecond(t *testing.T) {
	var o occupancy
	limits := routeLimits{handshakesPerSec: 0.1}
	start := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration
		want  int
	}{{0, 101}, {9 * time.Second, 429}, {10 * time.Second, 101}} {
		if got := statusOf(o.admit(limits, alice, start.Add(step.after))); got != step.want {
			t.Errorf("step %d: %d, want %d", i+1, got, step.want)
		}
	}
}

// A scan from a million addresses must not stay in memory.
func TestOccupancyForgetsClients(t *testing.T) {
	var o occupancy
	limits := routeLimits{handshakesPerSec: 1}
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("2001:db8::")
	for range 100_000 {
		addr = addr.Next()
		now = now.Add(time.Millisecond)
		if rf := o.admit(limits, addr, now); rf != nil {
			t.Fatalf("%v: %d, want 101", addr, rf.status)
		}
		o.release(addr)
	}
	if n := len(o.clients); n > 5000 {
		t.Errorf("%d clients remembered, want only those of the last seconds", n)
	}
	o = occupancy{}
	o.admit(routeLimits{}, alice, now)
	o.release(alice)
	if n := len(o.clients); n != 0 {
		t.Errorf("%d clients remembered after the last tunnel closed, want none", n)
	}
}
