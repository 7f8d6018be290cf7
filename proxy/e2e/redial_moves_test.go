package e2e

// on_backend_loss: redial, when tunnels are to leave a backend that still serves; and
// which tunnels of a proxy redial at all.

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestRedialDrained: a backend that is drained, removed, or replaced in place is left
// between two messages, and nothing that is said meanwhile is lost.
func TestRedialDrained(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	both := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	direct := func(to *backend) string {
		return "  direct: {match: {path: /direct}, to: " + to.url("ws") + ", on_backend_loss: redial, drain: {window: off}}\n"
	}
	p := start(t, redialling(both, map[string]string{"b": ", drain: true"}, "", direct(a)))
	var talks []*dialogue
	for range 8 {
		talks = append(talks, startDialogue(dial(t, p.ws("/"))))
	}
	talks = append(talks, startDialogue(dial(t, p.ws("/direct"))))
	for i, edit := range []string{
		redialling(both, map[string]string{"a": ", drain: true"}, "", direct(b)),
		redialling(map[string]string{"a": a.url("ws")}, nil, "", direct(a)),
		redialling(map[string]string{"b": b.url("ws")}, nil, "", direct(b)),
	} {
		p.edit(edit)
		if _, err := p.log.wait(0, (i+1)*len(talks), "tunnel redialled", fields{"reason": "drain"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range talks {
			c.mustContinue(t)
		}
	}
	for _, c := range talks {
		c.mustEnd(t)
	}
	for _, c := range talks[:8] {
		if got := who(t, c.conn); got != "b" {
			t.Errorf("a tunnel is at %q, wanted b", got)
		}
	}
	handshakes := a.requests()
	first, again := handshakes[0], handshakes[len(handshakes)-1]
	if first.Header.Get("Sec-Websocket-Key") == again.Header.Get("Sec-Websocket-Key") {
		t.Error("the handshake was repeated with the same key")
	}
}

// TestRedialRebalances: a pool that rebalances moves its tunnels, and ends none.
func TestRedialRebalances(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	urls := map[string]string{"a": a.url("ws")}
	const pool = "    rebalance: {within: 500ms, tolerance: 10%}\n"
	p := start(t, redialling(urls, nil, pool, ""))
	var talks []*dialogue
	for range 20 {
		talks = append(talks, startDialogue(dial(t, p.ws("/"))))
	}
	urls["b"] = b.url("ws")
	p.edit(redialling(urls, nil, pool, ""))
	if _, err := p.log.wait(0, 9, "tunnel redialled", fields{"reason": "drain"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range talks {
		c.mustContinue(t)
		c.mustEnd(t)
	}
	if n := p.countLog("tunnel redialled", nil); n > 11 {
		t.Errorf("%d tunnels were moved, wanted 9 to 11", n)
	}
}

// TestRedialSticky: a client that is bound to its backend, and refused elsewhere, is told.
func TestRedialSticky(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		refuse string
		moves  bool
	}{{"another", true}, {"refuse", false}} {
		a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
		pool := "    sticky: {cookie: C, on_unavailable: " + test.refuse + "}\n"
		p := start(t, redialling(map[string]string{"a": a.WS(), "b": b.WS()}, nil, pool, ""))
		conn := dial(t, p.ws("/")) // bound by its 101
		echo(t, conn, "before")
		if test.moves {
			p.cutTunnel(a, b)
			echo(t, conn, "after")
			continue
		}
		a.CutTunnels()
		b.CutTunnels()
		if code, _ := closeCode(t, conn); code != 1012 {
			t.Errorf("closed with %d, wanted 1012", code)
		}
	}
}

// TestRedialTLS moves a tunnel that has TLS on both sides.
func TestRedialTLS(t *testing.T) {
	t.Parallel()
	a, _ := newTLSBackend(t, "a")
	b, _ := newTLSBackend(t, "b")
	urls := map[string]string{"a": a.url("wss"), "b": b.url("wss")}
	certificate := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	routes := func(drained string) string {
		text := redialling(urls, map[string]string{drained: ", drain: true"}, "", "    backend_tls: {insecure: true}\n")
		return strings.Replace(text, `"127.0.0.1:0"`, fmt.Sprintf(`"127.0.0.1:0", tls: {certificates: [{certificate: %q, key: %q}]}`,
			certificate.File, certificate.KeyFile), 1)
	}
	p := start(t, routes("b"))
	insecure := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // another test's matter
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", insecure, nil)
	c := startDialogue(conn)
	c.mustContinue(t)
	p.edit(routes("a"))
	p.waitLog("tunnel redialled", nil)
	c.mustContinue(t)
	c.mustEnd(t)
	if got := who(t, conn); got != "b" {
		t.Errorf("at %q, wanted b", got)
	}
}

// TestRedialOff: as it is by default, and where it is said.
func TestRedialOff(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"", "on_backend_loss: close, "} {
		a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
		p := start(t, web+fill(`
pools: {p: {backends: {a: {url: "$a"}, b: {url: "$b"}}}}
routes: {all: {match: {path: /}, `+said+`to: "pool://p"}}
`, map[string]string{"a": a.WS(), "b": b.WS()}))
		conn := dial(t, p.ws("/"))
		echo(t, conn, "before")
		a.CutTunnels()
		b.CutTunnels()
		if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
			t.Errorf("%q: closed with %d %q, wanted 1012", said, code, reason)
		}
	}
}

// TestRedialBeside: a route that redials and one that does not, on one listener and to
// the same pool; and tunnels go on as they were opened when an edit exchanges the two.
func TestRedialBeside(t *testing.T) {
	t.Parallel()
	a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
	routes := func(one, two string) string {
		return web + fill(`
pools: {p: {backends: {a: {url: "$a"}, b: {url: "$b", standby: true}}}}
routes:
  one: {match: {path: /one}, to: "pool://p/", on_backend_loss: `+one+`}
  two: {match: {path: /two}, to: "pool://p/", on_backend_loss: `+two+`}
`+statusRoute, map[string]string{"a": a.WS(), "b": b.WS()})
	}
	p := start(t, routes("redial", "close"))
	stays, ends := dial(t, p.ws("/one")), dial(t, p.ws("/two"))
	p.edit(routes("close", "redial"))
	endsToo, staysToo := dial(t, p.ws("/one")), dial(t, p.ws("/two"))
	for _, conn := range []*websocket.Conn{stays, ends, staysToo, endsToo} {
		echo(t, conn, "before")
	}
	a.CutTunnels()
	for _, conn := range []*websocket.Conn{ends, endsToo} {
		if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
			t.Errorf("closed with %d %q, wanted 1012", code, reason)
		}
	}
	if _, err := p.log.wait(0, 2, "tunnel redialled", nil); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*websocket.Conn{stays, staysToo} {
		echo(t, conn, "after")
	}
}
