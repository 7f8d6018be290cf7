package e2e

// One reading of a path: what the backend gets is exactly what was matched.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestPaths: raw target in, raw target out. The route's name is in the answer's
// target, so that both the match and what was forwarded are seen at once.
func TestPaths(t *testing.T) {
	t.Parallel()
	mirror := proxytest.Mirror(t)
	p := start(t, web+fill(`
routes:
  ws:     {match: {path_prefix: /ws}, to: "http://$mirror"}
  secret: {match: {path_prefix: /secret}, respond: {status: 403}}
  prefix: {match: {path_prefix: /old/}, to: "http://$mirror/new/"}
  rest:   {match: {path_prefix: /}, to: "http://$mirror"}
`, map[string]string{"mirror": mirror.Addr}))

	for _, tt := range []struct {
		target string
		want   string // what the backend gets; "" when nothing
		status int
	}{
		{"/ws/a", "/ws/a", 200},
		{"/ws?", "/ws?", 200},
		{"/ws??", "/ws??", 200},
		{"/old/?", "/new/?", 200},
		{"http://a?", "/?", 200},
		{"/ws?a=b&a=%2f%00;x", "/ws?a=b&a=%2f%00;x", 200},
		{"/ws?a=/../b", "/ws?a=/../b", 200},
		{"//ws//a", "/ws/a", 200},
		{"/./ws/./a", "/ws/a", 200},
		{"/x/../ws/a", "/ws/a", 200},
		{"/ws/a/..", "/ws/", 200},
		{"/ws/a/.", "/ws/a/", 200},
		{"/../../ws", "/ws", 200},
		{"/%77%73/%61", "/ws/a", 200},
		{"/ws/%7Ea%2Da", "/ws/~a-a", 200},
		{"/ws/%e2%82%ac", "/ws/%E2%82%AC", 200},
		{"/ws/%20%3a%3F", "/ws/%20%3A%3F", 200},
		{"/ws/a|b{c}\"<>^`", "/ws/a%7Cb%7Bc%7D%22%3C%3E%5E%60", 200},
		{"/ws/%252e%252e/x", "/ws/%252e%252e/x", 200}, // decoded once, not twice
		{"/ws/%252F", "/ws/%252F", 200},
		{"/ws/...", "/ws/...", 200},
		{"/ws/.a", "/ws/.a", 200},
		{"/ws/a;b=c", "/ws/a;b=c", 200},
		{"/old/a%20b?q", "/new/a%20b?q", 200},
		{"/old/../old/./a", "/new/a", 200},
		{"http://a/ws/./b?q", "/ws/b?q", 200},
		{"http://a", "/", 200},
		{"http://a?q", "/?q", 200},
		{"/WS", "/WS", 200},

		// Every way to /secret is a way to its route.
		{"/ws/../secret", "", 403},
		{"/ws/%2e%2e/secret", "", 403},
		{"/ws/.%2E/secret", "", 403},
		{"/ws//../secret", "", 403}, // slashes are merged before dots are resolved
		{"/ws/./../secret", "", 403},
		{"/ws/a/../../secret", "", 403},
		{"//secret", "", 403},
		{"/%73ecret", "", 403},
		{"/.//secret", "", 403},
		{"http://a/ws/../secret", "", 403},

		{"/ws/%2fa", "", 400},
		{"/ws%2Fa", "", 400},
		{"/ws/..%2fsecret", "", 400},
		{"/ws/%5ca", "", 400},
		{"/ws/..%5Csecret", "", 400},
		{"/ws/..\\secret", "", 400},
		{"/ws\\a", "", 400},
		{"/ws/%00", "", 400},
		{"/ws/a%00.html", "", 400},
		{"/ws/%0d%0aX:%20y", "", 400},
		{"/ws/%0a", "", 400},
		{"/ws/%1f", "", 400},
		{"/ws/%7f", "", 400},
		{"/ws/..;/secret", "", 400},
		{"/ws/..;a=b/secret", "", 400},
		{"/ws/.;/secret", "", 400},
		{"/ws/%2e%2e;/secret", "", 400},
		{"/ws/..%3b/secret", "", 400},
	} {
		for _, upgrade := range []bool{false, true} {
			if upgrade && tt.status == 200 {
				continue // the mirror speaks no WebSocket
			}
			got := ask(t, connect(t, p), pathRequest(tt.target, upgrade))
			if got.status != tt.status {
				t.Errorf("%s: %d %q, wanted %d", tt.target, got.status, got.body, tt.status)
			} else if got.status == 200 {
				if seen := decodeSeen(t, got); seen.Target != tt.want {
					t.Errorf("%s: the backend got %s, wanted %s", tt.target, seen.Target, tt.want)
				}
			}
		}
	}
}

// pathRequest is a GET or a handshake of a raw target.
func pathRequest(target string, upgrade bool) string {
	if upgrade {
		return proxytest.Handshake{Target: target, Host: "a"}.String()
	}
	return request("GET "+target+" HTTP/1.1", "Host: a")
}

// TestCaptures: what a client puts into a capture stays within its place, in
// requests and in handshakes, which the proxy writes by different code.
func TestCaptures(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/ws": repeat(switching())})
	p := start(t, web+fill(`
routes:
  regex: {match: {path_regex: "^/regex/(.*)$"}, to: "http://$b/r/$1/end?q=$1"}
  name:  {match: {path: "/name/{name}"}, to: "http://$b/n/{name}?n={name}"}
  ws:    {match: {path: "/ws/{name}"}, to: "ws://$b/ws/{name}?n={name}"}
  prefix: {match: {path_prefix: /prefix}, to: "http://$b/p"}
  moved: {match: {path: "/moved/{name}"}, redirect: {to: "https://www.example/{name}?n={name}"}}
`, map[string]string{"b": b.Addr}))

	for _, tt := range []struct{ target, want string }{ // want: the request line's target, "" for 400
		{"/regex/a", "/r/a/end?q=a"},
		{"/regex/a/b", "/r/a/b/end?q=a/b"},
		{"/regex/a%20b", "/r/a%20b/end?q=a%20b"},
		{"/regex/a&b=c", "/r/a&b=c/end?q=a%26b%3Dc"},
		{"/regex/a%26b", "/r/a%26b/end?q=a%26b"},
		{"/regex/a%3Fb", "/r/a%3Fb/end?q=a%3Fb"},
		{"/regex/a%23b", "/r/a%23b/end?q=a%23b"},
		{"/regex/%0d%0aHost:%20evil", ""},
		{"/regex/%0D%0A%0D%0AGET%20/secret", ""},
		{"/regex/%00", ""},
		{"/regex/%C0%80", "/r/%C0%80/end?q=%C0%80"},
		{"/name/a", "/n/a?n=a"},
		{"/name/a?x=y", "/n/a?n=a&x=y"},
		{"/name/a%2Fb", ""},
		{"/name/a%5Cb", ""},
		{"/name/a%0d%0ab", ""},
		{"/name/a%00", ""},
		{"/name/%E2%82%AC", "/n/%E2%82%AC?n=%E2%82%AC"},
		{"/name/a;b", "/n/a;b?n=a%3Bb"},
		{"/name/a+b", "/n/a+b?n=a%2Bb"},
		{"/ws/a", "/ws/a?n=a"},
		{"/ws/a%20HTTP", "/ws/a%20HTTP?n=a%20HTTP"},
		{"/ws/a%0d%0aX:%20y", ""},
		{"/ws/a%00", ""},
		{"/prefix/a%20b", "/p/a%20b"},
		{"/prefix/%0d%0a", ""},
	} {
		got := ask(t, connect(t, p), pathRequest(tt.target, strings.HasPrefix(tt.target, "/ws/")))
		if tt.want == "" {
			if got.status != 400 {
				t.Errorf("%s: %d %q, wanted 400", tt.target, got.status, got.body)
			}
			continue
		}
		if line, _, _ := strings.Cut(b.last(t), "\r\n"); line != "GET "+tt.want+" HTTP/1.1" {
			t.Errorf("%s: the backend was asked %q, wanted target %s", tt.target, line, tt.want)
		}
	}
	for target, want := range map[string]string{
		"/moved/a%20b": "https://www.example/a%20b?n=a%20b", "/moved/%0d%0aSet-Cookie:%20a=b": "",
	} {
		if got := ask(t, connect(t, p), pathRequest(target, false)); got.header.Get("Location") != want {
			t.Errorf("%s: %d to %q, wanted %q", target, got.status, got.header.Get("Location"), want)
		}
	}
	if got := b.got(); strings.Contains(got, "secret") || strings.Contains(got, "evil") {
		t.Errorf("a header or request of the client's making: %q", got)
	}
}
