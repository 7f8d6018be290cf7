package e2e

// rewrite_response: a backend's Location and Set-Cookie made public, as Apache's
// ProxyPassReverse, ProxyPassReverseCookiePath and ProxyPassReverseCookieDomain do.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestRewriteResponse is ProxyPassReverse and its two for cookies.
func TestRewriteResponse(t *testing.T) {
	t.Parallel()
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

// TestRewriteCookiesOfHandshakes: a cookie that a 101 sets is made public too, however the
// handshake is made; otherwise a browser drops it. The proxy's own cookie stays as it is.
func TestRewriteCookiesOfHandshakes(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/root/": repeat(switching("Set-Cookie: id=1; Path=/root/; Domain=inside.example.com"))})
	p := start(t, web+fill(`
defaults: {rewrite_response: {cookie_path: {/root/: /app/, /: /elsewhere/}, cookie_domain: {inside.example.com: ""}}}
pools:
  direct:  {backends: {b: {url: "ws://$b"}}, sticky: {cookie: TF}}
  waiting: {backends: {b: {url: "ws://$b"}}, sticky: {cookie: TF}, queue: {length: 10, wait: 20s}}
routes:
  loop:   {match: {path_prefix: /app/, host: loop.example}, to: "pool://direct/root/"}
  kept:   {match: {path_prefix: /app/, host: kept.example}, to: "pool://direct/root/"}
  wait:   {match: {path_prefix: /app/, host: wait.example}, to: "pool://waiting/root/"}
  redial: {match: {path_prefix: /app/, host: redial.example}, to: "pool://direct/root/", on_backend_loss: redial}
  greet:  {match: {path: /}, respond: {status: 200, body: ok}}
`, map[string]string{"b": b.Addr}))
	for _, way := range []string{"loop", "kept", "wait", "redial"} {
		client := connect(t, p)
		if way == "kept" {
			ask(t, client, request("GET / HTTP/1.1", "Host: kept.example"))
		}
		got := ask(t, client, proxytest.Handshake{Target: "/app/ws", Host: way + ".example"}.String())
		cookies := got.header["Set-Cookie"]
		if got.status != 101 || len(cookies) != 2 || cookies[0] != "id=1; Path=/app/" || !strings.Contains(cookies[1], "; Path=/; ") {
			t.Errorf("%s: %d with Set-Cookie %q, wanted the application's with the public path and no domain, and the proxy's own", way, got.status, cookies)
		}
	}
}
