package routing

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const pooledRoutes = `
routes:
  live: {match: {path_prefix: /live}, to: "pool://live"}
pools:
  live:
    balance: round_robin
    sticky: {cookie: TF}
    backends: {a: {url: "ws://127.0.0.1:9001"}, b: {url: "ws://127.0.0.1:9002"}, c: {url: "ws://127.0.0.1:9003"}}
`

// turns is whom the pool gives the next n requests, by port.
func turns(t *testing.T, b *Table, n int) string {
	t.Helper()
	var ports []string
	for range n {
		backend, err := b.pools["live"].Pick(upstream.Choice{})
		if err != nil {
			t.Fatal(err)
		}
		backend.Release()
		_, port, _ := strings.Cut(backend.Key().Authority, ":")
		ports = append(ports, port)
	}
	return strings.Join(ports, " ")
}

// TestPoolsOutliveEdits: what is known of a backend, and whose turn it is, stays
// through every edit that leaves it alone; what was edited holds at once.
func TestPoolsOutliveEdits(t *testing.T) {
	for name, tt := range map[string]struct {
		edit []string // old and new
		turn string   // after one request to 9001
	}{
		"nothing":           {nil, "9002 9003 9001"},
		"a route joins":     {[]string{"routes:", "routes:\n  new: {match: {path: /new}, to: pool://live}"}, "9002 9003 9001"},
		"a pool joins":      {[]string{"pools:", "pools:\n  other: {backends: {a: {url: ws://127.0.0.1:9001}}}"}, "9002 9003 9001"},
		"a key is renamed":  {[]string{"b: {url", "z: {url"}, "9003 9002 9001"}, // ties go by key
		"a backend is gone": {[]string{`, c: {url: "ws://127.0.0.1:9003"}`, ""}, "9002 9002 9001"},
		"one is drained":    {[]string{`9003"`, `9003", drain: true`}, "9002 9002 9001"},
		"one weighs more":   {[]string{`9003"`, `9003", weight: 2`}, "9003 9002 9003"},
		"health is asked":   {[]string{"sticky:", "health: {tcp: true, interval: 1h}\n    sticky:"}, "9002 9003 9001"},
		"another policy":    {[]string{"round_robin", "least_tunnels"}, "9002 9003 9002"}, // 9001 holds a tunnel
	} {
		before := table(t, nil, pooledRoutes)
		if got := turns(t, before, 1); got != "9001" {
			t.Fatalf("the first request goes to %s, want 9001", got)
		}
		first := before.backends[upstream.BackendKey{Pool: "live", Scheme: "ws", Authority: "127.0.0.1:9001"}]
		first.OpenTunnel()
		first.Meter().FromClient.Add(42)
		cookie := before.pools["live"].SetCookie(upstream.Choice{}, first, false)

		after := table(t, before, strings.NewReplacer(tt.edit...).Replace(pooledRoutes))
		again := after.backends[first.Key()]
		if again != first || again.Tunnels() != 1 || again.Meter().FromClient.Load() != 42 {
			t.Errorf("%s: the backend is not the one of before", name)
		}
		if got := after.pools["live"].SetCookie(upstream.Choice{}, again, false); got != cookie || got == "" {
			t.Errorf("%s: its cookie is %q, want %q", name, got, cookie)
		}
		if got := turns(t, after, 3); got != tt.turn {
			t.Errorf("%s: the next requests go to %s, want %s", name, got, tt.turn)
		}
	}
}
