package e2e

// Pools whose backends are found by name, and pools that even themselves out.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestDiscoveryDNS: an address that joins the name is used, one that leaves it is
// drained, and a name server that fails changes nothing, an edit neither.
func TestDiscoveryDNS(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	listeners, port := twoAddresses(t)
	for i, l := range listeners {
		serveEcho(t, l, fmt.Sprint("127.0.0.", i+1))
	}
	names.SetAddresses("chat.test.", "127.0.0.1")
	routes := func(more string) string {
		return web + `
pools:
  p:
    resolve: {dns: "chat.test:` + port + `", server: "` + names.Addr + `", scheme: ws, every: 20ms, max_tunnels: 100}
routes:
  all: {match: {path_prefix: /}, to: "pool://p", drain: {window: 0}, preserve_host: false}
` + more
	}
	p := start(t, routes(""))
	first := dial(t, p.ws("/")) // the first answer was waited for
	if got := who(t, first); got != "127.0.0.1" {
		t.Fatalf("the tunnel leads to %s", got)
	}
	if got := get(t, p.http("/host")).body; got != "chat.test:"+port {
		t.Errorf("the backend is asked for %q, wanted the name's own host and port", got)
	}
	m := p.log.mark()
	names.SetAddresses("chat.test.", "127.0.0.1", "127.0.0.2")
	p.waitLogAfter(m, "backends found", fields{"pool": "p", "backends": float64(2)})
	if got := who(t, dial(t, p.ws("/"))); got != "127.0.0.2" {
		t.Errorf("the tunnel leads to %s, wanted the address that has joined and has none", got)
	}
	names.Break(true)
	p.waitLogAfter(m, "lookup failed", fields{"pool": "p", "backends": float64(2)})
	p.edit(routes("  other: {match: {path: /other}, respond: {}}\n"))
	echo(t, first, "still here")
	echo(t, dial(t, p.ws("/")), "and so is the pool")
	m = p.log.mark()
	names.SetAddresses("chat.test.", "127.0.0.2")
	names.Break(false)
	p.waitLogAfter(m, "backends found", fields{"pool": "p", "backends": float64(1)})
	if code, _ := closeCode(t, first); code != websocket.CloseServiceRestart {
		t.Errorf("the tunnel to the address that left ended with %d, wanted 1012", code)
	}
	if got := who(t, dial(t, p.ws("/"))); got != "127.0.0.2" {
		t.Errorf("the tunnel leads to %s, which has left", got)
	}
}

// TestWrittenThenFound: a pool whose backends are found from now on is what it was
// until there is an answer, and the same backends are the same when they are found,
// and when they are written down again: their tunnels stay and are counted.
func TestWrittenThenFound(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	names.Break(true)
	listeners, port := twoAddresses(t)
	for i, l := range listeners {
		serveEcho(t, l, fmt.Sprint("127.0.0.", i+1))
	}
	names.SetAddresses("chat.test.", "127.0.0.1", "127.0.0.2")
	routes := func(members string) string {
		return web + "pools: {p: {" + members + "}}\n" + `
routes:
  all: {match: {path_prefix: /}, to: "pool://p", drain: {window: 0}, preserve_host: false}
` + statusRoute
	}
	written := routes(`backends: {a: {url: "ws://127.0.0.1:` + port + `"}, b: {url: "ws://127.0.0.2:` + port + `", disabled: true}}`)
	found := routes(`resolve: {dns: "chat.test:` + port + `", server: "` + names.Addr + `", every: 20ms}`)

	p := start(t, written)
	first, second := dial(t, p.ws("/")), dial(t, p.ws("/"))
	m := p.log.mark()
	p.edit(found)
	p.waitLogAfter(m, "lookup failed", fields{"backends": 2})
	echo(t, dial(t, p.ws("/")), "as before")
	names.Break(false)
	p.waitLogAfter(m, "backends found", fields{"backends": 2})
	if got := who(t, dial(t, p.ws("/"))); got != "127.0.0.2" {
		t.Errorf("the tunnel leads to %s, wanted the one that has none", got)
	}
	if line := p.edit(written); line.text("tunnels_draining") != "0" {
		t.Errorf("%s tunnels are drained", line.text("tunnels_draining"))
	}
	p.edit(strings.Replace(written, ", disabled: true", "", 1))
	if got := who(t, dial(t, p.ws("/"))); got != "127.0.0.2" {
		t.Errorf("the tunnel leads to %s, wanted the one that has fewer", got)
	}
	for _, conn := range []*websocket.Conn{first, second} {
		echo(t, conn, "open all along")
	}
	if got := get(t, p.http("/host")); got.body != "127.0.0.1:"+port && got.body != "127.0.0.2:"+port {
		t.Errorf("a backend that is written down is asked for %q", got.body)
	}
}

// TestDiscoverySRV: targets that only the server knows, ports, and priorities as tiers.
func TestDiscoverySRV(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	service := func(of *backend, priority uint16) proxytest.Service {
		_, port, _ := net.SplitHostPort(of.authority())
		var number uint16
		fmt.Sscan(port, &number)
		return proxytest.Service{Target: "node.test.", Port: number, Priority: priority, Weight: 1}
	}
	names.SetAddresses("node.test.", "127.0.0.1")
	names.SetServices("_ws._tcp.chat.test.", service(a, 10), service(b, 20))
	p := start(t, web+`
pools:
  p:
    resolve: {srv: _ws._tcp.chat.test, server: "`+names.Addr+`", every: 20ms, max_requests: 5}
    health: {tcp: true, interval: 20ms, fails: 1, passes: 1}
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`)
	for range 4 {
		if got := who(t, dial(t, p.ws("/"))); got != "a" {
			t.Errorf("the tunnel leads to %s, wanted the lower priority", got)
		}
	}
	m := p.log.mark()
	a.server.Close()
	p.waitLogAfter(m, "backend down", nil)
	if got := who(t, dial(t, p.ws("/"))); got != "b" {
		t.Errorf("the tunnel leads to %s, wanted the next priority", got)
	}
	m = p.log.mark()
	names.SetServices("_ws._tcp.chat.test.", service(b, 1))
	p.waitLogAfter(m, "backends found", fields{"backends": float64(1)})
	if got := who(t, dial(t, p.ws("/"))); got != "b" {
		t.Errorf("the tunnel leads to %s, wanted the one that is left", got)
	}
	m = p.log.mark()
	names.SetServices("_ws._tcp.chat.test.", service(b, 1), proxytest.Service{Target: "node.test.", Port: 0})
	if line := p.waitLogAfter(m, "lookup failed", fields{"backends": float64(1)}); !strings.Contains(line.text("error"), names.Addr) {
		t.Errorf("the log says %q, wanted the server that was asked", line.text("error"))
	}
	if got := who(t, dial(t, p.ws("/"))); got != "b" {
		t.Errorf("the tunnel leads to %s after a mistaken answer, wanted the one before", got)
	}
}

// TestDiscoveryLimits: each backend has no more than it may.
func TestDiscoveryLimits(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	names.SetAddresses("chat.test.", "127.0.0.1")
	arrived, release := make(chan bool), make(chan bool)
	b := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			new(backend).echoMessages(w, r)
			return
		}
		arrived <- true
		<-release
	}))
	_, port, _ := net.SplitHostPort(b.Addr)
	p := start(t, web+`
pools: {p: {resolve: {dns: "chat.test:`+port+`", server: "`+names.Addr+`", max_tunnels: 1, max_requests: 1}}}
routes: {all: {match: {path_prefix: /}, to: "pool://p"}}
`)
	dial(t, p.ws("/"))
	if got := refused(t, p.ws("/"), nil); got.StatusCode != 503 {
		t.Errorf("%d for the second tunnel, wanted 503", got.StatusCode)
	}
	answer := make(chan reply)
	go func() { answer <- get(t, p.http("/")) }()
	<-arrived
	if got := get(t, p.http("/")); got.status != 503 {
		t.Errorf("%d for the second request, wanted 503", got.status)
	}
	release <- true
	<-answer
}

// TestDiscoveryTLS: backends that are found by address are verified by name.
func TestDiscoveryTLS(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	names.SetAddresses("chat.test.", "127.0.0.1")
	authority, clients := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	own := clients.Issue([]string{"proxy.test"})
	certificate := authority.Issue([]string{"chat.test"})
	certificate.Clients = clients
	echoes := proxytest.EchoServer(t, proxytest.EchoOptions{TLS: certificate})
	_, port, _ := net.SplitHostPort(echoes.Addr)
	pool := func(name, more string) string {
		return "  " + name + `: {resolve: {dns: "chat.test:` + port + `", server: "` + names.Addr + `", scheme: wss, tls: {` + more + `certificate: ` + own.File + ", key: " + own.KeyFile + "}}}\n"
	}
	p := start(t, web+"pools:\n"+pool("good", "ca: "+authority.File+", ")+pool("unknown", "")+
		pool("other", "ca: "+authority.File+", server_name: other.test, ")+pool("blind", "insecure: true, ")+`
routes:
  good:    {match: {path: /good}, to: "pool://good"}
  unknown: {match: {path: /unknown}, to: "pool://unknown"}
  other:   {match: {path: /other}, to: "pool://other"}
  blind:   {match: {path: /blind}, to: "pool://blind"}
`)
	echo(t, dial(t, p.ws("/good")), "hello")
	echo(t, dial(t, p.ws("/blind")), "hello")
	for _, path := range []string{"/unknown", "/other"} {
		if got := refused(t, p.ws(path), nil); got.StatusCode != 502 {
			t.Errorf("%s: %d, wanted 502", path, got.StatusCode)
		}
	}
}

// TestRebalance: after a backend has joined, tunnels of the others are told to
// come back, a few at a time, until the shares are within the tolerance; then
// nobody is told any more.
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

// serveEcho serves an echo on a listener; /host answers with what was asked for.
func serveEcho(t *testing.T, l net.Listener, name string) {
	t.Helper()
	b := &backend{name: name}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/host" {
			io.WriteString(w, r.Host)
			return
		}
		b.ServeHTTP(w, r)
	})}
	t.Cleanup(b.running.Wait) // the proxy is stopped before it
	t.Cleanup(func() { server.Close() })
	go server.Serve(l)
}

// twoAddresses listens on one port of 127.0.0.1 and 127.0.0.2.
func twoAddresses(t *testing.T) (listeners [2]net.Listener, port string) {
	t.Helper()
	for range 20 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(first.Addr().String())
		second, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err == nil {
			return [2]net.Listener{first, second}, port
		}
		first.Close()
		if strings.Contains(err.Error(), "cannot assign") {
			t.Skip("this system has no 127.0.0.2")
		}
	}
	t.Fatal("no port is free on both addresses")
	return listeners, ""
}
