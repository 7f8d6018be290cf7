package e2e

// max_tunnels and max_requests of backends, and the queue of requests for a full pool.

import (
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestLimits: a backend gets no more than it may have, tunnels and requests each
// counted for themselves; without a queue the rest gets 503 at once.
func TestLimits(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan bool), make(chan bool)
	b := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			new(backend).echoMessages(w, r)
			return
		}
		arrived <- true
		<-release
	}))
	p := start(t, web+`
pools: {p: {backends: {b: {url: "ws://`+b.Addr+`", max_tunnels: 2, max_requests: 1}}}}
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`+statusRoute)
	first := dial(t, p.ws("/"))
	dial(t, p.ws("/"))
	if got := refused(t, p.ws("/"), nil); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d for the third tunnel, wanted 503 with Retry-After", got.StatusCode)
	}
	answer := make(chan reply)
	go func() { answer <- get(t, p.http("/")) }()
	<-arrived
	if got := get(t, p.http("/")); got.status != 503 {
		t.Errorf("%d for the second request, wanted 503", got.status)
	}
	release <- true
	if got := <-answer; got.status != 200 {
		t.Errorf("%d for the first request, wanted 200", got.status)
	}
	first.Close()
	p.waitOpen(1)
	echo(t, dial(t, p.ws("/")), "in its place")
}

// TestQueue: a request that waits gets the place that becomes free; one that waits for
// too long gets 503, and so does at once one that finds the queue full.
func TestQueue(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
pools:
  long:  {backends: {b: {url: "ws://$b", max_tunnels: 1}}, queue: {length: 1, wait: 1h}}
  short: {backends: {b: {url: "ws://$b", max_tunnels: 1}}, queue: {wait: 50ms}}
routes:
  long:  {match: {path: /long}, to: "pool://long"}
  short: {match: {path: /short}, to: "pool://short"}
`, map[string]string{"b": b.authority()}))
	dial(t, p.ws("/short"))
	if got := refused(t, p.ws("/short"), nil); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d after waiting in vain, wanted 503 with Retry-After", got.StatusCode)
	}

	// Of two that come, one waits and one finds the line full, whichever came first.
	first := dial(t, p.ws("/long"))
	clients := [2]*proxytest.Raw{connect(t, p), connect(t, p)}
	for _, client := range clients {
		client.Send(proxytest.Handshake{Target: "/long"}.String())
	}
	line := p.waitLog("request", fields{"path": "/long", "status": 503})
	if line.text("error") == "" {
		t.Error("the log does not say why")
	}
	m := p.log.mark()
	first.Close()
	p.waitLogAfter(m, "tunnel opened", fields{"path": "/long"})
}

// TestQueueLosesNobody: a client that leaves while it waits takes no place.
func TestQueueLosesNobody(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+`
pools: {p: {backends: {b: {url: "`+b.url("ws")+`", max_tunnels: 1}}, queue: {wait: 1h}}}
routes:
  all: {match: {path: /}, to: "pool://p"}
`+statusRoute)
	first := dial(t, p.ws("/"))
	client := connect(t, p)
	client.Send(proxytest.Handshake{Target: "/"}.String())
	client.Conn.(*net.TCPConn).SetLinger(0) // an end of file alone would be a half-close
	client.Close()
	p.waitLog("request", fields{"path": "/", "status": 499})
	first.Close()
	echo(t, dial(t, p.ws("/")), "hello")
	p.waitOpen(1)
}

// TestQueueFollowsEdits: a request that waits is let in as soon as an edit makes room.
func TestQueueFollowsEdits(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := func(most string) string {
		return web + `
pools: {p: {backends: {b: {url: "` + b.url("ws") + `", max_tunnels: ` + most + `, max_requests: 1}}, queue: {wait: 1h}}}
routes:
  all: {match: {path: /}, to: "pool://p"}
`
	}
	p := start(t, routes("1"))
	dial(t, p.ws("/"))
	client := connect(t, p)
	client.Send(proxytest.Handshake{Target: "/"}.String())
	m := p.log.mark()
	p.edit(routes("2"))
	p.waitLogAfter(m, "tunnel opened", nil)
}
