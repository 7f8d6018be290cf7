package e2e

// Which of a pool's backends are candidates: weights, tiers, standbys, spares, and
// backends that are drained or disabled.

import (
	"maps"
	"testing"

	"github.com/gorilla/websocket"
)

// TestPoolMembers: eight tunnels, and which backends they reach.
func TestPoolMembers(t *testing.T) {
	t.Parallel()
	backends := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		backends[name] = newBackend(t, name).url("ws")
	}
	file := func(a, b, c string) string {
		return web + fill(`
pools: {p: {balance: round_robin, backends: {a: {url: "$a"`+a+`}, b: {url: "$b"`+b+`}, c: {url: "$c"`+c+`}}}}
routes: {r: {match: {path_prefix: /}, to: "pool://p"}}
`, backends)
	}
	p := start(t, file("", "", ""))
	for name, tt := range map[string]struct {
		a, b, c string
		reached map[string]int
	}{
		"weights":             {", weight: 5", ", weight: 2", ", weight: 1", map[string]int{"a": 5, "b": 2, "c": 1}},
		"drained":             {"", "", ", drain: true", map[string]int{"a": 4, "b": 4}},
		"disabled":            {"", "", ", disabled: true", map[string]int{"a": 4, "b": 4}},
		"standby waits":       {"", "", ", standby: true", map[string]int{"a": 4, "b": 4}},
		"standby for one":     {", disabled: true", "", ", standby: true", map[string]int{"b": 8}},
		"standby is needed":   {", disabled: true", ", drain: true", ", standby: true", map[string]int{"c": 8}},
		"spare waits":         {"", "", ", spare: true", map[string]int{"a": 4, "b": 4}},
		"spare for one":       {", disabled: true", "", ", spare: true", map[string]int{"b": 4, "c": 4}},
		"tier above waits":    {"", "", ", tier: 1", map[string]int{"a": 4, "b": 4}},
		"tier above, for two": {", drain: true", ", disabled: true", ", tier: 1", map[string]int{"c": 8}},
		"lowest tier first":   {", tier: 3", ", tier: 2", ", tier: 3", map[string]int{"b": 8}},
	} {
		p.edit(file(tt.a, tt.b, tt.c))
		reached := map[string]int{}
		for range 8 {
			conn := dial(t, p.ws("/"))
			reached[who(t, conn)]++
			conn.Close()
		}
		if !maps.Equal(reached, tt.reached) {
			t.Errorf("%s: tunnels reached %v, wanted %v", name, reached, tt.reached)
		}
	}
	p.edit(file(", disabled: true", ", disabled: true", ", drain: true"))
	if got := refused(t, p.ws("/"), nil); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("no candidate is left: %d, Retry-After %q, wanted 503 and when to come back", got.StatusCode, got.Header.Get("Retry-After"))
	}
}

// TestWeightOfTunnels: least_tunnels fills by weight.
func TestWeightOfTunnels(t *testing.T) {
	t.Parallel()
	p, _ := three(t, `pools: {chat: {backends: {a: {url: "$a", weight: 3}, b: {url: "$b"}, c: {url: "$c", disabled: true}}}}`)
	open := map[string]int{}
	for range 8 {
		open[who(t, dial(t, p.ws("/chat/")))]++
	}
	if want := map[string]int{"a": 6, "b": 2}; !maps.Equal(open, want) {
		t.Errorf("open tunnels %v, wanted %v", open, want)
	}
}

// TestDisabledKeepsItsTunnels: it takes nothing new, and ends nothing.
func TestDisabledKeepsItsTunnels(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	file := func(more string) string {
		return web + fill(`
pools: {p: {backends: {a: {url: "$a"`+more+`}, b: {url: "$b"}}}}
routes: {r: {match: {path_prefix: /}, to: "pool://p", drain: {window: off}}}
`, map[string]string{"a": a.url("ws"), "b": b.url("ws")})
	}
	p := start(t, file(""))
	open := map[string]*websocket.Conn{}
	for range 2 {
		conn := dial(t, p.ws("/"))
		open[who(t, conn)] = conn
	}
	loaded := p.edit(file(", disabled: true"))
	if loaded.text("tunnels_kept") != "2" || loaded.text("tunnels_draining") != "0" {
		t.Errorf("logged as %v, wanted both tunnels kept", loaded)
	}
	echo(t, open["a"], "still open")
	for range 3 {
		if got := who(t, dial(t, p.ws("/"))); got != "b" {
			t.Errorf("a new tunnel reached %s", got)
		}
	}
}

func TestDrainedBackendGetsNothingNew(t *testing.T) {
	t.Parallel()
	p, backends := three(t, `pools: {chat: {backends: {a: {url: "$a"}, b: {url: "$b", drain: true}, c: {url: "$c"}}}}`)
	for range 4 {
		who(t, dial(t, p.ws("/chat/")))
		get(t, p.http("/chat/page"))
	}
	if asked := len(backends["b"].requests()); asked != 0 {
		t.Errorf("the drained backend was asked %d times, wanted none", asked)
	}
	if a, c := len(backends["a"].requests()), len(backends["c"].requests()); a == 0 || c == 0 || a+c != 8 {
		t.Errorf("a was asked %d times, c %d times, wanted 8 between both", a, c)
	}
}

func TestNoBackendLeft(t *testing.T) {
	t.Parallel()
	p, _ := three(t, `pools: {chat: {backends: {a: {url: "$a", drain: true}}}}`)
	if got := refused(t, p.ws("/chat/"), nil); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q, wanted 503 and when to come back", got.StatusCode, got.Header.Get("Retry-After"))
	}
}
