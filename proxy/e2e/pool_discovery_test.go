package e2e

// resolve: pools whose backends are found in DNS.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
