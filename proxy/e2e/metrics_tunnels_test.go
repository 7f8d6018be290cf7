package e2e

// What GET /metrics says of tunnels, handshakes and requests.

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestMetricsTunnels: a tunnel is counted by its route and backend, through renames, and its
// series end with its route and its last tunnel.
func TestMetricsTunnels(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	route := func(name, path string) string {
		return web + fill("routes: {$name: {match: {path: $path}, to: \"ws://$b\", upgrade: any, drain: {keep: true}}}\n",
			map[string]string{"name": name, "path": path, "b": b.authority()})
	}
	p, m := startMetered(t, route("chat", "/chat"))
	m.awaitNone("tunnels", nil)
	of := labels{"route": "chat", "backend": b.url("ws")}
	first, second := dial(t, p.ws("/chat")), dial(t, p.ws("/chat"))
	m.await("tunnels", of, 2)
	m.await("tunnels_opened_total", labels{"route": "chat", "protocol": "websocket"}, 2)
	m.await("handshake_duration_seconds", labels{"listener": "web", "result": "opened"}, 2)

	first.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "mine"), time.Now().Add(patience))
	closeCode(t, first)
	first.Close()
	m.await("tunnels", of, 1)
	m.await("tunnels_closed_total", labels{"route": "chat", "closed_by": "client", "reason": "closed", "code": "4xxx"}, 1)
	m.await("tunnel_duration_seconds", labels{"listener": "web"}, 1)
	m.awaitNone("http_requests_total", labels{"route": "chat"})

	p.edit(route("talk", "/chat"))
	m.await("tunnels", labels{"route": "talk", "backend": b.url("ws")}, 1)
	m.await("tunnels_closed_total", labels{"route": "talk"}, 1)
	m.awaitNone("tunnels", of)

	p.edit(route("other", "/other"))
	m.await("tunnels", labels{"route": "talk"}, 1)
	second.Close()
	m.awaitNone("tunnels", labels{"route": "talk"})
	m.awaitNone("tunnels_opened_total", labels{"route": "talk"})

	raw := connect(t, p)
	if got := ask(t, raw, request("GET /other HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: private")); got.status != 101 {
		t.Fatalf("%d for another protocol", got.status)
	}
	m.await("tunnels_opened_total", labels{"route": "other", "protocol": "other"}, 1)
	raw.Close()
	m.await("tunnels_closed_total", labels{"route": "other", "code": "none"}, 1)
}

// TestMetricsHandshakes: why handshakes open no tunnel, and that they are no HTTP requests.
func TestMetricsHandshakes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p, m := startMetered(t, web+fill(`
pools:
  some: {balance: round_robin, backends: {a: {url: "ws://$gone"}, b: {url: "ws://$b"}}}
  full: {backends: {b: {url: "ws://$b", max_tunnels: 1}}}
routes:
  origin: {match: {path: /origin}, to: "ws://$b"}
  gone:   {match: {path: /gone}, to: "ws://$gone"}
  some:   {match: {path: /some}, to: "pool://some", retry: {others: 1, budget: 100%}}
  full:   {match: {path: /full}, to: "pool://full"}
  route:  {match: {path: /route}, to: "ws://$b", limits: {tunnels: 1}}
  client: {match: {path: /client}, to: "ws://$b", limits: {tunnels_per_client: 1}}
  page:   {match: {path: /page}, to: "http://$page"}
`, map[string]string{"b": b.authority(), "gone": hangingUp(t), "page": proxytest.Serve(t, http.NotFoundHandler()).Addr}))
	for _, tt := range []struct {
		path, origin string
		open         int // before
		route, cause string
		result       string
	}{
		{"/nowhere", "", 0, "", "no_route", "refused"},
		{"/origin", "http://evil.example", 0, "origin", "origin", "refused"},
		{"/gone", "", 0, "gone", "backend_failed", "failed"},
		{"/full", "", 1, "full", "backends_full", "failed"},
		{"/route", "", 1, "route", "route_full", "refused"},
		{"/client", "", 1, "client", "client_full", "refused"},
		{"/page", "", 0, "page", "backend_refused", "failed"},
	} {
		for range tt.open {
			dial(t, p.ws(tt.path))
		}
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		refused(t, p.ws(tt.path), header)
		m.await("handshakes_refused_total", labels{"route": tt.route, "cause": tt.cause}, 1)
		m.awaitSome("handshake_duration_seconds", labels{"listener": "web", "result": tt.result})
	}
	for range 2 {
		dial(t, p.ws("/some"))
	}
	m.await("retries_total", labels{"route": "some"}, 1)
	m.awaitNone("http_requests_total", nil)
	m.awaitNone("http_request_duration_seconds", nil)
}

// TestMetricsHTTP: requests by method and status, and those that a backend is asked for.
func TestMetricsHTTP(t *testing.T) {
	t.Parallel()
	h := held{asked: make(chan struct{}, 1), letGo: make(chan struct{})}
	p, m := startMetered(t, web+fill(`
routes:
  slow: {match: {path: /slow}, to: "http://$b"}
  page: {match: {path: /page}, respond: {body: here}}
`, map[string]string{"b": proxytest.Serve(t, h).Addr}))
	answer := make(chan reply)
	go func() { answer <- get(t, p.http("/slow")) }()
	<-h.asked
	m.await("http_requests_in_flight", labels{"route": "slow"}, 1)
	h.letGo <- struct{}{}
	<-answer
	m.await("http_requests_in_flight", labels{"route": "slow"}, 0)
	m.await("http_requests_total", labels{"route": "slow", "method": "GET", "code": "200"}, 1)
	post(t, p.http("/page"))
	get(t, p.http("/nowhere"))
	m.await("http_requests_total", labels{"route": "page", "method": "POST", "code": "200"}, 1)
	m.await("http_requests_total", labels{"route": "", "code": "404"}, 1)
	m.await("http_request_duration_seconds", labels{"listener": "web"}, 3)
	m.awaitNone("handshakes_refused_total", nil)
}

// TestMetricsDeadPeers: a client that answers no ping.
func TestMetricsDeadPeers(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p, m := startMetered(t, web+fill(`
defaults: {keepalive: {ping: 20ms, pong: 100ms}, drain: {close_timeout: 100ms}}
routes:
  client:  {match: {path: /client}, to: "$b", keepalive: {backend: false}}
  backend: {match: {path: /backend}, to: "$b", keepalive: {client: false}}
`, map[string]string{"b": b.url()}))
	for _, peer := range []string{"client", "backend"} {
		b.open(t, p, "/"+peer)
		m.await("dead_peers_total", labels{"route": peer, "peer": peer}, 1)
		m.await("tunnels_closed_total", labels{"route": peer, "reason": "pong_timeout"}, 1)
	}
}

// TestMetricsRedial: a tunnel that goes on with another backend is counted there, and one
// that finds none as a failure.
func TestMetricsRedial(t *testing.T) {
	t.Parallel()
	servers := map[string]*proxytest.Echo{"a": echoBackend(t, proxytest.EchoOptions{}), "b": echoBackend(t, proxytest.EchoOptions{})}
	routes := redialling(map[string]string{"a": servers["a"].WS(), "b": servers["b"].WS()}, nil, "", "")
	p, m := startMetered(t, routes)
	conn := dial(t, p.ws("/"))
	echo(t, conn, "before")
	p.cutTunnel(servers["a"], servers["b"])
	m.await("redials_total", labels{"route": "all", "result": "redialled"}, 1)
	now := p.waitLog("tunnel redialled", nil).text("backend")[len("p "):]
	m.await("tunnels", labels{"route": "all", "backend": now}, 1)
	m.await("tunnels", labels{"route": "all"}, 1)
	m.await("tunnels_opened_total", labels{"route": "all"}, 1)

	for _, s := range servers {
		s.Server.Close()
		s.CutTunnels()
	}
	m.await("redials_total", labels{"route": "all", "result": "failed"}, 1)
	m.await("tunnels", labels{"route": "all"}, 0)
}

// TestMetricsRebalance: tunnels that are told to leave a backend with more than its share.
func TestMetricsRebalance(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	routes := func(second string) string {
		return web + fill(`
pools:
  p: {backends: {a: {url: "ws://$a"}`+second+`}, rebalance: {within: 1s, tolerance: 10%}}
routes:
  all: {match: {path: /}, to: "pool://p"}
`, map[string]string{"a": a.authority(), "b": b.authority()})
	}
	p, m := startMetered(t, routes(""))
	for range 4 {
		dial(t, p.ws("/"))
	}
	m.awaitNone("rebalanced_total", nil)
	p.edit(routes(`, b: {url: "ws://$b"}`))
	m.awaitSome("rebalanced_total", labels{"pool": "p"})
	m.awaitSome("drained_total", labels{"route": "all", "cause": "rebalance"})
}

// TestMetricsHistograms: a route with histograms of its own is in no other's.
func TestMetricsHistograms(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p, m := startMetered(t, web+fill(`
routes:
  own:    {match: {path: /own}, to: "ws://$b", metrics: {histograms: true}}
  shared: {match: {path: /shared}, to: "ws://$b"}
`, map[string]string{"b": b.authority()}))
	for _, path := range []string{"/own", "/shared", "/shared"} {
		dial(t, p.ws(path)).Close()
		get(t, p.http(path))
	}
	for _, name := range []string{"handshake_duration_seconds", "http_request_duration_seconds", "tunnel_duration_seconds"} {
		m.await(name, labels{"listener": "web"}, 3)
		m.await(name, labels{"listener": "web", "route": "own"}, 1)
		m.awaitNone(name, labels{"route": "shared"})
	}
}

// TestMetricsDrain: tunnels that are to go, and those that were told.
func TestMetricsDrain(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	route := func(target, window string) string {
		return web + fill("routes: {chat: {match: {path: /chat}, to: \"$to\", drain: {window: $window, close_timeout: 1h}}}\n",
			map[string]string{"to": target, "window": window})
	}
	p, m := startMetered(t, route(b.url("ws"), "1h"))
	silent := connect(t, p)
	if got := ask(t, silent, proxytest.Handshake{Target: "/chat"}.String()); got.status != 101 {
		t.Fatalf("%d, wanted 101", got.status)
	}
	p.edit(route("ws://127.0.0.1:9", "1h"))
	m.await("tunnels_draining", labels{"route": "chat"}, 1)
	p.edit(route(b.url("ws"), "0s"))
	m.await("tunnels_draining", labels{"route": "chat"}, 0)
	m.awaitNone("drained_total", nil)

	other := dial(t, p.ws("/chat")) // whose window is off
	p.edit(route("ws://127.0.0.1:9", "0s"))
	closeCode(t, other)
	m.await("drained_total", labels{"route": "chat", "cause": "routes"}, 1)
	m.await("tunnels_draining", labels{"route": "chat"}, 1)
}

// TestMetricsCarried: bytes and messages while tunnels are open, on the event loops and
// where tunnels may redial, and how long pings take.
func TestMetricsCarried(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := web + fill(`
defaults: {keepalive: {ping: 20ms, pong: 60s}}
routes:
  loop:   {match: {path: /loop}, to: "ws://$b"}
  redial: {match: {path: /redial}, to: "ws://$b", on_backend_loss: redial, metrics: {histograms: true}}
`, map[string]string{"b": b.authority()})
	p, m := startMetered(t, routes)
	conns := map[string]*websocket.Conn{}
	for route, own := range map[string]string{"loop": "", "redial": "redial"} {
		conn := dial(t, p.ws("/"+route))
		conns[route] = conn
		echo(t, conn, "0123456789")
		of := labels{"route": route, "direction": "from_client"}
		m.await("tunnel_bytes_total", of, 2+4+10)
		m.await("tunnel_messages_total", of, 1)
		m.await("tunnel_messages_total", labels{"route": route, "direction": "from_backend", "type": "text"}, 1)
		m.await("tunnel_messages_total", labels{"route": route, "type": "binary"}, 0)
		m.awaitThat("tunnel_message_bytes", labels{"listener": "web", "direction": "from_client"}, "1 or more", func(n float64) bool { return n >= 1 })
		if own != "" {
			m.await("tunnel_message_bytes", labels{"route": own, "direction": "from_client"}, 1)
		}
		go conn.ReadMessage() // which answers pings
		m.awaitSome("ping_rtt_seconds", labels{"listener": "web", "peer": "client"})
		m.awaitSome("ping_rtt_seconds", labels{"listener": "web", "peer": "backend"})
	}
	m.awaitSome("event_loop_lag_seconds", nil)
	if _, there := m.value("event_loop_busy_ratio", labels{"loop": "0"}); !there {
		t.Error("the first loop has no event_loop_busy_ratio")
	}

	before, _ := m.value("tunnel_message_bytes", labels{"route": ""})
	p.edit(web + fill("routes: {redial: {match: {path: /redial}, to: \"ws://$b\"}}\n", map[string]string{"b": b.authority()}))
	conns["loop"].Close()
	m.awaitNone("tunnel_bytes_total", labels{"route": "loop"})
	if after, _ := m.value("tunnel_message_bytes", labels{"route": ""}); after < before {
		t.Errorf("the listener's histogram has fallen from %v to %v with a route that is gone", before, after)
	}
}
