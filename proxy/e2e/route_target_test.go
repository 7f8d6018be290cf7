package e2e

// Every kind of target, and what of the request's path and query reaches it.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestTargets: whatever its scheme, a target takes WebSockets and HTTP, and both
// are asked of it with the same path and query.
func TestTargets(t *testing.T) {
	t.Parallel()
	b, socket := newBackend(t, "b"), newUnixBackend(t, "socket")
	secure, ca := newTLSBackend(t, "secure")
	values := map[string]string{"b": b.authority(), "secure": secure.authority(), "socket": socket.authority(), "ca": ca}
	p := start(t, web+fill(`
defaults: {backend_tls: {ca: $ca}}
pools:
  tcp:    {backends: {one: {url: "ws://$b"}}}
  tls:    {backends: {one: {url: "https://$secure"}}}
  socket: {backends: {one: {url: "unix+ws://$socket"}}}
routes:
  ws:        {match: {path_prefix: /ws/}, to: "ws://$b/in/?q=1"}
  wss:       {match: {path_prefix: /wss/}, to: "wss://$secure/in/?q=1"}
  http:      {match: {path_prefix: /http/}, to: "http://$b/in/?q=1"}
  https:     {match: {path_prefix: /https/}, to: "https://$secure/in/?q=1"}
  unix-ws:   {match: {path_prefix: /unix+ws/}, to: "unix+ws://$socket:/in/?q=1"}
  unix-http: {match: {path_prefix: /unix+http/}, to: "unix+http://$socket:/in/?q=1"}
  pool:      {match: {path_prefix: /pool/}, to: "pool://tcp/in/?q=1"}
  pool-tls:  {match: {path_prefix: /pool-tls/}, to: "pool://tls/in/?q=1"}
  pool-unix: {match: {path_prefix: /pool-unix/}, to: "pool://socket/in/?q=1"}
`, values))

	for kind, target := range map[string]*backend{
		"ws": b, "wss": secure, "http": b, "https": secure, "unix+ws": socket, "unix+http": socket,
		"pool": b, "pool-tls": secure, "pool-unix": socket,
	} {
		t.Run(kind, func(t *testing.T) {
			const asked = "/in/a%20b/?q=1&x=%2F&x="
			if got := who(t, dial(t, p.ws("/"+kind+"/a%20b/?x=%2F&x="))); got != target.name {
				t.Errorf("the tunnel leads to %q, wanted %q", got, target.name)
			}
			if got := target.last(t).RequestURI; got != asked {
				t.Errorf("the backend was asked for a WebSocket at %q, wanted %q", got, asked)
			}
			if got := get(t, p.http("/"+kind+"/a%20b/?x=%2F&x=")); got.status != 200 || got.body != target.name+" GET "+asked {
				t.Errorf("GET: %d %q, wanted the answer of %s to %s", got.status, got.body, target.name, asked)
			}
		})
	}
}

// TestTargetPaths: an exact or regex route takes the target's path as it is, a
// prefix route puts it in the place of what was matched, and without a path in
// the target the request's own is kept.
func TestTargetPaths(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  exact:     {match: {path: /exact}, to: "$b/fixed"}
  exact-own: {match: {path: /exact/own}, to: "$b"}
  regex:     {match: {path_regex: "^/regex/([a-z]+)/([0-9])"}, to: "$b/${2}0/$1/$$"}
  regex-own: {match: {path_regex: "^/regex-own/[0-9]"}, to: "$b"}
  capture:   {match: {path: "/capture/{a}/x/{b}"}, to: "$b/{b}/{a}?b={b}"}
  prefix:    {match: {path_prefix: /prefix}, to: "$b/under"}
  slashed:   {match: {path_prefix: /slashed/}, to: "$b/under"}
  root:      {match: {path_prefix: /root}, to: "$b/"}
  prefix-own: {match: {path_prefix: /prefix-own/}, to: "$b"}
`, map[string]string{"b": b.url("http")}))
	for path, want := range map[string]string{
		"/exact":                     "/fixed",
		"/exact?a=b":                 "/fixed?a=b",
		"/exact/own?a=b":             "/exact/own?a=b",
		"/regex/abc/7":               "/70/abc/$",
		"/regex/abc/7/and/more":      "/70/abc/$",
		"/regex-own/1/more":          "/regex-own/1/more",
		"/capture/1/x/2":             "/2/1?b=2",
		"/capture/a%20b/x/c%3Fd?e=f": "/c%3Fd/a%20b?b=c%3Fd&e=f",
		"/prefix":                    "/under",
		"/prefix/":                   "/under/",
		"/prefix/more":               "/under/more",
		"/slashed/":                  "/under/",
		"/slashed/more":              "/under/more",
		"/root":                      "/",
		"/root/more":                 "/more",
		"/prefix-own/more":           "/prefix-own/more",
		"/prefix/a/../b//c":          "/under/b/c",
	} {
		if got := get(t, p.http(path)); got.body != "b GET "+want {
			t.Errorf("%s: %d %q, wanted %s asked", path, got.status, got.body, want)
		}
	}
}

// TestInternalTargets need no backend.
func TestInternalTargets(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  echo:   {match: {path_prefix: /echo}, to: "internal://echo"}
  status: {match: {path: /status}, to: "internal://status"}
`)
	conn, answer := dialWith(t, p.ws("/echo/any/where"), websocket.Dialer{Subprotocols: []string{"chat.v9"}}, nil)
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "" && got != "chat.v9" {
		t.Errorf("the echo speaks %q, wanted what was offered or nothing", got)
	}
	echo(t, conn, "no backend anywhere")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.http("/echo"), strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, r); got.status != 200 || !strings.Contains(got.body, "body") {
		t.Errorf("PUT /echo: %d %q", got.status, got.body)
	}
	status := get(t, p.http("/status"))
	if status.header.Get("Content-Type") != "application/json" || !strings.Contains(status.body, `"routes": 2`) {
		t.Errorf("/status: %d %q", status.status, status.body)
	}
	// There is no tunnel to a status, and saying so is no crash.
	if got := refused(t, p.ws("/status"), nil).StatusCode; got < 400 || got > 499 {
		t.Errorf("a WebSocket to /status: %d, wanted a refusal", got)
	}
}

// TestRespondAndRedirect: all that the two may say.
func TestRespondAndRedirect(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  respond:  {match: {path: /respond}, respond: {status: 418, body: "{\"short\": true}\n", headers: {Content-Type: application/json, X-Kettle: "on"}}}
  number:   {match: {path: /number}, respond: {body: 7}}
  empty:    {match: {path: /empty}, respond: {status: 204}}
  page:     {match: {path: "/page/{n}"}, redirect: {to: "https://www.example.com/p/{n}?from={n}", status: 308}}
  default:  {match: {path: /default}, redirect: {to: /elsewhere}}
  moved:    {match: {path_prefix: /moved/}, redirect: {to: "/new/", status: 301}}
  secure:   {match: {path_prefix: /secure}, redirect: {scheme: https, status: 308}}
  port:     {match: {path_regex: "^/port/(.*)$"}, redirect: {scheme: https, port: 8443}}
`)
	got := get(t, p.http("/respond"))
	if got.status != 418 || got.body != "{\"short\": true}\n" || got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Kettle") != "on" {
		t.Errorf("/respond: %d %q %v", got.status, got.body, got.header)
	}
	if got := get(t, p.http("/number")); got.status != 200 || got.body != "7" {
		t.Errorf("/number: %d %q", got.status, got.body)
	}
	if got := get(t, p.http("/empty")); got.status != 204 || got.body != "" {
		t.Errorf("/empty: %d %q", got.status, got.body)
	}
	for path, want := range map[string]struct {
		status   int
		location string
	}{
		"/page/7":         {308, "https://www.example.com/p/7?from=7"},
		"/page/a%0d%0ab":  {400, ""}, // never a header of the client's making
		"/default?a=b":    {302, "/elsewhere?a=b"},
		"/moved/x/y":      {301, "/new/x/y"},
		"/secure/a?x=%2F": {308, "https://127.0.0.1/secure/a?x=%2F"},
		"/secure//a/../b": {308, "https://127.0.0.1/secure/b"},
		"/port/a":         {302, "https://127.0.0.1:8443/port/a"},
	} {
		got := get(t, p.http(path))
		if got.status != want.status || got.header.Get("Location") != want.location {
			t.Errorf("%s: %d to %q, wanted %d to %q", path, got.status, got.header.Get("Location"), want.status, want.location)
		}
	}
	for host, want := range map[string]string{
		"Shop.example.com:8080": "https://shop.example.com/secure",
		"[2001:DB8::1]:80":      "https://[2001:db8::1]/secure",
		"":                      "",
	} {
		if got := ask(t, connect(t, p), request("GET /secure HTTP/1.1", "Host: "+host)); got.header.Get("Location") != want {
			t.Errorf("Host %q: %d to %q, wanted %q", host, got.status, got.header.Get("Location"), want)
		}
	}
	// HEAD has the head alone, and the connection goes on.
	client := connect(t, p)
	head := ask(t, client, request("HEAD /respond HTTP/1.1", "Host: a"))
	if head.status != 418 || head.header.Get("Content-Length") != "16" {
		t.Errorf("HEAD: %d, Content-Length %q, wanted 418 and 16", head.status, head.header.Get("Content-Length"))
	}
	if got := ask(t, client, request("GET /number HTTP/1.1", "Host: a", "Connection: close")); got.body != "7" {
		t.Errorf("behind the HEAD: %d %q", got.status, got.body)
	}
	if rest := client.Rest(); rest != "" {
		t.Errorf("%q behind the answers", rest)
	}
}

// newUnixBackend is newBackend on a unix socket; its authority is the path.
func newUnixBackend(t testing.TB, name string) *backend {
	t.Helper()
	b := &backend{name: name}
	t.Cleanup(b.running.Wait)
	b.server = proxytest.ServeUnix(t, b)
	return b
}
