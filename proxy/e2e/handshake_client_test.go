package e2e

// What clients send that is almost a handshake: refused before anything is
// dialled, or not an attempt at all and forwarded as HTTP.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// changed is a handshake with some of its lines changed, and more.
func changed(change map[string]string, extra ...string) proxytest.Handshake {
	return proxytest.Handshake{Target: "/x", Change: change, Extra: extra}
}

func TestBadAttempts(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": repeat(switching())}) // says 101 to whatever it is asked
	p := start(t, web+fill(`
routes:
  all:       {match: {path_prefix: /x}, to: "ws://$b"}
  http:      {match: {path_prefix: /http}, to: "http://$b"}
  unchecked: {match: {path_prefix: /unchecked}, to: "ws://$b", upgrade: unchecked}
`, map[string]string{"b": b.Addr}))
	key := func(value string) map[string]string { return map[string]string{"Sec-WebSocket-Key": value} }
	version := func(value string) map[string]string { return map[string]string{"Sec-WebSocket-Version": value} }

	for name, tt := range map[string]struct {
		handshake proxytest.Handshake
		status    int
	}{
		"POST":                    {proxytest.Handshake{Method: "POST"}, 400},
		"PUT":                     {proxytest.Handshake{Method: "PUT"}, 400},
		"HEAD":                    {proxytest.Handshake{Method: "HEAD"}, 400},
		"OPTIONS":                 {proxytest.Handshake{Method: "OPTIONS"}, 400},
		"get":                     {proxytest.Handshake{Method: "get"}, 400},
		"no key":                  {changed(key("")), 400},
		"empty key":               {changed(key(""), "Sec-WebSocket-Key:"), 400},
		"short key":               {changed(key("c2hvcnQ=")), 400},
		"15 bytes":                {changed(key("AAAAAAAAAAAAAAAAAAAA")), 400},
		"17 bytes":                {changed(key("AAAAAAAAAAAAAAAAAAAAAAA=")), 400},
		"no base64":               {changed(key("dGhlIHNhbXBsZSBub25jZ!==")), 400},
		"two keys":                {changed(nil, "Sec-WebSocket-Key: "+proxytest.SampleKey), 400},
		"two different keys":      {changed(nil, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400},
		"listed keys":             {changed(key(proxytest.SampleKey + ", " + proxytest.SampleKey)), 400},
		"no version":              {changed(version("")), 426},
		"version 8":               {changed(version("8")), 426},
		"version 013":             {changed(version("013")), 426},
		"version 13, 8":           {changed(version("13, 8")), 426},
		"two versions":            {changed(nil, "Sec-WebSocket-Version: 13"), 400},
		"two different versions":  {changed(nil, "Sec-WebSocket-Version: 8"), 400},
		"a body":                  {proxytest.Handshake{Extra: []string{"Content-Length: 5"}, Body: "hello"}, 400},
		"chunked":                 {proxytest.Handshake{Extra: []string{"Transfer-Encoding: chunked"}, Body: "0\r\n\r\n"}, 400},
		"Expect":                  {changed(nil, "Expect: 100-continue"), 400},
		"Trailer":                 {changed(nil, "Trailer: X-Sum"), 400},
		"two Hosts":               {changed(nil, "Host: other.example"), 400},
		"websocket, h2c and POST": {proxytest.Handshake{Method: "POST", Change: map[string]string{"Upgrade": "h2c, websocket"}}, 400},
	} {
		for _, path := range []string{"/x", "/http", "/unchecked"} {
			t.Run(name+" "+path, func(t *testing.T) {
				asking := tt.handshake
				asking.Target = path
				client := connect(t, p)
				client.Send(asking.String())
				answer, body := client.Response(asking.Method)
				if answer.StatusCode != tt.status {
					t.Fatalf("%d %q, wanted %d", answer.StatusCode, body, tt.status)
				}
				if version := answer.Header.Get("Sec-WebSocket-Version"); (version == "13") != (tt.status == 426) {
					t.Errorf("Sec-WebSocket-Version %q with a %d", version, tt.status)
				}
			})
		}
	}
	noHost := strings.Replace(proxytest.Handshake{Target: "/x"}.String(), "Host: test.example\r\n", "", 1)
	if got := ask(t, connect(t, p), noHost); got.status != 400 {
		t.Errorf("no Host: %d %q, wanted 400", got.status, got.body)
	}
	if asked := b.asked(); len(asked) > 0 {
		t.Errorf("the backend was asked %q", asked)
	}
}

// TestGoodAttempts: odd spellings of a right handshake, and what the backend gets.
func TestGoodAttempts(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": repeat(switching())})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	connection := func(value string) map[string]string { return map[string]string{"Connection": value} }
	upgrade := func(value string) map[string]string { return map[string]string{"Upgrade": value} }
	for name, asking := range map[string]proxytest.Handshake{
		"plain":                 changed(nil),
		"Firefox":               changed(connection("keep-alive, Upgrade")),
		"lower":                 changed(connection("upgrade")),
		"upper":                 changed(connection("KEEP-ALIVE,UPGRADE")),
		"empty elements":        changed(connection(", ,Upgrade,,")),
		"two Connection lines":  changed(connection("keep-alive"), "Connection: Upgrade"),
		"WebSocket":             changed(upgrade("WebSocket")),
		"websocket, h2c":        changed(upgrade("websocket, h2c"), "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"h2c, websocket":        changed(upgrade("h2c, websocket"), "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"TLS/1.0, websocket":    changed(upgrade("TLS/1.0, websocket")),
		"two Upgrade lines":     changed(upgrade("h2c"), "Upgrade: websocket"),
		"Content-Length: 0":     changed(nil, "Content-Length: 0"),
		"empty offers":          changed(nil, "Sec-WebSocket-Protocol:", "Sec-WebSocket-Extensions:"),
		"odd subprotocols":      changed(nil, "Sec-WebSocket-Protocol: a, a, b c"),
		"odd extensions":        changed(nil, "Sec-WebSocket-Extensions: =;"),
		"TR-369":                changed(nil, `Sec-WebSocket-Extensions: bbf-usp-protocol; eid="proto::serial-1"`),
		"Connection names more": changed(connection("Upgrade, HTTP2-Settings, Sec-WebSocket-Key, Host, X-Hop"), "HTTP2-Settings: AAMAAABkAAQAAP__", "X-Hop: 1"),
	} {
		t.Run(name, func(t *testing.T) {
			path := "/" + slug(name)
			asking.Target = path
			client := connect(t, p)
			mustSwitch(t, client, asking.String())
			echoBytes(t, client, "\x81\x82\x00\x00\x00\x00me")
			head := b.headOf(t, path)
			for field, want := range map[string]string{
				"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": proxytest.SampleKey,
				"Sec-WebSocket-Version": "13", "HTTP2-Settings": "", "X-Hop": "", "Host": "test.example", "Content-Length": "",
				"Sec-WebSocket-Extensions": fieldLines(asking.String(), "Sec-WebSocket-Extensions"),
				"Sec-WebSocket-Protocol":   fieldLines(asking.String(), "Sec-WebSocket-Protocol"),
			} {
				if got := fieldLines(head, field); got != want {
					t.Errorf("the backend got %s: %q, wanted %q", field, got, want)
				}
			}
		})
	}
}

// TestSpareBits: a key is 22 characters, of which the last has four bits too many.
// Clients that draw the characters set them, and the proof is made of the characters.
func TestSpareBits(t *testing.T) {
	t.Parallel()
	const key = "dGhlIHNhbXBsZSBub25jZR=="
	b := newWire(t, map[string]script{"/": func(conn net.Conn, in *bufio.Reader, head string) bool {
		fmt.Fprint(conn, proxytest.Switching(proxytest.HeaderValue(head, "Sec-WebSocket-Key")))
		io.Copy(conn, in)
		return false
	}})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	client := connect(t, p)
	got := ask(t, client, changed(map[string]string{"Sec-WebSocket-Key": key}).String())
	if got.status != 101 || got.header.Get("Sec-WebSocket-Accept") != proxytest.Accept(key) {
		t.Errorf("%d %v, wanted 101", got.status, got.header)
	}
}

// fieldLines is every line of a raw head with that name, joined: a second one
// shows.
func fieldLines(head, name string) string {
	var values []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, name) {
			values = append(values, strings.TrimPrefix(value, " "))
		}
	}
	return strings.Join(values, " | ")
}

// TestNoAttempts: forwarded as HTTP/1.1 with nothing of the upgrade left in it,
// the body too. The connection stays usable.
func TestNoAttempts(t *testing.T) {
	t.Parallel()
	mirror := proxytest.Mirror(t)
	p := start(t, web+fill(`
routes:
  on:  {match: {path_prefix: /on}, to: "ws://$mirror"}
  off: {match: {path_prefix: /off}, to: "ws://$mirror", http_fallback: false}
`, map[string]string{"mirror": mirror.Addr}))

	javaHTTP := []string{"Connection: Upgrade, HTTP2-Settings", "Content-Length: 0", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c", "User-Agent: Java-http-client/21"}
	javaPost := []string{"Connection: Upgrade, HTTP2-Settings", "Content-Length: 5", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c"}
	key := []string{"Sec-WebSocket-Key: " + proxytest.SampleKey, "Sec-WebSocket-Version: 13"}
	for name, tt := range map[string]struct {
		method, proto string
		lines         []string
		body          string
	}{
		"h2c, as Java's client":    {"GET", "HTTP/1.1", javaHTTP, ""},
		"h2c, POST":                {"POST", "HTTP/1.1", javaPost, "hello"},
		"h2c, chunked":             {"POST", "HTTP/1.1", []string{"Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked"}, "5\r\nhello\r\n0\r\n\r\n"},
		"TLS/1.0":                  {"GET", "HTTP/1.1", []string{"Connection: Upgrade", "Upgrade: TLS/1.0"}, ""},
		"TLS/1.2, OPTIONS":         {"OPTIONS", "HTTP/1.1", []string{"Connection: Upgrade", "Upgrade: TLS/1.2"}, ""},
		"Connection alone":         {"GET", "HTTP/1.1", append([]string{"Connection: Upgrade"}, key...), ""},
		"Upgrade alone":            {"GET", "HTTP/1.1", append([]string{"Upgrade: websocket"}, key...), ""},
		"Upgrade and keep-alive":   {"GET", "HTTP/1.1", append([]string{"Connection: keep-alive", "Upgrade: websocket"}, key...), ""},
		"Connection like upgrade":  {"GET", "HTTP/1.1", append([]string{"Connection: upgrades", "Upgrade: websocket"}, key...), ""},
		"Upgrade like websocket":   {"GET", "HTTP/1.1", append([]string{"Connection: Upgrade", "Upgrade: websocket/13"}, key...), ""},
		"empty Upgrade":            {"GET", "HTTP/1.1", append([]string{"Connection: Upgrade", "Upgrade:"}, key...), ""},
		"HTTP/1.0":                 {"GET", "HTTP/1.0", append([]string{"Connection: Upgrade, keep-alive", "Upgrade: websocket"}, key...), ""},
		"HTTP/1.0 with keep-alive": {"GET", "HTTP/1.0", append([]string{"Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"}, key...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			head := func(path string) string {
				return request(append([]string{tt.method + " " + path + " " + tt.proto, "Host: a"}, tt.lines...)...)
			}
			client := connect(t, p)
			client.Send(head("/on") + tt.body)
			answer, body := client.Response(tt.method)
			seen := decodeSeen(t, reply{answer.StatusCode, answer.Header, body})
			for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
				if got := seen.Header.Get(name); got != "" {
					t.Errorf("the backend got %s: %q", name, got)
				}
			}
			if want := strings.NewReplacer("5\r\n", "", "\r\n0\r\n\r\n", "").Replace(tt.body); seen.Body != want || seen.Method != tt.method || seen.Proto != "HTTP/1.1" {
				t.Errorf("the backend got %s %q %s, wanted %s %q", seen.Method, seen.Body, seen.Proto, tt.method, want)
			}
			if answer.Close {
				t.Fatal("the answer carries Connection: close")
			}
			client.Send(head("/off") + tt.body)
			if answer, body := client.Response(tt.method); answer.StatusCode != 426 || answer.Header.Get("Upgrade") != "websocket" {
				t.Errorf("without fallback: %d %q", answer.StatusCode, body)
			}
		})
	}
}
