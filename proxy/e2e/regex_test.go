package e2e

// A regular expression with a capture:
//
//	ProxyPassMatch "^/(myApp/ws)$" "ws://backend.example.com:9080/$1"

import "testing"

func TestRegex(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  app-socket: {match: {path_regex: "^/(myApp/ws)$"}, to: "$b/$1"}
  room:       {match: {path: "/rooms/{room}/ws"}, to: "$b/r/{room}?from={room}"}
`, map[string]string{"b": b.url("ws")}))

	for _, tt := range []struct{ path, asked string }{
		{"/myApp/ws", "/myApp/ws"},
		{"/myApp/ws?token=a%20b", "/myApp/ws?token=a%20b"},
		{"/rooms/blue/ws", "/r/blue?from=blue"},
		{"/rooms/a%20b/ws?x=1", "/r/a%20b?from=a%20b&x=1"},
	} {
		echo(t, dial(t, p.ws(tt.path)), tt.path)
		if got := b.last(t).RequestURI; got != tt.asked {
			t.Errorf("%s: the backend was asked for %q, wanted %q", tt.path, got, tt.asked)
		}
	}
	for _, path := range []string{"/myApp/ws/", "/myApp/wss", "/x/myApp/ws", "/myapp/ws", "/rooms/a/b/ws", "/rooms//ws"} {
		if got := refused(t, p.ws(path), nil).StatusCode; got != 404 {
			t.Errorf("%s: status %d, wanted 404", path, got)
		}
	}
}
