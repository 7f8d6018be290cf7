package e2e

// Limits of time that need more than one look: connecting, a lifetime with
// jitter, and off.

import (
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

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

// TestWhoClosed: a Close frame of either side's own passes with its code and
// reason, and the log says whose it was.
func TestWhoClosed(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+`routes: {r: {to: "`+b.url()+`"}}`+"\n")
	for name, tt := range map[string]struct {
		payload    string
		code       int
		text       string
		byBackend  bool
		end        bool // the connection ends without a Close frame
		reason     string
		clientSees int // the code that a client reads, if any
	}{
		"client, 1000":     {"\x03\xe8", 1000, "", false, false, "closed", 0},
		"client, reason":   {"\x0f\xa0bye", 4000, "bye", false, false, "closed", 0},
		"client, no code":  {"", 1005, "", false, false, "closed", 0},
		"client, gone":     {"", 1006, "", false, true, "lost", 0},
		"backend, 1011":    {"\x03\xf3oops", 1011, "oops", true, false, "closed", 1011},
		"backend, its own": {"\x13\x87", 4999, "", true, false, "closed", 4999},
		"backend, no code": {"", 1005, "", true, false, "closed", 1005},
		"backend, gone":    {"", 1012, "backend lost", true, true, "lost", 1012},
	} {
		t.Run(name, func(t *testing.T) {
			m := p.log.mark()
			client, backend := b.open(t, p, "/")
			from, to, make, answer := client, backend, fromClient, fromBackend
			by := "client"
			if tt.byBackend {
				from, to, make, answer, by = backend, client, fromBackend, fromClient, "backend"
			}
			if tt.end {
				from.Close()
			} else {
				from.Send(make(opClose, tt.payload))
			}
			if tt.end && !tt.byBackend {
				to.Rest() // a backend learns of it by the end of file
			} else {
				f := readClose(t, "other", to.Reader, false)
				if tt.clientSees != 0 && f.code() != tt.clientSees || tt.clientSees == 0 && f.payload != tt.payload {
					t.Errorf("the other side read %v", f)
				}
				to.Send(answer(opClose, f.payload))
			}
			to.Close()
			from.Close()
			closed := p.waitLogAfter(m, "tunnel closed", nil)
			want := fields{"closed_by": by, "code": tt.code, "reason": tt.reason}
			if !want.match(closed) || closed.text("text") != tt.text {
				t.Errorf("logged %v, wanted %v and the text %q", closed, want, tt.text)
			}
		})
	}
}
