package e2e

// Settings that bound what a client may take, from the file to the answer.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestTunnelLimits(t *testing.T) {
	p := start(t, web+`
routes:
  one:    {match: {path: /one}, to: "internal://echo", limits: {tunnels: 1}}
  client: {match: {path: /client}, to: "internal://echo", limits: {tunnels_per_client: 2}}
  rate:   {match: {path: /rate}, to: "internal://echo", limits: {handshakes_per_second: 0.001}}
`+statusRoute)
	for _, tt := range []struct {
		path   string
		fit    int // tunnels that open
		status int // of the next
	}{{"/one", 1, 503}, {"/client", 2, 429}, {"/rate", 1, 429}} {
		t.Run(tt.path, func(t *testing.T) {
			var open []*websocket.Conn
			for range tt.fit {
				open = append(open, dial(t, p.ws(tt.path)))
			}
			defer closeAll(p, open)
			answer := refused(t, p.ws(tt.path), nil)
			if answer.StatusCode != tt.status || answer.Header.Get("Retry-After") == "" {
				t.Errorf("%d, Retry-After %q, wanted %d and when to come back", answer.StatusCode, answer.Header.Get("Retry-After"), tt.status)
			}
			if tt.path == "/rate" {
				return // an ended tunnel gives no handshake back
			}
			open[0].Close()
			p.waitOpen(tt.fit - 1)
			open[0] = dial(t, p.ws(tt.path))
			echo(t, open[0], "in its place")
		})
	}
}

// closeAll leaves no tunnel for the next case to count.
func closeAll(p *proxy, open []*websocket.Conn) {
	for _, conn := range open {
		conn.Close()
	}
	p.waitOpen(0)
}

func TestMessageLimits(t *testing.T) {
	p := start(t, web+`
routes:
  message: {match: {path: /message}, to: "internal://echo", limits: {message_size: 1KiB}}
  frame:   {match: {path: /frame}, to: "internal://echo", limits: {frame_size: 1KiB}}
`)
	for _, path := range []string{"/message", "/frame"} {
		conn := dial(t, p.ws(path))
		echo(t, conn, strings.Repeat("a", 1024))
		if err := conn.WriteMessage(websocket.TextMessage, make([]byte, 1025)); err != nil {
			t.Fatal(err)
		}
		if code, _ := closeCode(t, conn); code != websocket.CloseMessageTooBig {
			t.Errorf("%s: closed with %d, wanted 1009", path, code)
		}
		conn.Close()
		p.waitLog("tunnel closed", fields{"route": path[1:], "closed_by": "proxy", "reason": "too_big", "code": 1009})
	}
}

// TestStrict: what breaks RFC 6455 ends a strict route's tunnel, and passes
// through any other.
func TestStrict(t *testing.T) {
	violation := []byte{0xc1, 0x80, 0, 0, 0, 0} // RSV1, which no extension owns
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  strict: {match: {path: /strict}, to: "$b", strict: true}
  usual:  {match: {path: /usual}, to: "$b"}
`, map[string]string{"b": b.url("ws")}))
	for _, route := range []string{"strict", "usual"} {
		conn := dial(t, p.ws("/"+route))
		if _, err := conn.NetConn().Write(violation); err != nil {
			t.Fatal(err)
		}
		// Whoever judges it, the proxy or the backend, calls it a protocol error.
		if code, _ := closeCode(t, conn); code != websocket.CloseProtocolError {
			t.Errorf("%s: closed with %d, wanted 1002", route, code)
		}
		conn.Close()
	}
	p.waitLog("tunnel closed", fields{"route": "strict", "closed_by": "proxy", "reason": "protocol", "code": 1002})
	p.waitLog("tunnel closed", fields{"route": "usual", "closed_by": "backend", "code": 1002})
}

func TestRequestLimits(t *testing.T) {
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  body: {match: {path: /body}, to: "$b", limits: {body_bytes: 10}}
  head: {match: {path: /head}, to: "$b", limits: {header_bytes: 1KiB}}
`, map[string]string{"b": b.url("http")}))
	post := func(body string, more ...string) int {
		lines := append([]string{"POST /body HTTP/1.1", "Host: a"}, more...)
		return ask(t, connect(t, p), request(lines...)+body).status
	}
	for name, got := range map[string][2]int{
		"length, fits":     {200, post("0123456789", "Content-Length: 10")},
		"length, too long": {413, post("0123456789a", "Content-Length: 11")},
		"chunks, too long": {413, post("b\r\n0123456789a\r\n0\r\n\r\n", "Transfer-Encoding: chunked")},
	} {
		if got[1] != got[0] {
			t.Errorf("%s: %d, wanted %d", name, got[1], got[0])
		}
	}
	for size, want := range map[int]int{100: 200, 2000: 431} {
		got := ask(t, connect(t, p), request("GET /head HTTP/1.1", "Host: a", "X-Padding: "+strings.Repeat("a", size)))
		if got.status != want {
			t.Errorf("a head of %d bytes and more: %d, wanted %d", size, got.status, want)
		}
	}
}

// TestListenerLimits: a head over the listener's limits never meets a route.
func TestListenerLimits(t *testing.T) {
	p := start(t, `version: 1
listeners: {web: {address: "127.0.0.1:0", limits: {header_bytes: 2KiB, headers: 10}}}
routes: {all: {match: {path_prefix: /}, respond: {}}}
`)
	for name, lines := range map[string][]string{
		"bytes": {"X-Padding: " + strings.Repeat("a", 3000)},
		"lines": strings.Split(strings.Repeat("X: y\n", 10)+"X: y", "\n"),
	} {
		client := connect(t, p)
		got := ask(t, client, request(append([]string{"GET / HTTP/1.1", "Host: a"}, lines...)...))
		if got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("too many %s: %d, wanted 431", name, got.status)
		}
		if rest := client.Rest(); rest != "" {
			t.Errorf("too many %s: %q behind the answer, wanted the connection closed", name, rest)
		}
	}
	if got := ask(t, connect(t, p), proxytest.Handshake{Change: map[string]string{"Connection": "", "Upgrade": ""}}.String()); got.status != 200 {
		t.Errorf("within the limits: %d", got.status)
	}
}
