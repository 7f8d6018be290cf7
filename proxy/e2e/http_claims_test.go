package e2e

// What a client says about itself reaches no backend, unless it is a trusted
// proxy that says it; and no client can name away a header that others rely on.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// claims are headers by which a backend may be lied to.
var claims = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-By", "X-Forwarded", "Forwarded", "X-Real-IP",
	"Client-Cert", "Client-Cert-Chain", "X-Request-Id",
}

// spellings of a header that some backend reads as that header.
func spellings(name string) []string {
	return []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1), strings.ToUpper(name)}
}

func TestClaimsOfStrangers(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/ws": keep("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")})
	p := start(t, web+fill(`
routes:
  all: {match: {path_prefix: /}, to: "http://$b"}
  off: {match: {path_prefix: /off}, to: "http://$b", forwarded: "off"}
  rfc: {match: {path_prefix: /rfc}, to: "http://$b", forwarded: rfc7239}
`, map[string]string{"b": b.Addr}))

	for _, name := range claims {
		for _, spelling := range spellings(name) {
			for _, text := range []string{
				request("GET /get HTTP/1.1", "Host: a", spelling+": forged"),
				request("GET /off HTTP/1.1", "Host: a", spelling+": forged"),
				request("GET /rfc HTTP/1.1", "Host: a", spelling+": forged", spelling+": forged"),
				request("GET /get HTTP/1.1", "Host: a", "Connection: "+spelling, spelling+": forged"),
				proxytest.Handshake{Target: "/ws", Extra: []string{spelling + ": forged"}}.String(),
			} {
				ask(t, connect(t, p), text)
				if head := b.last(t); strings.Contains(head, "forged") {
					t.Errorf("%s: the backend got %q", spelling, head)
				}
			}
		}
	}
}

// TestClaimsOfTrusted: kept, and our own hop is said behind them.
func TestClaimsOfTrusted(t *testing.T) {
	t.Parallel()
	b := newWire(t, nil)
	p := start(t, web+fill(`
trusted_proxies: [127.0.0.1]
routes:
  all: {match: {path_prefix: /}, to: "http://$b"}
  rfc: {match: {path_prefix: /rfc}, to: "http://$b", forwarded: rfc7239}
`, map[string]string{"b": b.Addr}))
	for _, tt := range []struct{ path, name, sent, want string }{
		{"/", "X-Forwarded-For", "192.0.2.1", "192.0.2.1, 127.0.0.1"},
		{"/", "X-Forwarded-Proto", "https", "https"},
		{"/", "X-Forwarded-Host", "public.example", "public.example"},
		{"/", "X-Forwarded-Port", "443", "443"},
		{"/", "X-Real-IP", "192.0.2.1", "192.0.2.1"},
		{"/", "Forwarded", "for=192.0.2.1", "for=192.0.2.1"},
		{"/", "Client-Cert", ":AAAA:", ":AAAA:"},
		{"/", "X-Request-Id", "of-the-edge", "of-the-edge"},
		{"/rfc", "Forwarded", "for=192.0.2.1", "for=192.0.2.1, for=127.0.0.1;host=a;proto=http"},
		{"/", "X_Forwarded_For", "192.0.2.1", ""}, // an alias, of a peer that is not trusted
		{"/", "X-Request-Id", strings.Repeat("x", 200), ""},
	} {
		for _, text := range []string{
			request("GET "+tt.path+" HTTP/1.1", "Host: a", tt.name+": "+tt.sent),
			request("GET "+tt.path+" HTTP/1.1", "Host: a", tt.name+": "+tt.sent, "Connection: "+tt.name),
		} {
			ask(t, connect(t, p), text)
			got := fieldLines(b.last(t), tt.name)
			if len(tt.sent) == 200 { // too long to be believed: ours stands in its place
				if got == tt.sent || got == "" {
					t.Errorf("%s: the backend got %q, wanted an id of ours", tt.name, got)
				}
			} else if got != tt.want {
				t.Errorf("%s %s: the backend got %q, wanted %q", tt.path, tt.name, got, tt.want)
			}
		}
	}
	p.waitLog("request", fields{"id": "of-the-edge", "path": "/"})
}

// TestForwardedOfTrusted: one truth about the client for routes, limits, logs,
// the backend, cookies and rewritten URLs, in whichever header it comes.
func TestForwardedOfTrusted(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{})
	b.scripts["/moved"] = keep(request("HTTP/1.1 302 Found", "Content-Length: 0", "Location: http://"+b.Addr+"/there"))
	p := start(t, web+fill(`
trusted_proxies: [127.0.0.1]
pools: {p: {sticky: {cookie: TF}, backends: {b: {url: "http://$b"}}}}
routes:
  all:   {match: {path_prefix: /}, to: "pool://p", rewrite_response: true}
  rfc:   {match: {path_prefix: /rfc}, to: "http://$b", forwarded: rfc7239}
  inner: {match: {path: /inner, client: [203.0.113.0/24]}, respond: {body: inner}}
  proxy: {match: {path: /proxy, client: [127.0.0.0/8]}, respond: {body: proxy}}
  echo:  {match: {path: /echo}, to: "internal://echo", limits: {tunnels_per_client: 1}}
`, map[string]string{"b": b.Addr}))
	for name, said := range map[string][]string{
		"Forwarded":   {`Forwarded: for=6.6.6.6, for="203.0.113.9:1234";proto=https;host=public.example`},
		"X-Forwarded": {"X-Forwarded-For: 6.6.6.6, 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example"},
		"both":        {"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Forwarded: for=203.0.113.9;host=public.example"},
	} {
		asked := func(path string) reply {
			m := p.log.mark()
			answer := ask(t, connect(t, p), request(append([]string{"GET " + path + " HTTP/1.1", "Host: a"}, said...)...))
			p.waitLogAfter(m, "request", fields{"path": path, "client": "203.0.113.9"})
			return answer
		}
		if got := asked("/inner"); got.body != "inner" {
			t.Errorf("%s: the route of the client's network answered %d %q", name, got.status, got.body)
		}
		if got := asked("/proxy"); got.body == "proxy" {
			t.Errorf("%s: the request took a route of the proxy's network", name)
		}
		got := asked("/moved")
		if location := got.header.Get("Location"); location != "https://public.example/there" {
			t.Errorf("%s: Location %q", name, location)
		}
		if cookie := got.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "TF=") || !strings.Contains(cookie, "Secure") {
			t.Errorf("%s: Set-Cookie %q, wanted a Secure one", name, cookie)
		}
		head := b.last(t)
		if list := fieldLines(head, "X-Forwarded-For"); !strings.HasSuffix(list, "203.0.113.9, 127.0.0.1") {
			t.Errorf("%s: X-Forwarded-For %q", name, list)
		}
		if ip := fieldLines(head, "X-Real-IP"); ip != "203.0.113.9" {
			t.Errorf("%s: X-Real-IP %q", name, ip)
		}
		if proto, host := fieldLines(head, "X-Forwarded-Proto"), fieldLines(head, "X-Forwarded-Host"); proto != "https" || host != "public.example" {
			t.Errorf("%s: X-Forwarded-Proto %q, -Host %q", name, proto, host)
		}
		asked("/rfc")
		if list := fieldLines(b.last(t), "Forwarded"); !strings.Contains(list, "203.0.113.9") || !strings.HasSuffix(list, ", for=127.0.0.1;host=a;proto=http") {
			t.Errorf("%s: Forwarded %q", name, list)
		}
	}

	one := http.Header{"Forwarded": {"for=203.0.113.9"}}
	first, _ := dialWith(t, p.ws("/echo"), websocket.Dialer{}, one)
	if got := refused(t, p.ws("/echo"), http.Header{"X-Forwarded-For": {"203.0.113.9"}}); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the client's second tunnel was answered with %s", describe(got))
	}
	second, _ := dialWith(t, p.ws("/echo"), websocket.Dialer{}, http.Header{"Forwarded": {"for=203.0.113.10"}})
	echo(t, first, "one")
	echo(t, second, "another")

	two := http.Header{"Forwarded": {"for=203.0.113.11"}, "X-Forwarded-For": {"203.0.113.12"}}
	if got := refused(t, p.ws("/echo"), two); got.StatusCode != http.StatusBadRequest {
		t.Errorf("contradicting headers were answered with %s", describe(got))
	}
	contradiction := request("GET /get HTTP/1.1", "Host: a", "Forwarded: for=203.0.113.9;proto=http", "X-Forwarded-Proto: https")
	if got := ask(t, connect(t, p), contradiction); got.status != http.StatusBadRequest || !strings.Contains(got.body, "contradict") {
		t.Errorf("contradicting headers were answered with %d %q", got.status, got.body)
	}
}

// TestHopByHop: what concerns one connection ends there, both ways, and so does
// what Connection names; but no client can name what a backend decides by.
func TestHopByHop(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/answer": keep(request("HTTP/1.1 200 OK", "Content-Length: 0",
		"Connection: keep-alive, X-Hop, Content-Length, Set-Cookie, Date", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Connection: close",
		"Upgrade: h2,h2c", "Set-Cookie: a=b", "X-End: 1", "Proxy-Authenticate: Basic", "Date: Thu, 01 Jan 1970 00:00:00 GMT"))})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "http://$b", preserve_host: true}}
`, map[string]string{"b": b.Addr}))

	ask(t, connect(t, p), request("POST /a HTTP/1.1", "Host: a", "Content-Length: 0",
		"Connection: close, X-Hop, Host, Content-Length, X-Forwarded-For, Cookie, Authorization, Origin, x-request-id, , \"odd", "Connection: X-Hop-2",
		"X-Hop: 1", "X-Hop-2: 1", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "TE: trailers, deflate",
		"Trailer: X-Sum", "Upgrade: websocket", "HTTP2-Settings: AAAA", "Cookie: c=d", "Authorization: Bearer x", "Origin: https://a.example", "X-End: 1"))
	head := b.last(t)
	for name, want := range map[string]string{
		"X-Hop": "", "X-Hop-2": "", "Keep-Alive": "", "Proxy-Connection": "", "Proxy-Authorization": "", "Upgrade": "", "HTTP2-Settings": "",
		"Connection": "", "TE": "trailers", "Host": "a", "Content-Length": "0", "Cookie": "c=d", "Authorization": "Bearer x", "Origin": "https://a.example",
		"X-Forwarded-For": "127.0.0.1", "X-End": "1",
	} {
		if got := fieldLines(head, name); got != want {
			t.Errorf("the backend got %s: %q, wanted %q", name, got, want)
		}
	}

	got := ask(t, connect(t, p), request("GET /answer HTTP/1.1", "Host: a"))
	for name, want := range map[string]string{
		"X-Hop": "", "Keep-Alive": "", "Proxy-Connection": "", "Upgrade": "", "Connection": "", "Proxy-Authenticate": "",
		"Set-Cookie": "a=b", "X-End": "1", "Content-Length": "0",
	} {
		if value := strings.Join(got.header.Values(name), " | "); value != want {
			t.Errorf("the client got %s: %q, wanted %q", name, value, want)
		}
	}
}

// TestExactHead: of a plain request the backend gets this, no more and no less.
func TestExactHead(t *testing.T) {
	t.Parallel()
	b := newWire(t, nil)
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "http://$b"}}
`, map[string]string{"b": b.Addr}))
	ask(t, connect(t, p), request("GET /a?b=c HTTP/1.1", "Host: public.example:8080", "X-a: 1", "Accept: */*", "x-A: 2", "X-Empty:", "X-Space:  in  side  ", "X-Latin: \xe4"))
	head := b.last(t)
	id := proxytest.HeaderValue(head, "X-Request-Id")
	want := request("GET /a?b=c HTTP/1.1", "Host: public.example:8080", "Accept: */*", "X-Empty: ", "X-Forwarded-For: 127.0.0.1",
		"X-Forwarded-Host: public.example:8080", "X-Forwarded-Proto: http", "X-Latin: \xe4", "X-Real-Ip: 127.0.0.1", "X-Request-Id: "+id, "X-Space: in  side", "X-a: 1", "X-a: 2")
	if head != want || id == "" {
		t.Errorf("the backend got\n%q, wanted\n%q", head, want)
	}
	p.waitLog("request", fields{"id": id})

	got := ask(t, connect(t, p), request("GET /b HTTP/1.1", "Host: a"))
	if got.body != "ok" || len(got.header) != 2 || got.header.Get("Date") == "" || got.header.Get("Content-Length") != "2" {
		t.Errorf("the client got %v, wanted a length and a date", http.Header(got.header))
	}
}
