package e2e

// http_fallback: ProxyWebsocketFallbackToProxyHttp On (the default) and Off,
// for every kind of target.

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestFallback(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	secure, ca := newTLSBackend(t, "secure")
	p := start(t, web+fill(`
pools: {pool: {backends: {b: {url: "$ws"}}}}
routes:
  ws-on:    {match: {path_prefix: /on/ws}, to: "$ws/"}
  wss-on:   {match: {path_prefix: /on/tls}, to: "$wss/", backend_tls: {ca: $ca}}
  http-on:  {match: {path_prefix: /on/http}, to: "$http/"}
  pool-on:  {match: {path_prefix: /on/pool}, to: "pool://pool/"}
  ws-off:   {match: {path_prefix: /off/ws}, to: "$ws/", http_fallback: false}
  wss-off:  {match: {path_prefix: /off/tls}, to: "$wss/", http_fallback: false, backend_tls: {ca: $ca}}
  http-off: {match: {path_prefix: /off/http}, to: "$http/", http_fallback: false}
  pool-off: {match: {path_prefix: /off/pool}, to: "pool://pool/", http_fallback: false}
`, map[string]string{"ws": b.url("ws"), "http": b.url("http"), "wss": secure.url("wss"), "ca": ca}))

	for kind, target := range map[string]*backend{"ws": b, "tls": secure, "http": b, "pool": b} {
		t.Run(kind, func(t *testing.T) {
			if got := get(t, p.http("/on/"+kind+"/page")); got.status != 200 || got.body != target.name+" GET /page" {
				t.Errorf("on: %d %q, wanted the backend's plain answer", got.status, got.body)
			}
			asked := len(target.requests())
			if got := get(t, p.http("/off/"+kind+"/page")); got.status != 426 || got.header.Get("Upgrade") != "websocket" {
				t.Errorf("off: %d, Upgrade %q, wanted 426 and websocket", got.status, got.header.Get("Upgrade"))
			}
			if len(target.requests()) != asked {
				t.Error("off: the backend was asked all the same")
			}
			echo(t, dial(t, p.ws("/on/"+kind+"/")), "on")
			echo(t, dial(t, p.ws("/off/"+kind+"/")), "off")
		})
	}
}

// TestNoAttempt: what only looks like an upgrade falls back, and is no error.
func TestNoAttempt(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  on:  {match: {path_prefix: /on}, to: "$b"}
  off: {match: {path_prefix: /off}, to: "$b", http_fallback: false}
`, map[string]string{"b": b.url("ws")}))

	for name, change := range map[string]map[string]string{
		"no Connection":        {"Connection": ""},
		"another Connection":   {"Connection": "keep-alive"},
		"Connection, no token": {"Upgrade": ""},
		"another protocol":     {"Upgrade": "x-rtc"},
	} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, p)
			on := ask(t, client, proxytest.Handshake{Target: "/on", Change: change}.String())
			mustBeHTTP(t, client, on, "/on", b)
			off := ask(t, client, proxytest.Handshake{Target: "/off", Change: change}.String())
			if upgrade := off.header.Get("Upgrade"); off.status != 426 || upgrade != "websocket" {
				t.Errorf("off: %d, Upgrade %q, wanted 426 and websocket", off.status, upgrade)
			}
		})
	}
	if n := p.countLog("tunnel opened", nil); n != 0 {
		t.Errorf("%d tunnels opened, wanted none", n)
	}
}
