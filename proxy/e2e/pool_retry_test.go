package e2e

// retry: another backend is tried when the first one fails.

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestRetry: a refused connection, a closed one, garbage and silence are tried
// again elsewhere before the client has heard anything; a body is not sent twice.
func TestRetry(t *testing.T) {
	t.Parallel()
	bad := newWire(t, map[string]script{
		"/closes": say(""), "/garbage": say("SSH-2.0\r\n\r\n"), "/silent": stall(""),
		"/post": say(""), "/refuses": say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
	})
	good := newBackend(t, "good")
	routes := web + fill(`
pools:
  half: {balance: round_robin, backends: {a: {url: "ws://$bad"}, b: {url: "ws://$good", standby: true}}, health: {passive: {fails: off}}}
  gone: {balance: round_robin, backends: {a: {url: "ws://$gone"}, b: {url: "ws://$good", standby: true}}, health: {passive: {fails: off}}}
routes:
  half: {match: {path_prefix: /}, to: "pool://half", retry: {others: 1, budget: 100%}, timeouts: {handshake: 100ms}}
  gone: {match: {path_prefix: /gone}, to: "pool://gone", retry: {others: 1, budget: 100%}}
  once: {match: {path_prefix: /gone/once}, to: "pool://gone", retry: {others: off}}
  poor: {match: {path_prefix: /gone/poor}, to: "pool://gone", retry: {others: 1, budget: 1%}}
`, map[string]string{"bad": bad.Addr, "good": good.authority(), "gone": proxytest.Refused(t)})
	p := start(t, routes)
	for _, path := range []string{"/closes", "/garbage", "/silent", "/gone"} {
		echo(t, dial(t, p.ws(path)), "hello")
	}
	if got := refused(t, p.ws("/refuses"), nil); got.StatusCode != 403 {
		t.Errorf("%d for a backend that refuses, wanted its own 403: an answer is no failure", got.StatusCode)
	}
	if got := refused(t, p.ws("/gone/once"), nil); got.StatusCode != 502 {
		t.Errorf("%d without retry, wanted 502", got.StatusCode)
	}
	if got := post(t, p.http("/gone/post")); got.status != 200 || good.last(t).Method != "POST" {
		t.Errorf("%d for a POST that found no connection, wanted the other backend's answer", got.status)
	}
	before := len(good.requests())
	if got := post(t, p.http("/post")); got.status != 502 || len(good.requests()) != before {
		t.Errorf("%d for a POST whose body was read, wanted 502 and no other backend asked", got.status)
	}
	answered := 0
	for range 30 {
		if get(t, p.http("/gone/poor")).status == 200 {
			answered++
		}
	}
	if answered != 10 {
		t.Errorf("%d of 30 requests were tried again, wanted the budget's ten", answered)
	}
}
