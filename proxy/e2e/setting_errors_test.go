package e2e

// errors: own bodies for what the proxy answers, and for the backend's errors.

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

const downPage = "<h1>Back soon</h1> {client} $x\n"

// TestErrorAnswers: on every way that a request may go, upgrades included, the client gets
// the body of the file, and all else that the answer says.
func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	s := startWays(t, b, map[string]string{"down.html": downPage}, `
  errors:
    502: {file: down.html}
    404: {body: "nothing at {host} ({request_id})\n"}
    4xx: {body: '{"id": "{request_id}"}', content_type: application/json}
    5xx: {body: "broken"}`, `
  away:   {match: {priority: 1, path: /away}, to: "ws://`+proxytest.Refused(t)+`"}
  closed: {match: {priority: 1, path: /closed}, to: "ws://$b", http_fallback: false, origins: ["https://a.example"]}
  full:   {match: {priority: 1, path: /full}, to: "ws://$b", limits: {tunnels: 1, body_bytes: 1}}
  plain:  {match: {priority: 1, path: /plain}, to: "ws://`+proxytest.Refused(t)+`", errors: {}}
  own:    {match: {priority: 1, path: /own}, to: "ws://`+proxytest.Refused(t)+`", errors: {5xx: {body: "own\n", content_type: text/x-own}}}
`)
	for _, w := range s.ways() {
		t.Run(w.name, func(t *testing.T) {
			got := w.ask(t, "/away", "Accept: application/json")
			if got.status != 502 || got.body != downPage || got.header.Get("Content-Type") != "text/html; charset=utf-8" ||
				got.header.Get("Content-Length") != strconv.Itoa(len(downPage)) || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("away: %d %q %v", got.status, got.body, got.header)
			}
			if got := w.ask(t, "/plain"); got.status != 502 || !strings.HasPrefix(got.body, "502 Bad Gateway: ") {
				t.Errorf("without errors: %d %q", got.status, got.body)
			}
			if got := w.ask(t, "/own"); got.status != 502 || got.body != "own\n" || got.header.Get("Content-Type") != "text/x-own" {
				t.Errorf("the route's own: %d %q %v", got.status, got.body, got.header)
			}
			got = w.ask(t, "/closed", "Origin: https://evil.example")
			status := http.StatusUpgradeRequired
			if w.handshake {
				status = http.StatusForbidden
			}
			id := s.waitLog("request", fields{"path": "/closed", "status": status}).text("id")
			if got.status != status || !strings.HasPrefix(got.body, `{"id": "`) || len(got.body) != len(`{"id": ""}`)+len(id) ||
				got.header.Get("Content-Type") != "application/json" {
				t.Errorf("closed: %d %q %v", got.status, got.body, got.header)
			}
			if status == http.StatusUpgradeRequired && w.name != "HTTP/2" && got.header.Get("Upgrade") != "websocket" {
				t.Errorf("the 426 has lost its Upgrade: %v", got.header)
			}
		})
	}
	// What no route matches has the bodies of the defaults.
	for _, method := range []string{"GET", "HEAD"} {
		got := ask(t, connect(t, s.proxy), request(method+" / HTTP/1.1", "Host: nobody.example"))
		id := s.waitLog("request", fields{"host": "nobody.example", "method": method}).text("id")
		want := "nothing at nobody.example (" + id + ")\n"
		if got.status != 404 || got.header.Get("Content-Length") != strconv.Itoa(len(want)) || got.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
			got.body != map[string]string{"GET": want}[method] {
			t.Errorf("%s: %d %q %v, wanted %q", method, got.status, got.body, got.header, want)
		}
	}
	// The connection stays of use.
	conn := connect(t, s.proxy)
	ask(t, conn, request("GET /away HTTP/1.1", "Host: a"))
	if got := ask(t, conn, request("GET /x HTTP/1.1", "Host: loop.example")); got.status != 200 {
		t.Errorf("the next request: %d", got.status)
	}
}

// TestErrorOverride: the backend's answers of those statuses have the own body, without what
// described theirs; all others are the backend's.
func TestErrorOverride(t *testing.T) {
	t.Parallel()
	const theirs = "Content-Type: text/x-theirs\r\nContent-Encoding: gzip\r\nETag: \"e\"\r\nRetry-After: 7\r\nSet-Cookie: a=b\r\n"
	answers := map[string]script{}
	for path, status := range map[string]string{"/503": "503 Busy", "/500": "500 Oops", "/404": "404 None", "/410": "410 Gone", "/200": "200 OK", "/501": "501 No"} {
		answers[path] = keep("HTTP/1.1 " + status + "\r\n" + theirs + "Content-Length: 6\r\n\r\ntheirs")
	}
	answers["/chunked"] = keep("HTTP/1.1 503 Busy\r\n" + theirs + "Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ntheirs\r\n0\r\nX-T: 1\r\n\r\n")
	answers["/login"] = keep("HTTP/1.1 401 Who\r\nWWW-Authenticate: NTLM\r\n" + theirs + "Content-Length: 6\r\n\r\ntheirs")
	w := newWire(t, answers)
	p := start(t, web+fill(`
routes:
  all:
    to: "ws://$b"
    headers: {response: {set: {X-Edited: "yes"}}}
    errors: {503: {body: "own 503 {listener}"}, 5xx: {body: "own 5xx"}, 404: {body: "own 404"}, 401: {body: "own 401"}, override: [503, "500", 4xx]}
`, map[string]string{"b": w.Addr}))
	for path, want := range map[string]string{
		"/503": "own 503 web", "/500": "own 5xx", "/404": "own 404", "/chunked": "own 503 web",
		"/410": "theirs", "/200": "theirs", "/501": "theirs", "/login": "theirs",
	} {
		for _, text := range []string{
			request("GET "+path+" HTTP/1.1", "Host: a"), request("HEAD "+path+" HTTP/1.1", "Host: a"), proxytest.Handshake{Target: path}.String(),
		} {
			if strings.HasPrefix(text, "HEAD") && path == "/chunked" || strings.HasPrefix(text, "HEAD") && want == "theirs" {
				continue
			}
			got := ask(t, connect(t, p), text)
			body := want
			if strings.HasPrefix(text, "HEAD") {
				body = ""
			}
			h := got.header
			if got.body != body || h.Get("X-Edited") != "yes" || h.Get("Retry-After") != "7" && path != "/login" && path != "/chunked" || h.Get("Set-Cookie") != "a=b" {
				t.Errorf("%.30q: %d %q %v, wanted %q", text, got.status, got.body, h, body)
			}
			own := want != "theirs"
			if own != (h.Get("ETag") == "") || own != (h.Get("Content-Encoding") == "") || own && (h.Get("Content-Length") != strconv.Itoa(len(want)) ||
				h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Trailer") != "") {
				t.Errorf("%.30q: the header is %v", text, h)
			}
		}
	}
}

// TestErrorFiles: the file is read again when it changes; without it the last good one stays.
func TestErrorFiles(t *testing.T) {
	t.Parallel()
	routes := web + `
routes:
  away: {to: "ws://` + proxytest.Refused(t) + `", errors: {5xx: {file: pages/down.html}, 404: {file: pages/none.txt}}}
`
	p := start(t, web+"routes: {}\n")
	if mistakes := p.spoil(routes); len(mistakes) != 2 || mistakes[0].text("line") != "5" {
		t.Errorf("the mistakes are %v, wanted the two files", mistakes)
	}
	m := p.log.mark()
	p.write("pages/none.txt", "")
	p.write("pages/down.html", "first")
	p.waitLogAfter(m, "routes loaded", nil)
	if got := get(t, p.http("/")); got.body != "first" {
		t.Errorf("%d %q", got.status, got.body)
	}
	m = p.log.mark()
	p.write("pages/down.html", strings.Repeat("x", 1<<20))
	p.waitLogAfter(m, "routes loaded", nil)
	if got := get(t, p.http("/")); len(got.body) != 1<<20 {
		t.Errorf("after the change %d bytes", len(got.body))
	}
	m = p.log.mark()
	p.write("pages/down.html", strings.Repeat("y", 1<<20+1))
	p.waitLogAfter(m, "mistake", fields{"line": 5})
	m = p.log.mark()
	if err := os.Remove(p.path("pages/down.html")); err != nil {
		t.Fatal(err)
	}
	p.waitLogAfter(m, "mistake", fields{"line": 5})
	if got := get(t, p.http("/")); !strings.HasPrefix(got.body, "xxx") || len(got.body) != 1<<20 {
		t.Errorf("without the file %d bytes", len(got.body))
	}
}
