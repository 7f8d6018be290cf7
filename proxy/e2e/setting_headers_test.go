package e2e

// headers: what a route changes in requests and in answers of every kind, its own,
// its backend's, and the 101.

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestHeaderEdits(t *testing.T) {
	t.Parallel()
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

// TestResponseHeaders: every kind of answer of a route is edited, the 101 too.
func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults:
  headers: {response: {set: {X-Frame-Options: DENY}, add: {Vary: [Origin, Cookie]}, remove: [Server, X-Secret]}}
routes:
  backend:  {match: {path: /backend}, to: "$b"}
  echo:     {match: {path: /echo}, to: "internal://echo"}
  respond:  {match: {path: /respond}, respond: {headers: {Vary: Accept, X-Secret: yes-it-is}}}
  redirect: {match: {path: /redirect}, redirect: {to: /respond}}
  none:     {match: {path: /none}, to: "$b", headers: {response: {set: {}, add: {}, remove: []}}}
`, map[string]string{"b": b.url("http")}))
	check := func(what string, h http.Header, more ...string) {
		t.Helper()
		if h.Get("X-Frame-Options") != "DENY" || fmt.Sprint(h["Vary"]) != fmt.Sprint(append(more, "Origin", "Cookie")) || h.Get("X-Secret") != "" {
			t.Errorf("%s: the client got %v", what, h)
		}
	}
	check("HTTP", get(t, p.http("/backend")).header)
	check("respond", get(t, p.http("/respond")).header, "Accept")
	check("redirect", get(t, p.http("/redirect")).header)
	for _, path := range []string{"/backend", "/echo"} {
		_, answer := dialWith(t, p.ws(path), websocket.Dialer{}, nil)
		check("the 101 of "+path, answer.Header)
	}
	if h := get(t, p.http("/none")).header; h.Get("X-Frame-Options") != "" || h.Get("Vary") != "" {
		t.Errorf("cleared: the client got %v", h)
	}
}

// TestRequestHeaders: the backend of a tunnel and of HTTP gets the same edits.
func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  all:
    to: "$b"
    preserve_host: true
    headers: {request: {remove: [Cookie, x-debug], set: {Authorization: "Basic c2VjcmV0", User-Agent: proxy}, add: {X-Hop: [one, two]}}}
`, map[string]string{"b": b.url("http")}))
	sent := []string{"Cookie: a=b", "X-DEBUG: 1", "Authorization: Bearer theirs", "X-Hop: zero"}
	for _, text := range []string{
		request(append([]string{"GET / HTTP/1.1", "Host: public.example:8443"}, sent...)...),
		proxytest.Handshake{Host: "public.example:8443", Extra: sent}.String(),
	} {
		ask(t, connect(t, p), text)
		asked := b.last(t)
		h := asked.Header
		if h.Get("Cookie") != "" || h.Get("X-Debug") != "" || fmt.Sprint(h["Authorization"]) != "[Basic c2VjcmV0]" ||
			h.Get("User-Agent") != "proxy" || fmt.Sprint(h["X-Hop"]) != "[zero one two]" {
			t.Errorf("the backend got %v", h)
		}
		if asked.Host != "public.example:8443" {
			t.Errorf("the backend was asked for host %q", asked.Host)
		}
	}
}
