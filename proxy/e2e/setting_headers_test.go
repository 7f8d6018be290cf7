package e2e

// Settings about headers, from the file to the wire: towards the backend, back
// to the client, on HTTP answers and on the 101.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestHeaderEdits(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  all:
    match: {path_prefix: /}
    to: "$b"
    headers:
      request:  {remove: [X-Debug], set: {X-Tier: edge}, add: {X-Seen: proxy}}
      response: {remove: [Content-Type], set: {X-Served-By: tunnelform}, add: {X-Extra: "1"}}
`, map[string]string{"b": b.url("ws")}))
	sent := http.Header{"X-Debug": {"on"}, "X-Tier": {"forged"}, "X-Seen": {"client"}}

	check := func(what string, got http.Header) {
		t.Helper()
		if got.Get("X-Served-By") != "tunnelform" || got.Get("X-Extra") != "1" || got.Get("Content-Type") != "" {
			t.Errorf("%s: the client got %v", what, got)
		}
		asked := b.last(t).Header
		if asked.Get("X-Debug") != "" || asked.Get("X-Tier") != "edge" || fmt.Sprint(asked["X-Seen"]) != "[client proxy]" {
			t.Errorf("%s: the backend got %v", what, asked)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.http("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = sent.Clone()
	check("HTTP", do(t, r).header)
	_, answer := dialWith(t, p.ws("/"), websocket.Dialer{}, sent)
	check("101", answer.Header)
}

// TestForwarded: what is said about the client, by mode, and that nobody but a
// trusted proxy may say it.
func TestForwarded(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  x:    {match: {path: /x}, to: "$b"}
  rfc:  {match: {path: /rfc}, to: "$b", forwarded: rfc7239}
  off:  {match: {path: /off}, to: "$b", forwarded: "off"}
  host: {match: {path: /host}, to: "$b", preserve_host: true}
  own:  {match: {path: /own}, to: "$b", preserve_host: false}
`, map[string]string{"b": b.url("http")}))
	forged := []string{"X-Forwarded-For: 192.0.2.9", "X_Forwarded_For: 192.0.2.9", "X-Real-IP: 192.0.2.9", "Forwarded: for=192.0.2.9"}
	ask := func(path string) *http.Request {
		t.Helper()
		lines := append([]string{"GET " + path + " HTTP/1.1", "Host: public.example"}, forged...)
		if got := ask(t, connect(t, p), request(lines...)); got.status != 200 {
			t.Fatalf("%s: %d %q", path, got.status, got.body)
		}
		asked := b.last(t)
		if text := fmt.Sprint(asked.Header); strings.Contains(text, "192.0.2.9") {
			t.Errorf("%s: the backend got what the client forged: %s", path, text)
		}
		return asked
	}
	if h := ask("/x").Header; h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Host") != "public.example" {
		t.Errorf("x: the backend got %v", h)
	}
	if h := ask("/rfc").Header; !strings.Contains(h.Get("Forwarded"), "for=127.0.0.1") || h.Get("X-Forwarded-For") != "" {
		t.Errorf("rfc7239: the backend got %v", h)
	}
	if h := ask("/off").Header; h.Get("Forwarded") != "" || h.Get("X-Forwarded-For") != "" {
		t.Errorf("off: the backend got %v", h)
	}
	if got := ask("/host").Host; got != "public.example" {
		t.Errorf("preserve_host: the backend was asked for host %q", got)
	}
	if got := ask("/own").Host; got != b.authority() {
		t.Errorf("preserve_host: false: the backend was asked for host %q", got)
	}
	if got := ask("/x").Host; got != "public.example" {
		t.Errorf("by default the backend, which has no TLS, was asked for host %q", got)
	}
}

// TestTrustedProxies: a trusted peer's word counts, for the backend and for match.client.
func TestTrustedProxies(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
trusted_proxies: [127.0.0.1]
routes:
  inside: {match: {path_prefix: /, client: [10.0.0.0/8]}, to: "$b/inside/"}
  others: {match: {path_prefix: /}, to: "$b/others/"}
`, map[string]string{"b": b.url("http")}))
	for client, want := range map[string]string{"10.1.2.3": "/inside/", "192.0.2.1": "/others/"} {
		got := ask(t, connect(t, p), request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: "+client))
		if got.body != "b GET "+want {
			t.Errorf("client %s: %d %q, wanted %s", client, got.status, got.body, want)
		}
		if said := b.last(t).Header.Get("X-Forwarded-For"); said != client+", 127.0.0.1" {
			t.Errorf("client %s: the backend got X-Forwarded-For %q", client, said)
		}
	}
}

// TestRewriteResponse is ProxyPassReverse and its two for cookies.
func TestRewriteResponse(t *testing.T) {
	var inside *proxytest.Server
	inside = proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", inside.URL+"/root/next?a=b")
		w.Header().Set("Set-Cookie", "id=1; Path=/root/; Domain=inside.example.com")
		w.WriteHeader(http.StatusFound)
	}))
	p := start(t, web+fill(`
routes:
  app:
    match: {path_prefix: /app/}
    to: "$inside/root/"
    rewrite_response:
      location: true
      cookie_path: {/root/: /app/}
      cookie_domain: {inside.example.com: www.example.com}
  as-is: {match: {path_prefix: /as-is/}, to: "$inside/root/"}
`, map[string]string{"inside": inside.URL}))

	got := get(t, p.http("/app/page"))
	if location := got.header.Get("Location"); location != p.http("/app/next?a=b") {
		t.Errorf("Location %q, wanted the public one", location)
	}
	if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, "Path=/app/") || !strings.Contains(cookie, "Domain=www.example.com") {
		t.Errorf("Set-Cookie %q, wanted the public path and domain", cookie)
	}
	got = get(t, p.http("/as-is/page"))
	if location := got.header.Get("Location"); location != inside.URL+"/root/next?a=b" {
		t.Errorf("without rewriting: Location %q", location)
	}
}

// TestOrigins: by default the same host, else what the list says, and the log
// says what to write.
func TestOrigins(t *testing.T) {
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
