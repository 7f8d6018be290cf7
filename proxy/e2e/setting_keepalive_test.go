package e2e

// keepalive: which sides are pinged, that the other one does not notice, and what
// becomes of peers that do not answer.

import (
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestPings(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+fill(`
defaults: {keepalive: {ping: 20ms, pong: 60s}}
routes:
  both:    {match: {path: /both}, to: "$b"}
  client:  {match: {path: /client}, to: "$b", keepalive: {backend: false}}
  backend: {match: {path: /backend}, to: "$b", keepalive: {client: false}}
  none:    {match: {path: /none}, to: "$b", keepalive: {client: false, backend: false}, timeouts: {lifetime: 300ms}}
  off:     {match: {path: /off}, to: "$b", keepalive: off, timeouts: {lifetime: 300ms}}
  ping:    {match: {path: /ping}, to: "$b", keepalive: {ping: off}, timeouts: {lifetime: 300ms}}
`, map[string]string{"b": b.url()}))
	for path, pinged := range map[string]struct{ client, backend bool }{
		"/both": {true, true}, "/client": {true, false}, "/backend": {false, true},
		"/none": {}, "/off": {}, "/ping": {},
	} {
		t.Run(path[1:], func(t *testing.T) {
			client, backend := b.open(t, p, path)
			if pinged.client {
				answerPings(t, client, fromClient, false)
			}
			if pinged.backend {
				answerPings(t, backend, fromBackend, true)
			}
			if pinged.client || pinged.backend { // the others end by their lifetime
				client.Send(fromClient(opClose, "\x03\xe8"))
			}
			readClose(t, "backend", backend.Reader, pinged.backend)
			backend.Send(fromBackend(opClose, "\x03\xe8"))
			readClose(t, "client", client.Reader, pinged.client)
			client.Close()
			p.waitLog("tunnel closed", fields{"route": path[1:], "messages_from_client": 0, "messages_from_backend": 0})
		})
	}
}

// answerPings reads and answers three pings, which are masked towards a backend.
func answerPings(t *testing.T, side *proxytest.Raw, make func(byte, string) string, masked bool) {
	t.Helper()
	for range 3 {
		f := readFrame(t, side.Reader)
		if f.first != opPing || f.masked != masked {
			t.Fatalf("got the frame %v, wanted a ping, masked: %v", f, masked)
		}
		side.Send(make(opPong, f.payload))
	}
}

// TestPeersOwnPings pass, and so do their pongs, while the proxy pings too.
func TestPeersOwnPings(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+`routes: {all: {to: "`+b.url()+`", keepalive: {ping: 20ms, pong: 60s}}}`+"\n")
	client, backend := b.open(t, p, "/")
	for range 3 {
		client.Send(fromClient(opPing, "mine"))
		mustPass(t, backend, frame{opPing, true, "mine"}, fromBackend)
		backend.Send(fromBackend(opPong, "mine"))
		mustPass(t, client, frame{opPong, false, "mine"}, fromClient)
		backend.Send(fromBackend(opPing, ""))
		mustPass(t, client, frame{opPing, false, ""}, fromClient)
		client.Send(fromClient(opPong, ""))
		mustPass(t, backend, frame{opPong, true, ""}, fromBackend)
	}
}

// mustPass reads up to the frame that is wanted and answers the proxy's pings,
// the only frames that may come before it.
func mustPass(t *testing.T, side *proxytest.Raw, want frame, make func(byte, string) string) {
	t.Helper()
	for {
		f := readFrame(t, side.Reader)
		if f == want {
			return
		}
		if f.first != opPing {
			t.Fatalf("got the frame %v, wanted %v", f, want)
		}
		side.Send(make(opPong, f.payload))
	}
}

// TestDeadPeers: one that answers no ping is found, and the other is told.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+fill(`
defaults: {keepalive: {ping: 30ms, pong: 50ms}, drain: {close_timeout: 100ms}}
routes:
  client:  {match: {path: /client}, to: "$b", keepalive: {backend: false}}
  backend: {match: {path: /backend}, to: "$b", keepalive: {client: false}}
`, map[string]string{"b": b.url()}))

	_, backend := b.open(t, p, "/client") // the client stays silent
	if f := readClose(t, "backend", backend.Reader, false); f.code() != websocket.CloseGoingAway {
		t.Errorf("the backend of a dead client was closed with %v, wanted 1001", f)
	}
	backend.Close()
	p.waitLog("tunnel closed", fields{"route": "client", "closed_by": "proxy", "reason": "pong_timeout"})

	client, _ := b.open(t, p, "/backend") // the backend stays silent
	if f := readClose(t, "client", client.Reader, false); f.code() != websocket.CloseServiceRestart {
		t.Errorf("the client of a dead backend was closed with %v, wanted 1012, so that it comes back", f)
	}
	client.Close()
	p.waitLog("tunnel closed", fields{"route": "backend", "closed_by": "proxy", "reason": "pong_timeout"})
}

// TestPingsAreNoActivity: a tunnel whose peers do nothing but answer pings is idle.
func TestPingsAreNoActivity(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults: {keepalive: {ping: 30ms, pong: 60s}}
routes:
  idle:         {match: {path: /idle}, to: "$b", timeouts: {idle: 400ms}}
  idle-client:  {match: {path: /idle-client}, to: "$b", timeouts: {idle_from_client: 400ms}}
  idle-backend: {match: {path: /idle-backend}, to: "$b", timeouts: {idle_from_backend: 400ms}}
`, map[string]string{"b": b.url("ws")}))
	for _, route := range []string{"idle", "idle-client", "idle-backend"} {
		conn := dial(t, p.ws("/"+route))
		pings, answer := 0, conn.PingHandler()
		conn.SetPingHandler(func(data string) error { pings++; return answer(data) })
		if code, _ := closeCode(t, conn); code != websocket.CloseGoingAway || pings == 0 {
			t.Errorf("%s: closed with %d after %d pings, wanted 1001 after some", route, code, pings)
		}
		conn.Close()
		p.waitLog("tunnel closed", fields{"route": route, "closed_by": "proxy", "reason": "idle", "messages_from_client": 0})
	}
}

// TestOneSidedIdle: data from the other side does not count.
func TestOneSidedIdle(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+fill(`
defaults: {keepalive: off}
routes:
  client:  {match: {path: /client}, to: "$b", timeouts: {idle_from_client: 300ms}}
  backend: {match: {path: /backend}, to: "$b", timeouts: {idle_from_backend: 300ms}}
`, map[string]string{"b": b.url()}))
	for _, route := range []string{"client", "backend"} {
		t.Run(route, func(t *testing.T) {
			client, backend := b.open(t, p, "/"+route)
			talking, listening, text := backend, client, fromBackend(0x81, "x")
			if route == "backend" {
				talking, listening, text = client, backend, fromClient(0x81, "x")
			}
			// Each message is sent when the one before has come through, so there
			// is never a pause that a busy machine could stretch into an idle one.
			for f := (frame{}); f.first != opClose; f = readFrame(t, listening.Reader) {
				if _, err := talking.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			client.Close()
			backend.Close()
			p.waitLog("tunnel closed", fields{"route": route, "closed_by": "proxy", "reason": "idle"})
		})
	}
}

// TestPongTimeout: a client that answers no ping is found; one that does stays.
func TestPongTimeout(t *testing.T) {
	t.Parallel()
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
