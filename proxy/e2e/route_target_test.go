package e2e

// Every kind of target, and what of the request's path and query reaches it.

import (
	"testing"

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

// newUnixBackend is newBackend on a unix socket; its authority is the path.
func newUnixBackend(t testing.TB, name string) *backend {
	t.Helper()
	b := &backend{name: name}
	t.Cleanup(b.running.Wait)
	b.server = proxytest.ServeUnix(t, b)
	return b
}
