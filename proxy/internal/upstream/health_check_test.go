package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

var errSick = errors.New("sick")

func backendNamed(authority string) *Backend {
	return NewBackend(BackendKey{Pool: "p", Scheme: "ws", Authority: authority})
}

// TestEjectionSparesThePool: never more than the percentage, and never the last.
func TestEjectionSparesThePool(t *testing.T) {
	for _, tt := range []struct {
		backends, percent, down, want int // want are ejected when all fail
	}{
		{1, 50, 0, 0}, {2, 50, 0, 1}, {3, 50, 0, 1}, {4, 50, 0, 2}, {5, 50, 0, 2},
		{1, 100, 0, 0}, {4, 100, 0, 3}, {10, 20, 0, 2}, {4, 20, 0, 0},
		{4, 50, 2, 1}, {4, 50, 3, 0}, // one of the healthy must stay
	} {
		synctest.Test(t, func(t *testing.T) {
			never := func(ctx context.Context, _ health.Target) error { <-ctx.Done(); return ctx.Err() }
			var mu sync.Mutex
			ejected := 0
			all := make([]Member, tt.backends)
			for i := range all {
				b := backendNamed(string(rune('a'+i)) + ":1")
				c := health.Config{Eject: health.Ejection{Fails: 2, For: time.Hour, MaxPercent: tt.percent}, Key: "k"}
				if i < tt.down {
					c.Probe, c.StartDown = never, true
				}
				b.CheckHealth(HealthCheck{Config: c}, func(of *Backend, e health.Event) {
					mu.Lock()
					defer mu.Unlock()
					if ejected++; of != b || e.Change != health.Ejected || e.Err != errSick || e.For != time.Hour {
						t.Errorf("%v was told %+v", of.Key(), e)
					}
				})
				defer b.Close()
				all[i].Backend = b
			}
			p, err := NewPool("p", Settings{}, all, nil)
			if err != nil {
				t.Fatal(err)
			}
			var each sync.WaitGroup
			for _, m := range all[tt.down:] {
				each.Go(func() {
					for range 5 {
						p.Failed(m.Backend, errSick)
					}
				})
			}
			each.Wait()
			if ejected != tt.want {
				t.Errorf("%d of %d backends with %d down ejected at most %d %%, want %d", ejected, tt.backends, tt.down, tt.percent, tt.want)
			}
		})
	}
}

// TestRevivedKeepsTheVerdict: the verdict on a closed backend holds for the one that
// replaces it, until a probe has another result.
func TestRevivedKeepsTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := make(chan error)
		check := HealthCheck{Config: health.Config{Interval: time.Hour, Key: "k", Probe: func(context.Context, health.Target) error { return <-results }}}
		old := backendNamed("a:1")
		old.CheckHealth(check, nil)
		results <- errSick
		synctest.Wait()
		old.Close()
		revived := old.Revive()
		defer revived.Close()
		if revived.CheckHealth(check, nil); revived.Available() {
			t.Error("available before a probe has passed")
		}
		results <- nil
		synctest.Wait()
		if !revived.Available() {
			t.Error("not available after a probe has passed")
		}
	})
}

// TestProbeTarget: probes reach a backend as its tunnels do, over TLS and unix sockets too.
func TestProbeTarget(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	server := proxytest.EchoServer(t, proxytest.EchoOptions{TLS: authority.Issue([]string{"127.0.0.1"})})
	trusting, err := LoadTLS(TLSFiles{CA: authority.File})
	if err != nil {
		t.Fatal(err)
	}
	refused := health.HTTP{Statuses: []health.StatusRange{{First: 400, Last: 499}}}
	for _, tt := range []struct {
		scheme, address string
		tls             TLS
		probe           health.Probe
		want            string // part of the error; "" is none
	}{
		{"wss", server.Addr, trusting, new(health.WebSocket).Probe, ""},
		{"wss", server.Addr, TLS{}, new(health.WebSocket).Probe, "unknown authority"},
		{"wss", server.Addr, trusting, health.TCP, ""},
		{"https", proxytest.Mirror(t).Addr, TLS{}, health.TCP, "tls"},
		{"wss", server.Addr, trusting, refused.Probe, ""},
		{"unix+http", proxytest.ServeUnix(t, http.NotFoundHandler()).Addr, TLS{}, refused.Probe, ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := tt.probe(ctx, probeTarget{NewBackend(BackendKey{Pool: "p", Scheme: tt.scheme, Authority: tt.address}), tt.tls})
		cancel()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want an error with %q", tt.scheme, tt.address, err, tt.want)
		}
	}
}
