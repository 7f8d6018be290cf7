package e2e

// Any answer but a 101 leaves the connection HTTP: it is relayed as it is, and
// the next request is routed from scratch, to another route too.

import (
	"slices"
	"testing"
)

// relayed are answers by a backend, and what the client gets of them.
var relayed = map[string]struct {
	answer script
	want   reply
}{
	"200":     {keep("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: page\r\n\r\nhello"), reply{200, map[string][]string{"X-Kind": {"page"}}, "hello"}},
	"302":     {keep("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"), reply{302, map[string][]string{"Location": {"/login"}}, ""}},
	"403":     {keep("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\n\r\nno"), reply{403, map[string][]string{"Set-Cookie": {"a=1", "b=2; Path=/"}}, "no"}},
	"426":     {keep("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13, 8\r\nContent-Length: 0\r\n\r\n"), reply{426, map[string][]string{"Sec-Websocket-Version": {"13, 8"}}, ""}},
	"401":     {keep("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"), reply{401, map[string][]string{"Www-Authenticate": {`Basic realm="x"`}}, ""}},
	"500":     {keep("HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nsad"), reply{500, nil, "sad"}},
	"204":     {keep("HTTP/1.1 204 No Content\r\n\r\n"), reply{204, nil, ""}},
	"304":     {keep("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"), reply{304, map[string][]string{"Etag": {`"x"`}}, ""}},
	"chunked": {keep("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), reply{403, nil, "abcde"}},
	"to EOF":  {say("HTTP/1.1 403 No\r\n\r\nuntil the end"), reply{403, nil, "until the end"}},
	"1.0":     {say("HTTP/1.0 403 No\r\n\r\nold"), reply{403, nil, "old"}},
	"closing": {say("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"), reply{503, nil, "no"}},
	"interim": {keep("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"), reply{403, nil, "no"}},
	// What comes behind the answer is dropped: it is not the client's next answer.
	"and more": {keep("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno" + ok), reply{403, nil, "no"}},
	"and 101":  {keep("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno" + switching()), reply{403, nil, "no"}},
}

func TestRefusalIsRelayed(t *testing.T) {
	t.Parallel()
	scripts := map[string]script{}
	for name, tt := range relayed {
		scripts["/ws/"+slug(name)] = tt.answer
	}
	b, other := newWire(t, scripts), newBackend(t, "other")
	p := start(t, web+fill(`
routes:
  socket: {match: {path_prefix: /ws}, to: "ws://$b"}
  other:  {match: {path_prefix: /other}, to: "$other"}
`, map[string]string{"b": b.Addr, "other": other.url("http")}))

	for name, tt := range relayed {
		t.Run(name, func(t *testing.T) {
			client, path := connect(t, p), "/ws/"+slug(name)
			mustBeReply(t, ask(t, client, offering(path).String()), tt.want)
			p.waitLog("request", fields{"path": path, "status": tt.want.status})

			if got := ask(t, client, request("GET /other HTTP/1.1", "Host: a")); got.body != "other GET /other" {
				t.Errorf("another route on the connection: %d %q", got.status, got.body)
			}
			if got := ask(t, client, request("GET /nowhere HTTP/1.1", "Host: a")); got.status != 404 {
				t.Errorf("no route on the connection: %d %q", got.status, got.body)
			}
		})
	}
	if n := p.countLog("tunnel opened", nil); n != 0 {
		t.Errorf("%d tunnels opened", n)
	}
}

// mustBeReply compares status and body, and of the header what want names.
func mustBeReply(t *testing.T, got, want reply) {
	t.Helper()
	if got.status != want.status || got.body != want.body {
		t.Errorf("%d %q, wanted %d %q", got.status, got.body, want.status, want.body)
	}
	for name, values := range want.header {
		if g := got.header[name]; !slices.Equal(g, values) {
			t.Errorf("%s: %q, wanted %q", name, g, values)
		}
	}
	if connection := got.header.Get("Connection"); connection != "" {
		t.Errorf("Connection: %s, wanted none", connection)
	}
}
