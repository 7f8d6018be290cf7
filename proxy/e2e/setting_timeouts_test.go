package e2e

// Settings that bound time. The limits are short and the waits are long: which
// of the two ends a test is never in doubt.

import (
	"net"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// silent is a backend that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	release := make(chan struct{})
	b := proxytest.NewRawBackend(t, func(net.Conn) { <-release })
	t.Cleanup(func() { close(release) }) // before the backend waits for its scripts
	return b.Addr
}

// TestBackendTimeouts: 504 when a backend does not answer in time, 502 when
// nobody is there.
func TestBackendTimeouts(t *testing.T) {
	p := start(t, web+fill(`
defaults: {timeouts: {handshake: 50ms, response: 50ms}}
routes:
  silent: {match: {path: /silent}, to: "ws://$silent"}
  absent: {match: {path: /absent}, to: "ws://$absent"}
`, map[string]string{"silent": silent(t), "absent": proxytest.Refused(t)}))
	for path, want := range map[string]int{"/silent": 504, "/absent": 502} {
		if got := refused(t, p.ws(path), nil).StatusCode; got != want {
			t.Errorf("a WebSocket to %s: %d, wanted %d", path, got, want)
		}
		if got := get(t, p.http(path)).status; got != want {
			t.Errorf("GET %s: %d, wanted %d", path, got, want)
		}
	}
}

// TestTunnelTimes: each limit ends the tunnel with a Close frame and its reason.
func TestTunnelTimes(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults: {keepalive: {ping: "off"}}
routes:
  idle:         {match: {path: /idle}, to: "$b", timeouts: {idle: 50ms}}
  idle-client:  {match: {path: /idle-client}, to: "$b", timeouts: {idle_from_client: 50ms}}
  idle-backend: {match: {path: /idle-backend}, to: "$b", timeouts: {idle_from_backend: 50ms}}
  lifetime:     {match: {path: /lifetime}, to: "$b", timeouts: {lifetime: 50ms}}
`, map[string]string{"b": b.url("ws")}))
	for route, reason := range map[string]string{
		"idle": "idle", "idle-client": "idle", "idle-backend": "idle", "lifetime": "lifetime",
	} {
		t.Run(route, func(t *testing.T) {
			conn := dial(t, p.ws("/"+route))
			code, _ := closeCode(t, conn)
			conn.Close()
			p.waitLog("tunnel closed", fields{"route": route, "closed_by": "proxy", "reason": reason, "code": code})
		})
	}
}

// TestPongTimeout: a client that answers no ping is found; one that does stays.
func TestPongTimeout(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults: {drain: {close_timeout: 50ms}}
routes:
  dead:  {match: {path: /dead}, to: "$b", keepalive: {ping: 50ms, pong: 50ms, backend: false}}
  alive: {match: {path: /alive}, to: "$b", keepalive: {ping: 50ms, pong: 60s}}
`, map[string]string{"b": b.url("ws")}))

	dead := dial(t, p.ws("/dead")) // never reads: gorilla answers pings when it does
	p.waitLog("tunnel closed", fields{"route": "dead", "closed_by": "proxy", "reason": "pong_timeout"})
	dead.Close()

	alive := dial(t, p.ws("/alive"))
	pings := make(chan struct{}, 1)
	answer := alive.PingHandler()
	alive.SetPingHandler(func(data string) error {
		select {
		case pings <- struct{}{}:
		default:
		}
		return answer(data)
	})
	// The reader of the connection, until the test closes it.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := alive.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for range 3 {
		<-pings
	}
	if err := alive.WriteMessage(websocket.TextMessage, []byte("still here")); err != nil {
		t.Error(err)
	}
	alive.Close()
	<-ended
	// Pings and pongs are no messages.
	p.waitLog("tunnel closed", fields{"route": "alive", "closed_by": "client", "messages_from_client": 1})
}
