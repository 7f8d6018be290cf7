package e2e

// rebalance: tunnels are moved until every backend has its share.

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestRebalance: after a backend has joined, tunnels of the others are told to
// come back, a few at a time, until the shares are within the tolerance; then
// no more are.
func TestRebalance(t *testing.T) {
	t.Parallel()
	const tunnels = 60
	backends := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		backends[name] = newBackend(t, name).authority()
	}
	routes := func(third string) string {
		return web + fill(`
pools:
  p:
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}`+third+`}
    rebalance: {within: 2s, tolerance: 10%}
routes:
  all: {match: {path: /}, to: "pool://p"}
`+statusRoute, backends)
	}
	p := start(t, routes(""))
	ended := make(chan int, 10*tunnels)
	come := func() {
		conn, _, err := websocket.DefaultDialer.Dial(p.ws("/"), nil)
		if err != nil {
			ended <- -1
			return
		}
		t.Cleanup(func() { conn.Close() })
		go func() { // its end is its close code
			_, _, err := conn.ReadMessage()
			conn.Close()
			code := -1
			if closed, ok := err.(*websocket.CloseError); ok {
				code = closed.Code
			}
			ended <- code
		}()
	}
	for range tunnels {
		come()
	}
	p.edit(routes(`, c: {url: "ws://$c"}`))
	// 20 each is even; 22 are within the tolerance, so at least 8 of each of the others move.
	for range 2 * 8 {
		select {
		case code := <-ended:
			if code != websocket.CloseServiceRestart {
				t.Fatalf("a tunnel ended with %d, wanted 1012", code)
			}
			come()
		case <-time.After(patience):
			t.Fatal("not enough tunnels were told to come back")
		}
	}
	m := p.log.mark()
	p.edit(strings.Replace(routes(`, c: {url: "ws://$c"}`), "path: /}", "path: /, priority: 1}", 1))
	for range 10 {
		get(t, p.http("/status"))
	}
	if n := len(p.logged(m, "rebalancing")); n > 0 || len(ended) > 2 {
		t.Errorf("%d steps and %d ends after the shares were even", n, len(ended))
	}
	share := map[string]int{}
	for _, l := range p.logged(0, "tunnel opened") {
		share[l.text("backend")]++
	}
	for _, l := range p.logged(0, "tunnel closed") {
		share[l.text("backend")]--
	}
	for backend, n := range share {
		if n < 16 || n > 23 {
			t.Errorf("%d tunnels to %s, wanted about 20", n, backend)
		}
	}
}

// TestRebalanceAfterRecovery: a backend that comes back, and has lost its tunnels
// meanwhile, is given its share of those that the others have.
func TestRebalanceAfterRecovery(t *testing.T) {
	t.Parallel()
	a, b := newProcess(t, "a"), newProcess(t, "b")
	b.be(refusing)
	p := start(t, web+fill(`
pools:
  p:
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}}
    health: {tcp: true, interval: 20ms, timeout: 5s, fails: 1, passes: 1}
    rebalance: {within: 1s, tolerance: 20%}
routes:
  r: {match: {path: /r}, to: "pool://p", drain: {window: 0}}
`, map[string]string{"a": a.address, "b": b.address}))
	p.waitLog("backend down", fields{"backend": "p ws://" + b.address})
	visitors := newRegulars(p.ws("/r"), 20)
	visitors.await(t, "all on a", func(hosts map[string]int) bool { return hosts["a"] == 20 })
	b.be(well)
	visitors.await(t, "10 each, give or take the tolerance", func(hosts map[string]int) bool {
		return hosts["a"]+hosts["b"] == 20 && hosts["b"] >= 8
	})
	if moved, err := visitors.goHome(); err != nil || moved < 8 || moved > 10 {
		t.Errorf("%d were moved, wanted 8 to 10: %v", moved, err)
	}
}
