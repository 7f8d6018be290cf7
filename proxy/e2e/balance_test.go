package e2e

// Several backends behind one route.

import (
	"testing"

	"github.com/gorilla/websocket"
)

// three starts a proxy with backends a, b and c in one pool.
func three(t *testing.T, pool string) (*proxy, map[string]*backend) {
	t.Helper()
	backends := map[string]*backend{}
	values := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		backends[name] = newBackend(t, name)
		values[name] = backends[name].url("ws")
	}
	return start(t, web+fill(pool, values)+`
routes:
  chat: {match: {path_prefix: /chat/}, to: "pool://chat/"}
`+statusRoute), backends
}

func TestRoundRobin(t *testing.T) {
	p, _ := three(t, `pools: {chat: {balance: round_robin, backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}}}}`)
	reached := map[string]int{}
	for range 9 {
		conn := dial(t, p.ws("/chat/"))
		reached[who(t, conn)]++
		conn.Close()
	}
	for _, name := range []string{"a", "b", "c"} {
		if reached[name] != 3 {
			t.Errorf("tunnels in turn: %v, wanted 3 to each", reached)
		}
	}
}

// TestLeastTunnels: each new tunnel goes where the fewest are open, and one that
// has ended no longer counts.
func TestLeastTunnels(t *testing.T) {
	p, _ := three(t, `pools: {chat: {backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}}}}`)
	open := map[string][]*websocket.Conn{}
	for range 6 {
		conn := dial(t, p.ws("/chat/"))
		name := who(t, conn)
		open[name] = append(open[name], conn)
	}
	for _, name := range []string{"a", "b", "c"} {
		if len(open[name]) != 2 {
			t.Fatalf("%d tunnels to %s, wanted 2 of 6 to each", len(open[name]), name)
		}
	}
	for _, conn := range open["b"] {
		conn.Close()
	}
	p.waitOpen(4)
	for range 2 {
		if got := who(t, dial(t, p.ws("/chat/"))); got != "b" {
			t.Errorf("the tunnel leads to %s, wanted b, which has the fewest", got)
		}
	}
}

func TestDrainedBackendGetsNothingNew(t *testing.T) {
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
	p, _ := three(t, `pools: {chat: {backends: {a: {url: "$a", drain: true}}}}`)
	if got := refused(t, p.ws("/chat/"), nil); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q, wanted 503 and when to come back", got.StatusCode, got.Header.Get("Retry-After"))
	}
}
