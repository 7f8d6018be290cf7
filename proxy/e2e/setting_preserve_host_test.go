package e2e

// preserve_host: which Host a backend is asked for. By default the client's where
// there is no TLS, since servers compare a page's Origin with it, and the target's
// where there is.

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestHostOfPlainBackends: a server that compares Origin with Host, as gorilla's and
// coder's do by default, lets the proxy's own pages in, by whatever way the
// handshake is made. Where the Host is changed, the log says what may help.
func TestHostOfPlainBackends(t *testing.T) {
	t.Parallel()
	b := echoBackend(t, proxytest.EchoOptions{SameOrigin: true})
	p := start(t, web+fill(`
pools: {waiting: {backends: {b: {url: "$b"}}, queue: {length: 10}}}
routes:
  loop:  {match: {path: /loop}, to: "$b"}
  wait:  {match: {path: /wait}, to: "pool://waiting"}
  lose:  {match: {path: /lose}, to: "$b", preserve_host: false}
`, map[string]string{"b": b.WS()}))
	const origin = "Origin: http://chat.example:8080"
	for _, path := range []string{"/loop", "/wait", "/kept"} {
		client := connect(t, p)
		if path == "/kept" {
			ask(t, client, request("GET /nothing HTTP/1.1", "Host: chat.example:8080"))
			path = "/loop"
		}
		got := ask(t, client, proxytest.Handshake{Target: path, Host: "chat.example:8080", Extra: []string{origin}}.String())
		if got.status != 101 {
			t.Errorf("%s: %d %q, wanted 101", path, got.status, got.body)
		}
	}
	got := ask(t, connect(t, p), proxytest.Handshake{Target: "/lose", Host: "chat.example:8080", Extra: []string{origin}}.String())
	if got.status != 403 {
		t.Errorf("/lose: %d %q, wanted 403", got.status, got.body)
	}
	entry := p.waitLog("request", fields{"path": "/lose", "status": 403})
	if hint := entry.text("hint"); !strings.Contains(hint, "preserve_host: true") || !strings.Contains(hint, `"chat.example:8080"`) {
		t.Errorf("the log's hint is %q", hint)
	}
}

// TestHostOfEachBackend is decided anew for the backend that is tried next, and for
// the one that an open tunnel goes on with.
func TestHostOfEachBackend(t *testing.T) {
	t.Parallel()
	secure, ca := newTLSBackend(t, "secure")
	plain := newBackend(t, "plain")
	routes := fill(web+`
pools:
  first: {backends: {a: {url: "wss://$closed"}, b: {url: "ws://$plain", tier: 1}}}
  then:  {backends: {a: {url: "ws://$closed"}, b: {url: "wss://$secure", tier: 1}}}
  moves: {backends: {a: {url: "ws://$plain"$drain}, b: {url: "wss://$secure", standby: true}}}
defaults: {backend_tls: {ca: $ca}}
routes:
  first: {match: {path: /first}, to: "pool://first"}
  then:  {match: {path: /then}, to: "pool://then"}
  moves: {match: {path: /moves}, to: "pool://moves", on_backend_loss: redial}
`, map[string]string{"closed": proxytest.Refused(t), "plain": plain.authority(), "secure": secure.authority(), "ca": ca})
	p := start(t, fill(routes, map[string]string{"drain": ""}))
	public := p.address("web")
	for _, path := range []string{"/first", "/then"} {
		for _, plainly := range []bool{false, true} {
			if plainly {
				get(t, p.http(path))
			} else {
				dial(t, p.ws(path)).Close()
			}
			b, want := plain, public
			if path == "/then" {
				b, want = secure, secure.authority()
			}
			if got := b.last(t).Host; got != want {
				t.Errorf("%s, as HTTP %v: the backend was asked for host %q, wanted %q", path, plainly, got, want)
			}
		}
	}
	conn, _ := dialWith(t, p.ws("/moves"), websocket.Dialer{}, nil)
	if got := plain.last(t).Host; got != public {
		t.Errorf("the backend was asked for host %q, wanted %q", got, public)
	}
	p.edit(fill(routes, map[string]string{"drain": ", drain: true"}))
	p.waitLog("tunnel redialled", nil)
	echo(t, conn, "moved")
	if got := secure.last(t).Host; got != secure.authority() {
		t.Errorf("the backend with TLS was asked for host %q, wanted its own", got)
	}
}
