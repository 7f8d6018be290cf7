package e2e

// Placeholders in values of headers, in redirects and in bodies.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestPlaceholders: the backend gets the values of its request, and the client those of its
// own, whichever way the request goes.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	s := startWays(t, b, nil, `
  headers:
    request:
      set: {X-Client-IP: "{client}", X-Host: "{host}", X-Scheme: "{scheme}", X-Listener: "{listener}", X-User: "{user}", X-Literal: "{{client} $$x {}"}
      add: {X-Id: ["{request_id}", "port {client_port}"]}
    response: {set: {X-Request: "{request_id}", X-From: "{client} {listener}"}}`, `
  room:  {match: {path: "/rooms/{room}"}, to: "pool://direct", headers: {request: {set: {X-Room: "{room}!"}}, response: {set: {X-Room: "$1"}}}}
`)
	for _, w := range s.ways() {
		t.Run(w.name, func(t *testing.T) {
			got := w.ask(t, "/x", "X-User: forged", "X_User: forged", "X-Host: forged")
			asked := b.last(t).Header
			scheme, listener := "http", "web"
			if w.secure() {
				scheme, listener = "https", "secure"
			}
			for name, want := range map[string]string{
				"X-Client-Ip": "127.0.0.1", "X-Host": w.host, "X-Scheme": scheme, "X-Listener": listener, "X-Literal": "{client} $x {}",
			} {
				if asked.Get(name) != want {
					t.Errorf("the backend got %s: %q, wanted %q", name, asked.Get(name), want)
				}
			}
			if ids := asked["X-Id"]; len(ids) != 2 || ids[0] != asked.Get("X-Request-Id") || !strings.HasPrefix(ids[1], "port ") || len(ids[1]) < len("port 1000") {
				t.Errorf("the backend got X-Id: %q", ids)
			}
			if asked["X-User"] != nil || asked["X_user"] != nil {
				t.Errorf("the backend got a user: %v", asked)
			}
			if got.status != w.good() || got.header.Get("X-Request") != asked.Get("X-Request-Id") || got.header.Get("X-From") != "127.0.0.1 "+listener {
				t.Errorf("the client got %d %v", got.status, got.header)
			}
		})
	}
	for _, handshake := range []bool{false, true} {
		text := request("GET /rooms/a%2Db%20c HTTP/1.1", "Host: a.example")
		if handshake {
			text = proxytest.Handshake{Target: "/rooms/a%2Db%20c"}.String()
		}
		got := ask(t, connect(t, s.proxy), text)
		if room := b.last(t).Header.Get("X-Room"); room != "a-b%20c!" || got.header.Get("X-Room") != "a-b%20c" {
			t.Errorf("handshake %v: the backend got X-Room: %q, the client %v", handshake, room, got.header)
		}
	}
}

// TestPlaceholdersOfTrustedProxies: what a trusted proxy reports is what they stand for; of
// a client that only it knows there is no port.
func TestPlaceholdersOfTrustedProxies(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+"trusted_proxies: [127.0.0.1]\n"+fill(`
routes:
  all: {to: "ws://$b", headers: {request: {set: {X-Seen: "{client}|{client_port}|{host}|{scheme}", X-Port: "{client_port}"}}}}
  moved: {match: {path: /moved}, redirect: {to: "{scheme}://www.{host}/to?from={client}"}}
`, map[string]string{"b": b.authority()}))
	told := []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: Public.Example:8443", "X-Port: 1"}
	ask(t, connect(t, p), proxytest.Handshake{Extra: told}.String())
	if h := b.last(t).Header; h.Get("X-Seen") != "192.0.2.7||public.example|https" || h["X-Port"] != nil {
		t.Errorf("the backend got %v", h)
	}
	got := ask(t, connect(t, p), request(append([]string{"GET /moved?a=b HTTP/1.1", "Host: inner.example"}, told...)...))
	if want := "https://www.public.example/to?from=192.0.2.7&a=b"; got.status != 302 || got.header.Get("Location") != want {
		t.Errorf("%d to %q, wanted %q", got.status, got.header.Get("Location"), want)
	}
}

// TestPlaceholdersInAnswers: the proxy's own answers and the redirect that nearly every
// site has.
func TestPlaceholdersInAnswers(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  secure: {match: {host: shop.example, path_prefix: /}, redirect: {to: "https://{host}/", status: 308}}
  regex:  {match: {host: old.example, path_regex: "^/(.*)$"}, redirect: {to: "https://{host}:8443/$1", status: 301}}
  text:   {match: {path: "/text/{name}"}, respond: {body: "{name} at {host} {{x} $$y\n", headers: {X-Host: "{host}", X-Port: "{client_port}"}}}
  page:   {match: {path: "/page/{name}"}, respond: {body: "<b>{name}</b>", headers: {Content-Type: text/html}}}
`)
	for _, tt := range []struct{ host, target, want string }{
		{"shop.example:8080", "/a/b?x=1&y=%2F", "https://shop.example/a/b?x=1&y=%2F"},
		{"OLD.example", "/a/b?x", "https://old.example:8443/a/b?x"},
	} {
		got := ask(t, connect(t, p), request("GET "+tt.target+" HTTP/1.1", "Host: "+tt.host))
		if got.header.Get("Location") != tt.want {
			t.Errorf("%s%s: %d to %q, wanted %q", tt.host, tt.target, got.status, got.header.Get("Location"), tt.want)
		}
	}
	got := ask(t, connect(t, p), request("GET /text/a'b HTTP/1.1", "Host: a.example"))
	if got.body != "a'b at a.example {x} $y\n" || got.header.Get("X-Host") != "a.example" || got.header.Get("X-Port") == "" {
		t.Errorf("%q, %v", got.body, got.header)
	}
	if got := ask(t, connect(t, p), request("GET /page/a'b&c HTTP/1.1", "Host: a.example")); got.body != "<b>a&#39;b&amp;c</b>" {
		t.Errorf("%q", got.body)
	}
}

// TestPlaceholdersThatMakeNoHost: the client is told nothing that is not so, and the log has
// what the route made of the request.
func TestPlaceholdersThatMakeNoHost(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  room: {match: {path: "/{room}"}, to: "ws://$b", headers: {request: {set: {Host: "{room}.example"}}}}
`, map[string]string{"b": b.authority()}))
	got := ask(t, connect(t, p), request("GET /a@b HTTP/1.1", "Host: a.example"))
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "what the route makes of the request") {
		t.Errorf("%d %q", got.status, got.body)
	}
	if line := p.waitLog("request", fields{"status": 400}); !strings.Contains(line.text("error"), `header Host: "a@b.example"`) {
		t.Errorf("the log has %v", line)
	}
	if asked := b.requests(); len(asked) > 0 {
		t.Errorf("the backend was asked %v", asked[0].URL)
	}
}

// TestPlaceholdersWithControlBytes: a value that would have a control byte is 400, before
// the backend is asked.
func TestPlaceholdersWithControlBytes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+"trusted_proxies: [127.0.0.1]\n"+fill(`
routes:
  all: {to: "ws://$b", headers: {response: {set: {X-Id: "{request_id}"}}}}
`, map[string]string{"b": b.authority()}))
	for _, text := range []string{
		proxytest.Handshake{Extra: []string{"X-Request-Id: a%0D%0AX-Evil:1"}}.String(),
		request("GET / HTTP/1.1", "Host: a.example", "X-Request-Id: a%00"),
	} {
		if got := ask(t, connect(t, p), text); got.status != http.StatusBadRequest {
			t.Errorf("%q: %d %v", text, got.status, got.header)
		}
	}
	if asked := b.requests(); len(asked) > 0 {
		t.Errorf("the backend was asked %v", asked[0].URL)
	}
}
