package limits

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

var (
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

func TestTunnelsLimitsTunnels(t *testing.T) {
	var tunnels Tunnels
	limits := TunnelLimits{Tunnels: 2}
	now := time.Unix(1000, 0)
	for i, want := range []error{nil, nil, ErrRouteFull, ErrRouteFull} {
		if got := tunnels.Admit(limits, alice, now); !errors.Is(got, want) {
			t.Errorf("tunnel %d: %v, want %v", i+1, got, want)
		}
	}
	tunnels.Release(alice)
	if got := tunnels.Admit(limits, bob, now); got != nil {
		t.Errorf("after a release: %v", got)
	}
	if got := tunnels.Admit(TunnelLimits{}, bob, now); got != nil {
		t.Errorf("after the limit was lifted: %v", got)
	}
}

func TestTunnelsLimitsEachClient(t *testing.T) {
	var tunnels Tunnels
	limits := TunnelLimits{TunnelsPerClient: 1}
	now := time.Unix(1000, 0)
	steps := []struct {
		client netip.Addr
		want   error
	}{{alice, nil}, {alice, ErrClientFull}, {bob, nil}, {bob, ErrClientFull}}
	for i, step := range steps {
		if got := tunnels.Admit(limits, step.client, now); !errors.Is(got, step.want) {
			t.Errorf("step %d: %v, want %v", i+1, got, step.want)
		}
	}
	tunnels.Release(alice)
	if got := tunnels.Admit(limits, alice, now); got != nil {
		t.Errorf("after alice's release: %v", got)
	}
}

// Tunnels that opened before there was a limit count under it.
func TestTunnelsCountsWhatWasOpenBeforeTheLimit(t *testing.T) {
	var tunnels Tunnels
	now := time.Unix(1000, 0)
	tunnels.Admit(TunnelLimits{}, alice, now)
	if got := tunnels.Admit(TunnelLimits{TunnelsPerClient: 1}, alice, now); got != ErrClientFull {
		t.Errorf("%v, want %v", got, ErrClientFull)
	}
}

func TestTunnelsLimitsHandshakes(t *testing.T) {
	var tunnels Tunnels
	limits := TunnelLimits{HandshakesPerSecond: 2}
	start := time.Unix(1000, 0)
	steps := []struct {
		after time.Duration
		want  error
	}{
		{0, nil}, {0, nil}, {0, ErrClientRate}, // a second's worth at once
		{250 * time.Millisecond, ErrClientRate},
		{500 * time.Millisecond, nil}, {500 * time.Millisecond, ErrClientRate},
		{time.Hour, nil}, {time.Hour, nil}, {time.Hour, ErrClientRate}, // never more than a second's worth
	}
	for i, step := range steps {
		got := tunnels.Admit(limits, alice, start.Add(step.after))
		if !errors.Is(got, step.want) {
			t.Errorf("step %d, after %v: %v, want %v", i+1, step.after, got, step.want)
		}
		if got == nil {
			tunnels.Release(alice)
		}
	}
}

func TestTunnelsAllowsLessThanOneHandshakeASecond(t *testing.T) {
	var tunnels Tunnels
	limits := TunnelLimits{HandshakesPerSecond: 0.1}
	start := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {9 * time.Second, ErrClientRate}, {10 * time.Second, nil}} {
		if got := tunnels.Admit(limits, alice, start.Add(step.after)); !errors.Is(got, step.want) {
			t.Errorf("step %d: %v, want %v", i+1, got, step.want)
		}
	}
}

// A scan from a million addresses must not stay in memory.
func TestTunnelsForgetsClients(t *testing.T) {
	var tunnels Tunnels
	limits := TunnelLimits{HandshakesPerSecond: 1}
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("2001:db8::")
	for range 100_000 {
		addr = addr.Next()
		now = now.Add(time.Millisecond)
		if err := tunnels.Admit(limits, addr, now); err != nil {
			t.Fatalf("%v: %v", addr, err)
		}
		tunnels.Release(addr)
	}
	if n := len(tunnels.clients); n > 5000 {
		t.Errorf("%d clients remembered, want only those of the last seconds", n)
	}
	tunnels = Tunnels{}
	tunnels.Admit(TunnelLimits{}, alice, now)
	tunnels.Release(alice)
	if n := len(tunnels.clients); n != 0 {
		t.Errorf("%d clients remembered after the last tunnel closed, want none", n)
	}
}
