package e2e

// timeouts: connecting, the backend's answer, idle tunnels, and a tunnel's lifetime.
// The limits are short and the waits are long: which of the two ends a test is
// never in doubt.

import (
	"net"
	"testing"
	"time"

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
// its port is closed.
func TestBackendTimeouts(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

// TestIdleCounts: where data counts, a peer's own pings keep no tunnel open.
func TestIdleCounts(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults: {timeouts: {idle_counts: data}}
routes:
  idle:    {match: {path: /idle}, to: "$b", timeouts: {idle: 50ms}}
  client:  {match: {path: /client}, to: "$b", timeouts: {idle_from_client: 50ms}}
  backend: {match: {path: /backend}, to: "$b", timeouts: {idle_from_backend: 50ms}}
  redial:  {match: {path: /redial}, to: "$b", timeouts: {idle: 50ms}, on_backend_loss: redial}
`, map[string]string{"b": b.url("ws")}))
	for _, route := range []string{"idle", "client", "backend", "redial"} {
		conn := dial(t, p.ws("/"+route))
		ended := make(chan int)
		go func() {
			code, _ := closeCode(t, conn)
			ended <- code
		}()
		for open := true; open; { // the backend answers each with a pong
			select {
			case code := <-ended:
				if open = false; code != websocket.CloseGoingAway {
					t.Errorf("%s: closed with %d, wanted 1001", route, code)
				}
			case <-time.After(time.Millisecond):
				_ = conn.WriteControl(websocket.PingMessage, []byte("p"), time.Time{}) // fails once it is closing
			}
		}
		conn.Close()
		p.waitLog("tunnel closed", fields{"route": route, "closed_by": "proxy", "reason": "idle"})
	}
}

// TestConnectTimeout: an address that takes no connection is 504 in time, for
// TCP and for TLS, and each route has its own patience.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, web+fill(`
defaults: {timeouts: {connect: 100ms, handshake: 1h, response: 1h}}
routes:
  tcp: {match: {path_prefix: /tcp}, to: "ws://$hole"}
  tls: {match: {path_prefix: /tls}, to: "wss://$silent"}
`, map[string]string{"hole": blackhole(t), "silent": silent(t)}))
	for _, path := range []string{"/tcp", "/tls"} {
		mustBeOwn(t, p, ask(t, connect(t, p), proxytest.Handshake{Target: path + "/ws"}.String()), 504, path+"/ws")
		mustBeOwn(t, p, ask(t, connect(t, p), request("GET "+path+"/page HTTP/1.1", "Host: a")), 504, path+"/page")
	}
}

// TestLifetime: a tunnel in full use ends with 1001 all the same, and jitter
// only ever shortens its life.
func TestLifetime(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  plain:  {match: {path: /plain}, to: "internal://echo", timeouts: {lifetime: 300ms}}
  jitter: {match: {path: /jitter}, to: "internal://echo", timeouts: {lifetime: 1h, lifetime_jitter: 1h}}
  spread: {match: {path: /spread}, to: "internal://echo", timeouts: {lifetime: 600ms, lifetime_jitter: 600ms}}
`)
	for range 8 { // some live for half of it, none longer than all of it
		conn := dial(t, p.ws("/spread"))
		closeCode(t, conn)
		conn.Close()
	}
	ended, err := p.log.wait(0, 8, "tunnel closed", fields{"route": "spread", "reason": "lifetime"})
	if err != nil {
		t.Fatal(err)
	}
	lives := map[string]bool{}
	for _, entry := range ended {
		lives[entry.text("duration")] = true
	}
	if len(lives) < 2 {
		t.Errorf("lives %v, wanted them to differ", lives)
	}

	conn := dial(t, p.ws("/plain"))
	code := 0
	for code == 0 {
		if err := conn.WriteMessage(websocket.TextMessage, []byte("busy")); err != nil {
			t.Fatal(err)
		}
		_, _, err := conn.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			code = closed.Code
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if code != websocket.CloseGoingAway {
		t.Errorf("closed with %d, wanted 1001", code)
	}
	conn.Close()
	p.waitLog("tunnel closed", fields{"route": "plain", "closed_by": "proxy", "reason": "lifetime", "code": 1001})
	// An hour's jitter of an hour's life is some of it, hardly ever all.
	echo(t, dial(t, p.ws("/jitter")), "alive")
}

// TestTimesOff: off is no limit, also where the defaults have one.
func TestTimesOff(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults: {timeouts: {idle: 50ms, idle_from_client: 50ms, idle_from_backend: 50ms, lifetime: 50ms, handshake: 1ms, response: 1ms, connect: 1ms}}
routes:
  limited: {match: {path: /limited}, to: "internal://echo", timeouts: {handshake: 10s, response: 10s, connect: 10s}}
  off:
    match: {path: /off}
    to: "$b"
    timeouts: {idle: off, idle_from_client: off, idle_from_backend: 0, lifetime: off, handshake: off, response: 0, connect: off}
`, map[string]string{"b": b.url("ws")}))
	conn := dial(t, p.ws("/off"))
	for range 3 { // each of these takes at least the 50 ms
		limited := dial(t, p.ws("/limited"))
		closeCode(t, limited)
		limited.Close()
	}
	echo(t, conn, "still there")
	if got := get(t, p.http("/off")); got.status != 200 {
		t.Errorf("GET: %d %q", got.status, got.body)
	}
}
