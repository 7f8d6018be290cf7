package e2e

// What a route does to the headers of its answers: its own, its backend's, the
// 101; and the short ways to say it.

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

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

// TestRewriteShort: rewrite_response: true is the location alone, false is
// nothing, whatever the defaults say; an empty domain drops the attribute.
func TestRewriteShort(t *testing.T) {
	t.Parallel()
	var inside *proxytest.Server
	inside = proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", inside.URL+"/root/next")
		w.Header().Add("Set-Cookie", "id=1; Path=/root/; Domain=inside.example.com; HttpOnly")
		w.Header().Add("Set-Cookie", "other=1; Path=/elsewhere; Domain=other.example.com")
		w.WriteHeader(http.StatusSeeOther)
	}))
	p := start(t, web+fill(`
defaults: {rewrite_response: {location: true, cookie_path: {/root/: /}, cookie_domain: {inside.example.com: ""}}}
routes:
  defaults: {match: {path_prefix: /defaults/}, to: "$inside/root/"}
  on:       {match: {path_prefix: /on/}, to: "$inside/root/", rewrite_response: true}
  off:      {match: {path_prefix: /off/}, to: "$inside/root/", rewrite_response: false}
  domain:   {match: {path_prefix: /domain/}, to: "$inside/root/", rewrite_response: {location: false, cookie_domain: {other.example.com: www.example.com}}}
`, map[string]string{"inside": inside.URL}))
	for route, want := range map[string]struct {
		location string
		cookies  []string
	}{
		"defaults": {p.http("/defaults/next"), []string{"id=1; Path=/; HttpOnly", "other=1; Path=/elsewhere; Domain=other.example.com"}},
		"on":       {p.http("/on/next"), []string{"id=1; Path=/; HttpOnly", "other=1; Path=/elsewhere; Domain=other.example.com"}},
		"off":      {inside.URL + "/root/next", []string{"id=1; Path=/root/; Domain=inside.example.com; HttpOnly", "other=1; Path=/elsewhere; Domain=other.example.com"}},
		"domain":   {inside.URL + "/root/next", []string{"id=1; Path=/; Domain=inside.example.com; HttpOnly", "other=1; Path=/elsewhere; Domain=www.example.com"}},
	} {
		got := get(t, p.http("/"+route+"/page"))
		if location := got.header.Get("Location"); location != want.location {
			t.Errorf("%s: Location %q, wanted %q", route, location, want.location)
		}
		if cookies := got.header["Set-Cookie"]; fmt.Sprint(cookies) != fmt.Sprint(want.cookies) {
			t.Errorf("%s: Set-Cookie %q, wanted %q", route, cookies, want.cookies)
		}
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
