package e2e

// limits of a route: tunnels, handshakes, and the sizes of heads, bodies, frames
// and messages, at their edges.

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestTunnelLimits(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

func TestRequestLimits(t *testing.T) {
	t.Parallel()
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

// TestSizeLimits: message_size counts a message's pieces together, frame_size
// each alone; the other side gets no more than what was allowed, and 1009.
func TestSizeLimits(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	p := start(t, web+fill(`
defaults: {keepalive: off, drain: {close_timeout: 1h}}
routes:
  message: {match: {path: /message}, to: "$b", limits: {message_size: 10}}
  frame:   {match: {path: /frame}, to: "$b", limits: {frame_size: 10}}
  both:    {match: {path: /both}, to: "$b", limits: {frame_size: 10, message_size: 15}}
  off:     {match: {path: /off}, to: "$b", limits: {frame_size: off, message_size: 0}}
`, map[string]string{"b": b.url()}))
	const ten = "0123456789"
	for name, tt := range map[string]struct {
		path   string
		frames [][2]string // first byte and payload
		passes int         // how many of them; -1 is all
	}{
		"message, fits":           {"/message", [][2]string{{"\x82", ten}, {"\x82", ten}}, -1},
		"message, one frame":      {"/message", [][2]string{{"\x82", ten + "a"}}, 0},
		"message, in pieces":      {"/message", [][2]string{{"\x02", ten}, {"\x80", "a"}}, 1},
		"message, pieces fit":     {"/message", [][2]string{{"\x02", "01234"}, {"\x80", "56789"}, {"\x82", ten}}, -1},
		"message, ping between":   {"/message", [][2]string{{"\x02", "01234"}, {"\x89", ten}, {"\x80", "56789"}}, -1},
		"frame, fits":             {"/frame", [][2]string{{"\x02", ten}, {"\x00", ten}, {"\x80", ten}}, -1},
		"frame, too large":        {"/frame", [][2]string{{"\x02", ten}, {"\x80", ten + "a"}}, 1},
		"frame, control":          {"/frame", [][2]string{{"\x89", ten + ten}}, -1},
		"both, the message's sum": {"/both", [][2]string{{"\x02", ten}, {"\x80", "567890"}}, 1},
		"off":                     {"/off", [][2]string{{"\x82", strings.Repeat("a", 125)}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, towards := range []string{"backend", "client"} {
				client, backend := b.open(t, p, tt.path)
				from, to, make := client, backend, fromClient
				if towards == "client" {
					from, to, make = backend, client, fromBackend
				}
				for i, f := range tt.frames {
					from.Send(make(f[0][0], f[1]))
					if tt.passes < 0 || i < tt.passes {
						mustRead(t, to, make(f[0][0], f[1]))
						continue
					}
					if closed := readClose(t, "sender", from.Reader, false); closed.code() != websocket.CloseMessageTooBig {
						t.Errorf("towards the %s: the sender was closed with %v, wanted 1009", towards, closed)
					}
					break
				}
				client.Close()
				backend.Close()
			}
		})
	}
}

// TestBodyLimit: 413 with and without a length, a body that fits exactly, and no
// limit for a tunnel's bytes.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  body: {match: {path: /body}, to: "$b", limits: {body_bytes: 1KB}}
`, map[string]string{"b": b.url("http")}))
	for size, want := range map[int]int{0: 200, 1000: 200, 1001: 413, 1 << 20: 413} {
		for _, chunked := range []bool{false, true} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.http("/body"), bytes.NewReader(make([]byte, size)))
			if err != nil {
				t.Fatal(err)
			}
			if chunked {
				r.ContentLength = -1
				r.Body = io.NopCloser(bytes.NewReader(make([]byte, size)))
			}
			if got := do(t, r); got.status != want {
				t.Errorf("%d bytes, chunked %v: %d %q, wanted %d", size, chunked, got.status, got.body, want)
			}
		}
	}
	waiting := connect(t, p) // a client that asks first is told before it sends
	got := ask(t, waiting, request("POST /body?expect HTTP/1.1", "Host: a", "Content-Length: 5000", "Expect: 100-continue"))
	if got.status != 413 {
		t.Errorf("expecting 100: %d, wanted 413", got.status)
	}
	for _, asked := range b.requests() {
		if asked.URL.RawQuery == "expect" {
			t.Error("expecting 100: the backend was asked all the same")
		}
	}
	conn := dial(t, p.ws("/body"))
	echo(t, conn, strings.Repeat("a", 5000))
}

// TestRateLimit: a burst of one second's worth fits, then 429 with Retry-After;
// HTTP is no handshake, and another client has its own.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
trusted_proxies: [127.0.0.1]
routes:
  slow: {match: {path: /slow}, to: "internal://echo", limits: {handshakes_per_second: 0.001}}
  four: {match: {path: /four}, to: "internal://echo", limits: {handshakes_per_second: 4}}
`)
	from := func(client, path string) reply {
		return ask(t, connect(t, p), proxytest.Handshake{Target: path, Extra: []string{"X-Forwarded-For: " + client}}.String())
	}
	for i, want := range []int{101, 429, 429} {
		got := from("192.0.2.1", "/slow")
		if got.status != want || want == 429 && got.header.Get("Retry-After") == "" {
			t.Errorf("handshake %d: %d, Retry-After %q, wanted %d", i+1, got.status, got.header.Get("Retry-After"), want)
		}
	}
	if got := from("192.0.2.2", "/slow"); got.status != 101 {
		t.Errorf("another client: %d %q, wanted 101", got.status, got.body)
	}
	for range 3 {
		if got := get(t, p.http("/slow")); got.status != 200 {
			t.Errorf("GET: %d, wanted 200", got.status)
		}
	}
	for range 4 {
		if got := from("192.0.2.1", "/four"); got.status != 101 {
			t.Errorf("within the burst: %d %q, wanted 101", got.status, got.body)
		}
	}
}

// TestTunnelsPerClient counts clients apart, behind a trusted proxy too.
func TestTunnelsPerClient(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
trusted_proxies: [127.0.0.1]
routes: {r: {to: "internal://echo", limits: {tunnels_per_client: 1, tunnels: 2}}}
`)
	from := func(client string) int {
		return ask(t, connect(t, p), proxytest.Handshake{Extra: []string{"X-Forwarded-For: " + client}}.String()).status
	}
	for _, tt := range []struct {
		client string
		status int
	}{{"192.0.2.1", 101}, {"192.0.2.1", 429}, {"192.0.2.2", 101}, {"192.0.2.3", 503}} {
		if got := from(tt.client); got != tt.status {
			t.Errorf("%s: %d, wanted %d", tt.client, got, tt.status)
		}
	}
}

// TestRouteHeadLimit holds for handshakes too.
func TestRouteHeadLimit(t *testing.T) {
	t.Parallel()
	p := start(t, web+`routes: {r: {to: "internal://echo", limits: {header_bytes: 1KiB}}}`+"\n")
	for size, want := range map[int]int{100: 101, 1100: 431} {
		if got := ask(t, connect(t, p), proxytest.Handshake{Extra: []string{"X-Padding: " + strings.Repeat("a", size)}}.String()); got.status != want {
			t.Errorf("a handshake of %d bytes and more: %d, wanted %d", size, got.status, want)
		}
	}
}
