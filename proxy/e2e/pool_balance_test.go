package e2e

// The policies that choose among a pool's backends: round_robin, least_tunnels,
// least_bytes, random_two and hash.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// TestHash: the same key leads to the same backend, whatever else differs; many
// keys reach every backend.
func TestHash(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		values[name] = newBackend(t, name).url("ws")
	}
	const backends = `backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}}`
	p := start(t, web+fill(`
trusted_proxies: [127.0.0.1]
pools:
  header:  {balance: hash, hash: {header: X-User}, `+backends+`}
  cookie:  {balance: hash, hash: {cookie: session}, `+backends+`}
  query:   {balance: hash, hash: {query: room}, `+backends+`}
  capture: {balance: hash, hash: {capture: room}, `+backends+`}
  client:  {balance: hash, hash: {client: true}, `+backends+`}
routes:
  header:  {match: {path: /header}, to: "pool://header"}
  cookie:  {match: {path: /cookie}, to: "pool://cookie"}
  query:   {match: {path: /query}, to: "pool://query"}
  capture: {match: {path: "/capture/{room}"}, to: "pool://capture/"}
  client:  {match: {path: /client}, to: "pool://client"}
`, values))
	for by, asking := range map[string]func(key string) string{
		"header": func(key string) string { return request("GET /header HTTP/1.1", "Host: a", "x-user: "+key) },
		"cookie": func(key string) string {
			return request("GET /cookie HTTP/1.1", "Host: a", "Cookie: a=b; session="+key)
		},
		"query":   func(key string) string { return request("GET /query?a=b&room="+key+" HTTP/1.1", "Host: a") },
		"capture": func(key string) string { return request("GET /capture/"+key+" HTTP/1.1", "Host: a") },
		"client": func(key string) string {
			return request("GET /client HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2."+key)
		},
	} {
		t.Run(by, func(t *testing.T) {
			client, reached := connect(t, p), map[string]string{}
			some := map[string]bool{}
			for range 3 {
				for key := range 40 {
					text := asking(fmt.Sprint(key + 1))
					name, _, _ := strings.Cut(ask(t, client, text).body, " ")
					if before := reached[text]; before != "" && before != name {
						t.Errorf("%q reached %s, then %s", text, before, name)
					}
					reached[text], some[name] = name, true
				}
			}
			// 40 keys that all miss one of three: (2/3)^40, and the keys are always
			// the same, but the backends' ports are not.
			if len(some) != 3 {
				t.Errorf("40 keys reached %v, wanted every backend", some)
			}
		})
	}
}

// TestLeastBytes: tunnels that carry much keep their backend from new ones.
func TestLeastBytes(t *testing.T) {
	t.Parallel()
	p, _ := three(t, `pools: {chat: {balance: least_bytes, backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}}}}`)
	busy := dial(t, p.ws("/chat/"))
	name := who(t, busy)
	echo(t, busy, strings.Repeat("a", 100_000))
	for range 6 {
		conn := dial(t, p.ws("/chat/"))
		if got := who(t, conn); got == name {
			t.Errorf("a new tunnel reached %s, which has carried the most by far", got)
		}
		echo(t, conn, "little")
	}
}

// TestRandomTwo: every backend gets some, and none that is drained.
func TestRandomTwo(t *testing.T) {
	t.Parallel()
	p, _ := three(t, `pools: {chat: {balance: random_two, backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c", drain: true}}}}`)
	reached := map[string]int{}
	var open []*websocket.Conn
	for range 12 { // of two, the one with fewer tunnels
		open = append(open, dial(t, p.ws("/chat/")))
		reached[who(t, open[len(open)-1])]++
	}
	if reached["c"] != 0 || reached["a"] != 6 || reached["b"] != 6 {
		t.Errorf("tunnels reached %v, wanted 6 to each of the two", reached)
	}
}

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
	t.Parallel()
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
	t.Parallel()
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
