package e2e

// A prefix to a ws:// and to a wss:// backend:
//
//	ProxyPass "/ws2/"  "ws://echo.example.com/"
//	ProxyPass "/wss2/" "wss://echo.example.com/"

import (
	"strings"
	"testing"
)

func TestPrefix(t *testing.T) {
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
	echo(t, dial(t, p.ws("/insecure/")), "verified by nobody")
}
