package e2e

// Clients that go back to the backend that they had: the proxy's own cookie, on
// the 101 and on HTTP answers, and what an application says itself.

import (
	"crypto/tls"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

const ownSticky = `pools: {chat: {sticky: {cookie: TF}, backends: {a: {url: "$a"}, b: {url: "$b"}, c: {url: "$c"}}}}`

// cookieIn is the one cookie that an answer sets, as a client sends it back; ""
// if it sets none.
func cookieIn(t testing.TB, h http.Header) string {
	t.Helper()
	lines := h["Set-Cookie"]
	if len(lines) > 1 {
		t.Fatalf("cookies %q, wanted one at most", lines)
	}
	if len(lines) == 0 {
		return ""
	}
	pair, _, _ := strings.Cut(lines[0], ";")
	return pair
}

func cookies(values ...string) http.Header { return http.Header{"Cookie": values} }

// getWith is get with a header.
func getWith(t testing.TB, url string, h http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, h)
	return do(t, r)
}

// answeredBy is the backend whose plain answer that is.
func answeredBy(r reply) string { name, _, _ := strings.Cut(r.body, " "); return name }

// tunnelWith opens a tunnel with these cookies and says where it leads.
func tunnelWith(t testing.TB, url string, h http.Header) (backend string, answer *http.Response) {
	t.Helper()
	conn, answer := dialWith(t, url, websocket.Dialer{}, h)
	return who(t, conn), answer
}

func TestStickyCookie(t *testing.T) {
	t.Parallel()
	p, backends := three(t, ownSticky)
	for range 6 {
		first, answer := tunnelWith(t, p.ws("/chat/"), nil)
		cookie := cookieIn(t, answer.Header)
		if !strings.HasPrefix(cookie, "TF=") {
			t.Fatalf("the 101 sets %q, wanted the cookie TF", answer.Header["Set-Cookie"])
		}
		if line := answer.Header.Get("Set-Cookie"); !strings.HasSuffix(line, "; Path=/; HttpOnly; SameSite=Lax") {
			t.Errorf("the 101 sets %q", line)
		}
		for name, b := range backends {
			host, port, _ := strings.Cut(b.authority(), ":")
			if strings.Contains(cookie, host) || strings.Contains(cookie, port) || strings.TrimPrefix(cookie, "TF=") == name {
				t.Errorf("the cookie %q shows where backend %s is", cookie, name)
			}
		}
		for range 3 {
			again, answer := tunnelWith(t, p.ws("/chat/"), cookies("x=y; "+cookie))
			page := getWith(t, p.http("/chat/page"), cookies(cookie+"; x=y"))
			if again != first || answeredBy(page) != first {
				t.Fatalf("the tunnel leads to %s, the page is of %s, wanted %s", again, answeredBy(page), first)
			}
			if cookieIn(t, answer.Header) != "" || cookieIn(t, page.header) != "" {
				t.Error("the cookie is set again though the client has it")
			}
		}
	}
	page := get(t, p.http("/chat/page"))
	cookie := cookieIn(t, page.header)
	if got := getWith(t, p.http("/chat/page"), cookies(cookie)); cookie == "" || answeredBy(got) != answeredBy(page) {
		t.Errorf("%q of %s leads to %s", cookie, answeredBy(page), answeredBy(got))
	}
}

// TestStickyForged: values that the proxy has not made bind to no backend, and are
// replaced.
func TestStickyForged(t *testing.T) {
	t.Parallel()
	p, backends := three(t, ownSticky)
	for _, value := range []string{"", "a", "AAAAAAAAAAAAAAAAAAAAAA", backends["a"].authority(), "ws://" + backends["a"].authority(), "127.0.0.1:22", strings.Repeat("x", 4000)} {
		_, answer := tunnelWith(t, p.ws("/chat/"), cookies("TF="+value))
		if got := cookieIn(t, answer.Header); got == "" || got == "TF="+value {
			t.Errorf("value %.40q: the 101 sets %q, wanted a cookie of the proxy's", value, got)
		}
	}
}

// TestStickyRefusedHandshake: an answer that is no 101 is an HTTP answer like any
// other, and carries the cookie.
func TestStickyRefusedHandshake(t *testing.T) {
	t.Parallel()
	forbidden := proxytest.NewRawBackend(t, proxytest.Answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: app=1\r\n\r\nno"))
	p := start(t, web+fill(`pools: {chat: {sticky: {cookie: TF}, backends: {a: {url: "$a"}}}}
routes: {chat: {match: {path_prefix: /}, to: "pool://chat/", headers: {response: {remove: [Set-Cookie]}}}}
`, map[string]string{"a": "ws://" + forbidden.Addr}))
	got := refused(t, p.ws("/chat/"), nil)
	if got.StatusCode != 403 || !strings.HasPrefix(cookieIn(t, got.Header), "TF=") {
		t.Errorf("%d with %q, wanted 403 with the proxy's cookie alone: the route removes the application's", got.StatusCode, got.Header["Set-Cookie"])
	}
}

// TestStickyOutlivesEdits: keys, weights and other backends may change.
func TestStickyOutlivesEdits(t *testing.T) {
	t.Parallel()
	p, backends := three(t, ownSticky)
	had := map[string]string{}
	for range 6 {
		name, answer := tunnelWith(t, p.ws("/chat/"), nil)
		had[name] = cookieIn(t, answer.Header)
	}
	edited := web + fill(`pools: {chat: {balance: round_robin, sticky: {cookie: TF}, backends: {z: {url: "$a", weight: 5}, b: {url: "$b", tier: 3}}}}
routes:
  chat: {match: {path_prefix: /chat/}, to: "pool://chat/"}
`+statusRoute, map[string]string{"a": backends["a"].url("ws"), "b": backends["b"].url("ws")})
	p.edit(edited)
	for name, cookie := range had {
		got, answer := tunnelWith(t, p.ws("/chat/"), cookies(cookie))
		switch {
		case name != "c" && got != name:
			t.Errorf("after the edit the cookie of %s leads to %s", name, got)
		case name == "c" && (got != "a" || cookieIn(t, answer.Header) == ""):
			t.Errorf("c is gone: its client gets %s and %q, wanted a with a new cookie", got, answer.Header["Set-Cookie"])
		}
	}
}

// TestStickySecret: proxies with one secret know each other's cookies, others do
// not; a changed secret takes effect like any other edit.
func TestStickySecret(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := web + fill(`pools: {chat: {sticky: {cookie: TF, secret: sticky.secret}, backends: {b: {url: "$b"}}}}
routes: {chat: {match: {path_prefix: /}, to: "pool://chat/"}}
`, map[string]string{"b": b.url("ws")})
	serve := func(secret string) *proxy {
		return startFiles(t, map[string]string{routesFile: routes, "sticky.secret": secret}, routesFile)
	}
	one, other, stranger := serve("0123456789abcdef"), serve(" 0123456789abcdef\n"), serve("fedcba9876543210")
	cookie := cookieIn(t, get(t, one.http("/")).header)
	if set := cookieIn(t, getWith(t, other.http("/"), cookies(cookie)).header); set != "" {
		t.Errorf("a proxy with the same secret sets %q, wanted it to know %q", set, cookie)
	}
	if set := cookieIn(t, getWith(t, stranger.http("/"), cookies(cookie)).header); set == "" || set == cookie {
		t.Errorf("a proxy with another secret sets %q, wanted one of its own", set)
	}
	m := one.log.mark()
	one.write("sticky.secret", "fedcba9876543210")
	one.waitLogAfter(m, "routes loaded", nil)
	if set := cookieIn(t, getWith(t, one.http("/"), cookies(cookie)).header); set == "" || set == cookie {
		t.Errorf("after the secret has changed: %q, wanted a new cookie", set)
	}
	m = one.log.mark()
	if err := os.Remove(one.path("sticky.secret")); err != nil {
		t.Fatal(err)
	}
	one.waitLogAfter(m, "routes refused", nil)
	if got := get(t, one.http("/")); got.status != 200 {
		t.Errorf("without its secret: %d, wanted the last good routes", got.status)
	}
}

func TestStickyOverTLS(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	leaf := authority.Issue([]string{"127.0.0.1"})
	b := newBackend(t, "b")
	routes := `version: 1
trusted_proxies: [$trusted]
listeners:
  web: {address: "127.0.0.1:0"}
  secure: {address: "127.0.0.1:0", tls: {certificates: [{certificate: "$cert", key: "$key"}]}}
pools: {chat: {sticky: {cookie: TF}, backends: {b: {url: "$b"}}}}
routes: {chat: {match: {path_prefix: /}, to: "pool://chat/"}}
`
	values := map[string]string{"b": b.url("ws"), "cert": leaf.File, "key": leaf.KeyFile, "trusted": "127.0.0.2"}
	p := start(t, fill(routes, values))
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	_, answer := dialWith(t, "wss://"+p.address("secure")+"/", dialer, nil)
	if line := answer.Header.Get("Set-Cookie"); !strings.Contains(line, "; Secure") {
		t.Errorf("over TLS: %q, wanted Secure", line)
	}
	plain := getWith(t, p.http("/"), http.Header{"X-Forwarded-Proto": {"https"}})
	if line := plain.header.Get("Set-Cookie"); line == "" || strings.Contains(line, "Secure") {
		t.Errorf("without TLS, from a stranger who says that he had it: %q, wanted no Secure", line)
	}
	values["trusted"] = "127.0.0.1"
	p.edit(fill(routes, values))
	for said, want := range map[string]bool{"https": true, "http": false, "": false} {
		line := getWith(t, p.http("/"), http.Header{"X-Forwarded-Proto": {said}}).header.Get("Set-Cookie")
		if line == "" || strings.Contains(line, "Secure") != want {
			t.Errorf("a trusted proxy says %q: %q, wanted Secure to be %v", said, line, want)
		}
	}
}

// TestStickyApplication: the application names the backend; the proxy sets nothing.
func TestStickyApplication(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sticky string
		path   string
		header http.Header
	}{
		"cookie":    {"{app_cookie: JSESSIONID}", "/chat/", cookies("JSESSIONID=5A1B.node2")},
		"separator": {`{app_cookie: JSESSIONID, separator: "!"}`, "/chat/", cookies("JSESSIONID=5A!1B!node2")},
		"header":    {"{header: X-Route}", "/chat/", http.Header{"X-Route": {"node2"}}},
		"query":     {"{query: route}", "/chat/?route=x.node2", http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := three(t, strings.Replace(`pools: {chat: {sticky: $sticky, backends: {a: {url: "$a"}, b: {url: "$b", route: node2}, c: {url: "$c"}}}}`, "$sticky", tt.sticky, 1))
			for range 4 {
				got, answer := tunnelWith(t, p.ws(tt.path), tt.header)
				page := getWith(t, p.http(tt.path), tt.header)
				if got != "b" || answeredBy(page) != "b" {
					t.Errorf("the tunnel leads to %s, the page is of %s, wanted b", got, answeredBy(page))
				}
				if set := append(answer.Header["Set-Cookie"], page.header["Set-Cookie"]...); len(set) > 0 {
					t.Errorf("the proxy sets %q", set)
				}
			}
		})
	}
}

// TestStickyUnavailable: the client's backend is drained, or does not answer.
func TestStickyUnavailable(t *testing.T) {
	t.Parallel()
	const pool = `pools: {chat: {sticky: {cookie: TF, on_unavailable: $then}, backends: {a: {url: "$a"$more}, b: {url: "$b"}, c: {url: "$c"}}}}
`
	for _, then := range []string{"another", "refuse"} {
		for name, spoil := range map[string]func(p *proxy, a *backend, drained string){
			"drained": func(p *proxy, _ *backend, drained string) { p.edit(drained) },
			"refuses": func(_ *proxy, a *backend, _ string) { a.server.Listener.Close() },
		} {
			t.Run(then+"/"+name, func(t *testing.T) {
				values := map[string]string{"then": then, "more": ""}
				p, backends := three(t, fill(pool, values))
				cookie := ""
				for cookie == "" {
					if name, answer := tunnelWith(t, p.ws("/chat/"), nil); name == "a" {
						cookie = cookieIn(t, answer.Header)
					}
				}
				for name, b := range backends {
					values[name] = b.url("ws")
				}
				values["more"] = ", drain: true"
				spoil(p, backends["a"], web+fill(pool, values)+`routes:
  chat: {match: {path_prefix: /chat/}, to: "pool://chat/"}
`+statusRoute)
				if then == "refuse" {
					// From the first on, before its health has noticed anything.
					page := getWith(t, p.http("/chat/"), cookies(cookie))
					got := refused(t, p.ws("/chat/"), cookies(cookie))
					for _, answer := range []reply{page, {status: got.StatusCode, header: got.Header}} {
						if answer.status != 503 || answer.header.Get("Retry-After") == "" {
							t.Errorf("%d with Retry-After %q, wanted 503 that says when to come back", answer.status, answer.header.Get("Retry-After"))
						}
					}
					return
				}
				got, answer := tunnelWith(t, p.ws("/chat/"), cookies(cookie))
				next := cookieIn(t, answer.Header)
				if got == "a" || next == "" || next == cookie {
					t.Fatalf("the tunnel leads to %s, the cookie is %q, wanted another backend and its cookie", got, next)
				}
				if again, _ := tunnelWith(t, p.ws("/chat/"), cookies(next)); again != got {
					t.Errorf("the new cookie leads to %s, wanted %s", again, got)
				}
			})
		}
	}
}

// TestStickyRefusesAtOnce: the first client that a dead backend is bound to is told to come
// back, as the later ones are, however it died and whatever retry says. A client that is not
// bound gets the error.
func TestStickyRefusesAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, web+fill(`
defaults: {timeouts: {handshake: 100ms, response: 100ms}}
pools:
  one:     {sticky: {header: X-Route, on_unavailable: refuse}, health: {passive: {fails: off}}, backends: {a: {url: "ws://$closed"}}}
  two:     {sticky: {header: X-Route, on_unavailable: refuse}, health: {passive: {fails: off}}, backends: {a: {url: "ws://$closed"}, b: {url: "ws://$silent", standby: true}}}
  another: {sticky: {header: X-Route}, health: {passive: {fails: off}}, backends: {a: {url: "ws://$closed"}}}
routes:
  one:      {match: {path: /one}, to: "pool://one"}
  two:      {match: {path: /two}, to: "pool://two"}
  no-retry: {match: {path: /no-retry}, to: "pool://two", retry: {others: 0}}
  another:  {match: {path: /another}, to: "pool://another"}
`, map[string]string{"closed": proxytest.Refused(t), "silent": newWire(t, map[string]script{"/": stall("")}).Addr}))
	for _, tt := range []struct {
		path, route            string
		wantTunnel, wantAnswer int
	}{
		{"/one", "a", 503, 503},
		{"/one", "unknown", 502, 502},
		{"/two", "a", 503, 503},
		{"/two", "b", 503, 504}, // a request that was sent may have been carried out
		{"/no-retry", "a", 503, 503},
		{"/another", "a", 502, 502},
	} {
		for range 2 {
			h := http.Header{"X-Route": {tt.route}}
			tunnel, page := refused(t, p.ws(tt.path), h), getWith(t, p.http(tt.path), h)
			if tunnel.StatusCode != tt.wantTunnel || page.status != tt.wantAnswer {
				t.Errorf("%s of %q: %d, and %d for a page; want %d and %d", tt.path, tt.route, tunnel.StatusCode, page.status, tt.wantTunnel, tt.wantAnswer)
			}
			if (tunnel.Header.Get("Retry-After") != "") != (tt.wantTunnel == 503) {
				t.Errorf("%s of %q: Retry-After %q", tt.path, tt.route, tunnel.Header.Get("Retry-After"))
			}
		}
	}
}
