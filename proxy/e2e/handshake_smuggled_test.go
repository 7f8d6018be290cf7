package e2e

// The attack behind CVE-2019-17567: a second request right behind a handshake
// that is refused. Whether the proxy or a backend refuses it, and with what status,
// the second one reaches no backend.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestSmuggledRequest(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{
		"/200":    keep(ok),
		"/302":    keep("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
		"/403":    keep("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"),
		"/426":    keep("HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno"),
		"/eof":    say("HTTP/1.1 403 No\r\n\r\nno"),
		"/502":    say(""),
		"/accept": stall("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"),
		"/504":    stall(""),
	})
	p := start(t, web+fill(`
defaults: {timeouts: {handshake: 50ms}}
pools: {empty: {backends: {a: {url: "ws://$b", drain: true}}}}
routes:
  all:      {match: {path_prefix: /, host: app.example}, to: "ws://$b"}
  upgrades: {match: {path_prefix: /only, host: app.example}, to: "ws://$b", http_fallback: false}
  plain:    {match: {path_prefix: /plain, host: app.example}, to: "http://$b", upgrade: none}
  closed:   {match: {path_prefix: /closed, host: app.example}, to: "ws://$closed"}
  drained:  {match: {path_prefix: /drained, host: app.example}, to: "pool://empty"}
  limited:  {match: {path_prefix: /limited, host: app.example}, to: "ws://$b", limits: {handshakes_per_second: 0.001}}
  own:      {match: {path_prefix: /own, host: app.example}, respond: {status: 200}}
  moved:    {match: {path_prefix: /moved, host: app.example}, redirect: {to: /}}
`, map[string]string{"b": b.Addr, "closed": proxytest.Refused(t)}))
	wsHead := proxytest.Handshake{Host: "app.example", Target: "/limited"}.String()
	ask(t, connect(t, p), wsHead) // takes the one handshake there is

	const secret = "GET /secret HTTP/1.1\r\nHost: app.example\r\n\r\n"
	for name, tt := range map[string]struct {
		handshake proxytest.Handshake
		status    int
	}{
		"200":              {proxytest.Handshake{Target: "/200"}, 200},
		"302":              {proxytest.Handshake{Target: "/302"}, 302},
		"403":              {proxytest.Handshake{Target: "/403"}, 403},
		"403, origin":      {proxytest.Handshake{Target: "/200", Extra: []string{"Origin: https://evil.example"}}, 403},
		"403 until EOF":    {proxytest.Handshake{Target: "/eof"}, 403},
		"426":              {proxytest.Handshake{Target: "/426"}, 426},
		"426, version":     {proxytest.Handshake{Target: "/200", Change: map[string]string{"Sec-WebSocket-Version": "8"}}, 426},
		"426, no fallback": {proxytest.Handshake{Target: "/only", Change: map[string]string{"Upgrade": "x-rtc"}}, 426},
		"400, key":         {proxytest.Handshake{Target: "/200", Change: map[string]string{"Sec-WebSocket-Key": "short"}}, 400},
		"400, path":        {proxytest.Handshake{Target: "/a%2Fb"}, 400},
		"404":              {proxytest.Handshake{Target: "/200", Host: "other.example"}, 404},
		"429":              {proxytest.Handshake{Target: "/limited"}, 429},
		"502":              {proxytest.Handshake{Target: "/502"}, 502},
		"502, accept":      {proxytest.Handshake{Target: "/accept"}, 502},
		"502, refused":     {proxytest.Handshake{Target: "/closed"}, 502},
		"503":              {proxytest.Handshake{Target: "/drained"}, 503},
		"504":              {proxytest.Handshake{Target: "/504"}, 504},
		"own answer":       {proxytest.Handshake{Target: "/own"}, 200},
		"redirect":         {proxytest.Handshake{Target: "/moved"}, 302},
		"no upgrades":      {proxytest.Handshake{Target: "/plain"}, 200},
		"400, POST":        {proxytest.Handshake{Target: "/200", Method: "POST", Extra: []string{"Content-Length: 0"}}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.handshake.Host == "" {
				tt.handshake.Host = "app.example"
			}
			client := connect(t, p)
			client.Send(tt.handshake.String() + secret)
			answer, body := client.Response(tt.handshake.Method)
			if answer.StatusCode != tt.status {
				t.Errorf("%d %q, wanted %d", answer.StatusCode, body, tt.status)
			}
			if !answer.Close {
				t.Error("the answer lacks Connection: close")
			}
			if rest := client.Rest(); rest != "" {
				t.Errorf("%q behind the answer: the second request was answered", rest)
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		if got := b.got(); strings.Contains(got, "/secret") {
			t.Errorf("the backend got the second request: %q", got)
		}
	})
}

// TestNextRequest: sent once the refusal is there, it is a request like any other.
func TestNextRequest(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/403": keep("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	client := connect(t, p)
	for range 3 {
		if got := ask(t, client, proxytest.Handshake{Target: "/403"}.String()); got.status != 403 || got.header.Get("Connection") != "" {
			t.Fatalf("%d, Connection %q, wanted 403 and none", got.status, got.header.Get("Connection"))
		}
		if got := ask(t, client, request("GET /page HTTP/1.1", "Host: a")); got.body != "ok" {
			t.Fatalf("%d %q, wanted the page", got.status, got.body)
		}
	}
}
