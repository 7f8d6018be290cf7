package e2e

// What is counted survives reloads: a backend's tunnels, a route's tunnels.

import (
	"maps"
	"testing"

	"github.com/gorilla/websocket"
)

// tunnelsBy opens n tunnels and says how many went to each backend.
func tunnelsBy(t *testing.T, p *proxy, n int) (conns []*websocket.Conn, by map[string]int) {
	t.Helper()
	by = map[string]int{}
	for range n {
		conn := dial(t, p.ws("/chat"))
		conns = append(conns, conn)
		by[who(t, conn)]++
	}
	return conns, by
}

// TestLeastTunnelsAcrossReloads: a backend that joins a pool gets the tunnels
// until it has as many as the others: no reload has reset their counts.
func TestLeastTunnelsAcrossReloads(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		values[name] = newBackend(t, name).url("ws")
	}
	routes := func(backends string) string {
		return web + fill("pools: {chat: {backends: {"+backends+"}}}\n", values) + `routes: {chat: {match: {path: /chat}, to: "pool://chat"}}` + "\n"
	}
	p := start(t, routes(`a: {url: "$a"}, b: {url: "$b"}`))
	if _, by := tunnelsBy(t, p, 6); !maps.Equal(by, map[string]int{"a": 3, "b": 3}) {
		t.Fatalf("tunnels by backend: %v, wanted 3 each", by)
	}
	p.edit(routes(`a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}`))
	if _, by := tunnelsBy(t, p, 3); by["c"] != 3 {
		t.Errorf("after c has joined, tunnels went to %v, wanted all 3 on c", by)
	}
	if _, by := tunnelsBy(t, p, 3); !maps.Equal(by, map[string]int{"a": 1, "b": 1, "c": 1}) {
		t.Errorf("then tunnels went to %v, wanted one to each", by)
	}
}

// TestReturnedBackendKnowsItsTunnels: a backend that leaves the file and comes
// back, while its tunnels are open all along, still counts them.
func TestReturnedBackendKnowsItsTunnels(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a": newBackend(t, "a").url("ws"), "b": newBackend(t, "b").url("ws")}
	routes := func(backends string) string {
		return web + fill("pools: {chat: {backends: {"+backends+"}}}\n", values) +
			`routes: {chat: {match: {path: /chat}, to: "pool://chat", drain: {keep: true}}}` + "\n"
	}
	both := routes(`a: {url: "$a"}, b: {url: "$b"}`)
	p := start(t, both)
	tunnelsBy(t, p, 4)
	p.edit(routes(`a: {url: "$a"}`))
	tunnelsBy(t, p, 2) // now a has 4, b has 2
	p.edit(both)
	if _, by := tunnelsBy(t, p, 4); !maps.Equal(by, map[string]int{"a": 1, "b": 3}) {
		t.Errorf("tunnels went to %v, wanted 3 to b, which had 2 open, and 1 to a, which had 4", by)
	}
}

// TestReturnedRouteKnowsItsTunnels is the same of a route's own limit.
func TestReturnedRouteKnowsItsTunnels(t *testing.T) {
	t.Parallel()
	full := web + `routes: {chat: {match: {path: /chat}, to: "internal://echo", drain: {keep: true}, limits: {tunnels: 1}}}` + "\n"
	p := start(t, full)
	conn := dial(t, p.ws("/chat"))
	p.edit(web + "routes: {}\n")
	p.edit(full)
	echo(t, conn, "open all along")
	if got := refused(t, p.ws("/chat"), nil).StatusCode; got != 503 {
		t.Errorf("a second tunnel of a route with room for one: %d, wanted 503", got)
	}
}

// TestDrainedBackendHandsOver: tunnels end on the backend that drains, and come
// back to the other.
func TestDrainedBackendHandsOver(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a": newBackend(t, "a").url("ws"), "b": newBackend(t, "b").url("ws")}
	routes := func(drain string) string {
		return web + fill(`pools: {chat: {backends: {a: {url: "$a"`+drain+`}, b: {url: "$b"}}}}`, values) + `
routes: {chat: {match: {path: /chat}, to: "pool://chat", drain: {window: off}}}
`
	}
	p := start(t, routes(""))
	open := map[string]*websocket.Conn{}
	for range 2 {
		conn := dial(t, p.ws("/chat"))
		open[who(t, conn)] = conn
	}
	if loaded := p.edit(routes(", drain: true")); loaded.text("tunnels_draining") != "1" || loaded.text("tunnels_kept") != "1" {
		t.Errorf("the edit was logged as %v, wanted one tunnel draining and one kept", loaded)
	}
	if code, _ := closeCode(t, open["a"]); code != drained {
		t.Errorf("closed with %d, wanted %d", code, drained)
	}
	echo(t, open["b"], "not concerned")
	if _, by := tunnelsBy(t, p, 3); by["b"] != 3 {
		t.Errorf("new tunnels went to %v, wanted all on b", by)
	}
}
