package e2e

// HTTP and WebSockets on one host, to two servers.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// The WebSocket URLs are known:
//
//	ProxyPassMatch "^/(myApp/ws)$" "ws://backend.example.com:9080/$1"
//	ProxyPass      "/"             "http://backend.example.com:9080/"
func TestSocketsAtKnownURLs(t *testing.T) {
	sockets, site := newBackend(t, "sockets"), newBackend(t, "site")
	p := start(t, web+fill(`
routes:
  site:       {match: {path_prefix: /}, to: "$site/"}
  app-socket: {match: {path_regex: "^/(myApp/ws)$"}, to: "$sockets/$1"}
`, map[string]string{"sockets": sockets.url("ws"), "site": site.url("http")}))

	if got := who(t, dial(t, p.ws("/myApp/ws"))); got != "sockets" {
		t.Errorf("the tunnel leads to %q, wanted sockets", got)
	}
	for path, want := range map[string]string{
		"/":           "site GET /",
		"/myApp/page": "site GET /myApp/page",
		"/myApp/ws":   "sockets GET /myApp/ws", // no attempt: HTTP to the same backend
	} {
		if got := get(t, p.http(path)); got.body != want {
			t.Errorf("GET %s: %q, wanted %q", path, got.body, want)
		}
	}
	// An http:// route tunnels too.
	if got := who(t, dial(t, p.ws("/elsewhere"))); got != "site" {
		t.Errorf("the tunnel leads to %q, wanted site", got)
	}
}

// The WebSocket URLs are unknown:
//
//	RewriteCond %{HTTP:Upgrade} websocket [NC]
//	RewriteCond %{HTTP:Connection} upgrade [NC]
//	RewriteRule "^/?(.*)" "ws://backend.example.com:9080/$1" [P,L]
//	ProxyPass "/" "http://backend.example.com:9080/"
func TestSocketsAtUnknownURLs(t *testing.T) {
	sockets, site := newBackend(t, "sockets"), newBackend(t, "site")
	p := start(t, web+fill(`
routes:
  site:    {match: {path_prefix: /}, to: "$site"}
  sockets: {match: {path_prefix: /, upgrade: websocket}, to: "$sockets"}
`, map[string]string{"sockets": sockets.url("ws"), "site": site.url("http")}))

	if got := get(t, p.http("/any/where")).body; got != "site GET /any/where" {
		t.Errorf("GET: %q, wanted the site's answer", got)
	}
	for _, tt := range []struct{ connection, upgrade string }{
		{"Upgrade", "websocket"},
		{"upgrade", "WebSocket"},
		{"UPGRADE", "WEBSOCKET"},
		{"keep-alive, Upgrade", "websocket"},
		{"Upgrade,keep-alive", "websocket"},
		{"keep-alive ,\tupgrade", "websocket"},
	} {
		t.Run(tt.connection+" "+tt.upgrade, func(t *testing.T) {
			before := len(sockets.requests())
			asking := proxytest.Handshake{Target: "/any/where", Change: map[string]string{"Connection": tt.connection, "Upgrade": tt.upgrade}}
			got := ask(t, connect(t, p), asking.String())
			if upgrade := got.header.Get("Upgrade"); got.status != 101 || !strings.EqualFold(upgrade, "websocket") {
				t.Fatalf("%d %q, Upgrade %q, wanted 101 and websocket", got.status, got.body, upgrade)
			}
			if got := len(sockets.requests()); got != before+1 {
				t.Errorf("the sockets' backend was asked %d times, wanted once", got-before)
			}
			if asked := sockets.last(t).RequestURI; asked != "/any/where" {
				t.Errorf("it was asked for %q, wanted /any/where", asked)
			}
		})
	}
}

// TestTwoConnectionLines: the tokens may come in lines of their own.
func TestTwoConnectionLines(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+`routes: {all: {match: {path_prefix: /}, to: "`+b.url("ws")+`"}}`)
	asking := proxytest.Handshake{Extra: []string{"Connection: keep-alive"}}
	if got := ask(t, connect(t, p), asking.String()); got.status != 101 {
		t.Errorf("%d %q, wanted 101", got.status, got.body)
	}
}
