package e2e

// origins: which pages may open a tunnel.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestOriginLists(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  default: {match: {path: /default}, to: "internal://echo"}
  same:    {match: {path: /same}, to: "internal://echo", origins: same-host}
  one:     {match: {path: /one}, to: "internal://echo", origins: "https://app.example.com"}
  list:    {match: {path: /list}, to: "internal://echo", origins: ["https://app.example.com", "https://*.example.org:8443", same-host]}
  any:     {match: {path: /any}, to: "internal://echo", origins: any}
  null:    {match: {path: /null}, to: "internal://echo", origins: ["null", same-host]}
  file:    {match: {path: /file}, to: "internal://echo", origins: "file://"}
`)
	for _, tt := range []struct {
		path   string
		origin string // "" is none; "|" separates two lines
		open   bool
	}{
		{"/default", "", true},
		{"/default", "http://www.test", true},
		{"/default", "https://www.test", true}, // by name: TLS may end before the proxy
		{"/default", "https://WWW.test", true},
		{"/default", "https://www.test.evil.example", false},
		{"/default", "https://evil.example", false},
		{"/default", "null", false},
		{"/default", "www.test", false},
		{"/default", "http://www.test|http://www.test", false},
		{"/same", "http://www.test", true},
		{"/same", "http://test", false},
		{"/one", "", true},
		{"/one", "https://app.example.com", true},
		{"/one", "https://app.example.com:443", true},
		{"/one", "https://app.example.com:8443", false},
		{"/one", "http://app.example.com", false},
		{"/one", "https://www.test", false},
		{"/one", "null", false},
		{"/one", "https://app.example.com|https://evil.example", false},
		{"/list", "https://app.example.com", true},
		{"/list", "https://a.example.org:8443", true},
		{"/list", "https://a.b.example.org:8443", true},
		{"/list", "https://example.org:8443", false},
		{"/list", "https://a.example.org", false},
		{"/list", "http://www.test", true},
		{"/any", "", true},
		{"/any", "https://evil.example", true},
		{"/any", "null", true},
		{"/null", "null", true},
		{"/null", "http://www.test", true},
		{"/null", "file://", false},
		{"/null", "https://evil.example", false},
		{"/file", "file://", true},
		{"/file", "null", false},
		{"/file", "http://www.test", false},
	} {
		asking := proxytest.Handshake{Target: tt.path, Host: "www.test"}
		if tt.origin != "" {
			for _, origin := range strings.Split(tt.origin, "|") {
				asking.Extra = append(asking.Extra, "Origin: "+origin)
			}
		}
		want := 403
		if tt.open {
			want = 101
		}
		if got := ask(t, connect(t, p), asking.String()); got.status != want {
			t.Errorf("%s with Origin %q: %d %q, wanted %d", tt.path, tt.origin, got.status, got.body, want)
		}
	}
	// HTTP is no tunnel: which pages may read an answer is for CORS to say.
	if got := ask(t, connect(t, p), request("GET /default HTTP/1.1", "Host: www.test", "Origin: https://evil.example")); got.status != 200 {
		t.Errorf("a GET from elsewhere: %d %q", got.status, got.body)
	}
}

// TestOriginsBehindProxy: same-host means the host that the client asked for, which a
// trusted proxy tells. It is what an edit judges the open tunnel by, too.
func TestOriginsBehindProxy(t *testing.T) {
	t.Parallel()
	const routes = `
routes: {chat: {match: {path_prefix: /}, to: "internal://echo", drain: {window: 0}}}
`
	inside := proxytest.Handshake{Host: "inside:9000", Extra: []string{"Origin: https://app.example.com", "X-Forwarded-Host: app.example.com"}}
	trusting := start(t, web+"trusted_proxies: 127.0.0.1\n"+routes)
	client := connect(t, trusting)
	mustSwitch(t, client, inside.String())
	if line := trusting.edit(web + "trusted_proxies: 127.0.0.1\n" + routes + "defaults: {strict: true}\n"); line.text("tunnels_kept") != "1" {
		t.Errorf("%s tunnels are kept after an edit, wanted the one", line.text("tunnels_kept"))
	}
	for name, asking := range map[string]proxytest.Handshake{
		"the inner name": {Host: "inside:9000", Extra: []string{"Origin: http://inside:9000", "X-Forwarded-Host: app.example.com"}},
		"another":        {Host: "inside:9000", Extra: []string{"Origin: https://evil.example", "X-Forwarded-Host: app.example.com"}},
	} {
		if got := ask(t, connect(t, trusting), asking.String()); got.status != 403 {
			t.Errorf("%s: %d, wanted 403", name, got.status)
		}
	}
	if got := ask(t, connect(t, start(t, web+routes)), inside.String()); got.status != 403 {
		t.Errorf("a stranger's X-Forwarded-Host: %d, wanted 403", got.status)
	}
}

// TestOriginHint: the log says what to write, and what it says is right.
func TestOriginHint(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"https://app.example.com", "null", "file://"} {
		t.Run(slug(origin), func(t *testing.T) { checkOriginHint(t, origin) })
	}
}

func checkOriginHint(t *testing.T, origin string) {
	routes := func(origins string) string {
		return web + fmt.Sprintf("routes: {chat: {to: \"internal://echo\", origins: %s}}\n", origins)
	}
	p := start(t, routes("same-host"))
	asking := proxytest.Handshake{Extra: []string{"Origin: " + origin}}.String()
	got := ask(t, connect(t, p), asking)
	if got.status != 403 || strings.Contains(got.body, "origins") {
		t.Errorf("%d %q, wanted 403 and no word of the routes file to a stranger", got.status, got.body)
	}
	told := p.waitLog("request", fields{"route": "chat", "status": 403}).text("error")
	_, hint, found := strings.Cut(told, "origins: ")
	if !found {
		t.Fatalf("logged %q, wanted what to write", told)
	}
	end := strings.IndexAny(hint, "]")
	if end < 0 {
		t.Fatalf("logged %q, wanted a list to write", told)
	}
	p.edit(routes(hint[:end+1]))
	if got := ask(t, connect(t, p), asking); got.status != 101 {
		t.Errorf("with origins: %s as the log said: %d %q", hint[:end+1], got.status, got.body)
	}
}

// TestOrigins: by default the same host, else what the list says, and the log
// says what to write.
func TestOrigins(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  same: {match: {path: /same}, to: "internal://echo"}
  list: {match: {path: /list}, to: "internal://echo", origins: ["https://app.example.com", "https://*.example.org"]}
  any:  {match: {path: /any}, to: "internal://echo", origins: any}
`)
	same := "http://" + p.address("web")
	for _, tt := range []struct {
		path, origin string
		open         bool
	}{
		{"/same", same, true},
		{"/same", "https://evil.example", false},
		{"/same", "null", false},
		{"/list", "https://app.example.com", true},
		{"/list", "https://a.example.org", true},
		{"/list", "http://app.example.com", false},
		{"/list", same, false},
		{"/list", "null", false},
		{"/any", "https://evil.example", true},
	} {
		header := http.Header{"Origin": {tt.origin}}
		if tt.open {
			conn, _ := dialWith(t, p.ws(tt.path), websocket.Dialer{}, header)
			echo(t, conn, tt.origin)
			continue
		}
		if got := refused(t, p.ws(tt.path), header).StatusCode; got != 403 {
			t.Errorf("%s with Origin %q: %d, wanted 403", tt.path, tt.origin, got)
		}
	}
	if entry := p.waitLog("request", fields{"path": "/same", "status": 403}); !strings.Contains(entry.text("error"), "https://evil.example") {
		t.Errorf("logged error %q, wanted the Origin and what to write", entry.text("error"))
	}
}
