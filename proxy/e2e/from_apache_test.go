package e2e

// The configurations of Apache's mod_proxy_wstunnel documentation, each with the
// routes that do the same: docs/from-apache.md has them side by side.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestPrefix: to a ws:// and to a wss:// backend.
//
//	ProxyPass "/ws2/"  "ws://echo.example.com/"
//	ProxyPass "/wss2/" "wss://echo.example.com/"
func TestPrefix(t *testing.T) {
	t.Parallel()
	plain := newBackend(t, "plain")
	secure, ca := newTLSBackend(t, "secure")
	p := start(t, web+fill(`
routes:
  ws2:  {match: {path_prefix: /ws2/}, to: "$plain/"}
  wss2: {match: {path_prefix: /wss2/}, to: "$secure/", backend_tls: {ca: $ca}}
  deep: {match: {path_prefix: /deep}, to: "$plain/below?fixed=1"}
  bare: {match: {path_prefix: /bare}, to: "$plain"}
`, map[string]string{"plain": plain.url("ws"), "secure": secure.url("wss"), "ca": ca}))

	for _, tt := range []struct {
		path    string
		route   string
		backend *backend
		asked   string // what the backend is asked for
	}{
		{"/ws2/", "ws2", plain, "/"},
		{"/ws2/room/7?a=b&c=%2B", "ws2", plain, "/room/7?a=b&c=%2B"},
		{"/wss2/room", "wss2", secure, "/room"},
		{"/deep", "deep", plain, "/below?fixed=1"},
		{"/deep/er?a=b", "deep", plain, "/below/er?fixed=1&a=b"},
		{"/bare/as/it/is", "bare", plain, "/bare/as/it/is"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			m := p.log.mark()
			conn := dial(t, p.ws(tt.path))
			echo(t, conn, "hello through "+tt.route)
			if got := who(t, conn); got != tt.backend.name {
				t.Errorf("the tunnel leads to %q, wanted %q", got, tt.backend.name)
			}
			asked := tt.backend.last(t)
			if asked.RequestURI != tt.asked {
				t.Errorf("the backend was asked for %q, wanted %q", asked.RequestURI, tt.asked)
			}
			host := p.address("web")
			if tt.backend == secure {
				host = secure.authority()
			}
			if asked.Host != host {
				t.Errorf("the backend was asked for host %q, wanted %q", asked.Host, host)
			}
			opened := p.waitLogAfter(m, "tunnel opened", fields{"route": tt.route})
			path, _, _ := strings.Cut(tt.path, "?")
			if opened.text("path") != path {
				t.Errorf("logged path %q, wanted %q", opened.text("path"), path)
			}
			conn.Close()
			p.waitLogAfter(m, "tunnel closed", fields{"id": opened.text("id"), "route": tt.route})
		})
	}
}

func TestPrefixIsWholeSegments(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  a:  {match: {path_prefix: /a}, to: "$b"}
  ws: {match: {path_prefix: /ws/}, to: "$b"}
`, map[string]string{"b": b.url("ws")}))
	for path, want := range map[string]int{"/a": 200, "/a/b": 200, "/ab": 404, "/ws/": 200, "/ws": 404, "/wsx": 404} {
		if got := get(t, p.http(path)); got.status != want {
			t.Errorf("GET %s: %d, wanted %d", path, got.status, want)
		}
	}
}

// TestWSSIsVerified: without the backend's CA no tunnel opens, and the client is
// told nothing of the backend.
func TestWSSIsVerified(t *testing.T) {
	t.Parallel()
	secure, _ := newTLSBackend(t, "secure")
	p := start(t, web+fill(`
routes:
  wss:      {match: {path_prefix: /wss/}, to: "$secure/"}
  insecure: {match: {path_prefix: /insecure/}, to: "$secure/", backend_tls: {insecure: true}}
`, map[string]string{"secure": secure.url("wss")}))
	answer := refused(t, p.ws("/wss/"), nil)
	if answer.StatusCode != 502 {
		t.Errorf("status %d, wanted 502", answer.StatusCode)
	}
	if text := describe(answer); strings.Contains(text, secure.authority()) {
		t.Errorf("the answer names the backend: %q", text)
	}
	if entry := p.waitLog("request", fields{"route": "wss", "status": 502}); !strings.Contains(entry.text("error"), "certificate") {
		t.Errorf("logged error %q, wanted which check of the certificate failed", entry.text("error"))
	}
	echo(t, dial(t, p.ws("/insecure/")), "not verified")
}

// TestRegex: a regular expression with a capture.
//
//	ProxyPassMatch "^/(myApp/ws)$" "ws://backend.example.com:9080/$1"
func TestRegex(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  app-socket: {match: {path_regex: "^/(myApp/ws)$"}, to: "$b/$1"}
  room:       {match: {path: "/rooms/{room}/ws"}, to: "$b/r/{room}?from={room}"}
`, map[string]string{"b": b.url("ws")}))

	for _, tt := range []struct{ path, asked string }{
		{"/myApp/ws", "/myApp/ws"},
		{"/myApp/ws?token=a%20b", "/myApp/ws?token=a%20b"},
		{"/rooms/blue/ws", "/r/blue?from=blue"},
		{"/rooms/a%20b/ws?x=1", "/r/a%20b?from=a%20b&x=1"},
	} {
		echo(t, dial(t, p.ws(tt.path)), tt.path)
		if got := b.last(t).RequestURI; got != tt.asked {
			t.Errorf("%s: the backend was asked for %q, wanted %q", tt.path, got, tt.asked)
		}
	}
	for _, path := range []string{"/myApp/ws/", "/myApp/wss", "/x/myApp/ws", "/myapp/ws", "/rooms/a/b/ws", "/rooms//ws"} {
		if got := refused(t, p.ws(path), nil).StatusCode; got != 404 {
			t.Errorf("%s: status %d, wanted 404", path, got)
		}
	}
}

// TestSocketsAtKnownURLs: HTTP and WebSockets on one host, to two servers.
//
//	ProxyPassMatch "^/(myApp/ws)$" "ws://backend.example.com:9080/$1"
//	ProxyPass      "/"             "http://backend.example.com:9080/"
func TestSocketsAtKnownURLs(t *testing.T) {
	t.Parallel()
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

// TestSocketsAtUnknownURLs: the same, by what a request asks for.
//
//	RewriteCond %{HTTP:Upgrade} websocket [NC]
//	RewriteCond %{HTTP:Connection} upgrade [NC]
//	RewriteRule "^/?(.*)" "ws://backend.example.com:9080/$1" [P,L]
//	ProxyPass "/" "http://backend.example.com:9080/"
func TestSocketsAtUnknownURLs(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+`routes: {all: {match: {path_prefix: /}, to: "`+b.url("ws")+`"}}`)
	asking := proxytest.Handshake{Extra: []string{"Connection: keep-alive"}}
	if got := ask(t, connect(t, p), asking.String()); got.status != 101 {
		t.Errorf("%d %q, wanted 101", got.status, got.body)
	}
}
