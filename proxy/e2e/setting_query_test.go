package e2e

// query.remove: what the backend does not get of a query.

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestQueryRemove: on every way; a route's own list replaces that of the defaults, and the
// target's own query stays.
func TestQueryRemove(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	s := startWays(t, b, nil, "  query: {remove: [token, backend]}", `
  own:   {match: {path: /own}, to: "ws://$b/own?token=mine", query: {remove: [secret]}}
  none:  {match: {path: /none}, to: "ws://$b", query: {remove: []}}
  where: {match: {path: /where, query: {token: a}}, to: "ws://$b"}
`)
	for _, w := range s.ways() {
		t.Run(w.name, func(t *testing.T) {
			for query, want := range map[string]string{
				"?x=1&token=a&y=%2F&b%61ckend=2": "?x=1&y=%2F", "?token=a": "", "?tokens=a&x": "?tokens=a&x", "?x;token=a": "?x",
			} {
				if got := w.ask(t, "/x"+query); got.status != w.good() {
					t.Fatalf("%s: %d", query, got.status)
				}
				if got := b.last(t).RequestURI; got != "/x"+want {
					t.Errorf("%s: the backend got %s, wanted %s", query, got, "/x"+want)
				}
			}
		})
	}
	for target, want := range map[string]string{
		"/own?secret=1&token=2": "/own?token=mine&token=2",
		"/none?token=1":         "/none?token=1",
		"/where?token=a":        "/where",
	} {
		for _, text := range []string{proxytest.Handshake{Target: target}.String(), request("GET "+target+" HTTP/1.1", "Host: a.example")} {
			ask(t, connect(t, s.proxy), text)
			if got := b.last(t).RequestURI; got != want {
				t.Errorf("%s: the backend got %s, wanted %s", target, got, want)
			}
		}
	}
}

// TestQueryRemoveChooses: a pool still sees the parameter that it goes by, and a redial asks
// for what the first backend was asked for.
func TestQueryRemoveChooses(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	both := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	const sticky = "    sticky: {query: backend}\n"
	const cut = "    query: {remove: [backend]}\n"
	p := start(t, redialling(both, nil, sticky, cut))
	for name, asked := range map[string]*backend{"a": a, "b": b} {
		conn, _ := dialWith(t, p.ws("/?backend=x."+name+"&y=1"), websocket.Dialer{}, http.Header{})
		if got := who(t, conn); got != name {
			t.Errorf("backend=x.%s led to %q", name, got)
		}
		if got := asked.last(t).RequestURI; got != "/?y=1" {
			t.Errorf("backend %s was asked for %s", name, got)
		}
	}
}
