package handler

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
)

// TestRoutedAgainIsChargedOnce: a handshake that comes just as the routes change is
// charged once against its client's rate, whether its route stays, is renamed, or is
// another one.
func TestRoutedAgainIsChargedOnce(t *testing.T) {
	const once = "limits: {handshakes_per_second: 0.001}"
	const before = "routes: {r: {match: {path: /r}, to: \"internal://echo\", " + once + "}}\n"
	for name, after := range map[string]string{
		"edited":  "routes: {r: {match: {path: /r}, to: \"internal://echo\", strict: true, " + once + "}}\n",
		"renamed": "routes: {s: {match: {path: /r}, to: \"internal://echo\", " + once + "}}\n",
		"another": "routes: {s: {match: {path_prefix: /r}, to: \"internal://echo\", " + once + "}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			old := routingtest.Build(t, nil, before)
			now := old
			h := newTestHandler(t, func() *routing.Table { return now }, slog.New(slog.DiscardHandler))
			reserve := func() error {
				r := httptest.NewRequest(http.MethodGet, "/r", nil)
				r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {websocket}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
				x := h.newRequest(&listen.Socket{}, r, nil, netip.MustParseAddrPort("192.0.2.1:4711"))
				if rf := x.route(old); rf != nil {
					t.Fatal(rf.text)
				}
				a := &handshake{requestCtx: x, protocol: websocket, ctx: t.Context()}
				defer a.release()
				id := a.id
				for a.phase == reserving {
					a.run()
				}
				if a.id != id {
					t.Errorf("request %s has become %s", id, a.id)
				}
				return a.result.err
			}
			now = routingtest.Build(t, old, after)
			if err := reserve(); err != nil {
				t.Fatalf("the first was refused: %v", err)
			}
			old = now
			var rf *refusal
			if err := reserve(); !errors.As(err, &rf) || rf.status != http.StatusTooManyRequests {
				t.Errorf("the second got %v, wanted 429", err)
			}
		})
	}
}

func TestReason101(t *testing.T) {
	for status, want := range map[string]string{
		"101 Web Socket Protocol Handshake": "Web Socket Protocol Handshake", "101 Très\tbien ": "Très\tbien",
		"101": "Switching Protocols", "101 ": "Switching Protocols", "101 a\x00b": "Switching Protocols", "101 a\rb": "Switching Protocols",
	} {
		if got := reason101(status); got != want {
			t.Errorf("%q: %q, want %q", status, got, want)
		}
	}
}
