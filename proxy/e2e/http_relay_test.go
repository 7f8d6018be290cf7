package e2e

// What HTTP says of proxies: which requests end here, and what of a backend's
// answer about the connection the client is told all the same.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestUpgradeRequiredIsRelayed: a 426 says which protocol to ask for, on the way
// through the proxy too, whether it answers a plain request or a handshake.
func TestUpgradeRequiredIsRelayed(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{
		"/426": keep("HTTP/1.1 426 Upgrade Required\r\nUpgrade: mqtt/5, websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nno"),
		"/200": keep("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"),
	})
	p := site(t, b.Addr)
	client := connect(t, p)
	for name, lines := range map[string][]string{
		"request":   {"GET /426 HTTP/1.1", "Host: a"},
		"handshake": handshakeLines("/426"),
	} {
		got := ask(t, client, request(lines...))
		if got.status != 426 || got.header.Get("Upgrade") != "mqtt/5, websocket" || got.header.Get("Connection") != "Upgrade" || got.header["X-Hop"] != nil {
			t.Errorf("%s: %d %v, wanted a 426 with Upgrade", name, got.status, got.header)
		}
	}
	if got := ask(t, client, request("GET /200 HTTP/1.1", "Host: a")); got.header["Upgrade"] != nil || got.header["Connection"] != nil {
		t.Errorf("200: %v, wanted no Upgrade", got.header)
	}

	// Bytes behind the handshake end the connection, which Upgrade does not hide.
	client.Send(request(handshakeLines("/426")...) + "\x81\x00")
	answer, _ := client.Response("GET")
	if !answer.Close || answer.Header.Get("Upgrade") == "" {
		t.Errorf("with bytes behind: %v, close %v, wanted both Upgrade and close", answer.Header, answer.Close)
	}
	client.Rest()
}

// handshakeLines is a WebSocket handshake for a path.
func handshakeLines(path string) []string {
	return []string{"GET " + path + " HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
}

// TestOneAuthority: a port that is the scheme's, written or not, names the same
// place.
func TestOneAuthority(t *testing.T) {
	t.Parallel()
	p := start(t, web+`routes: {all: {match: {host: a.example}, to: "http://`+proxytest.Mirror(t).Addr+`", preserve_host: true}}`)
	for _, tt := range []struct {
		target, host string
		status       int
	}{
		{"http://a.example:80/x", "a.example", 200},
		{"http://a.example/x", "a.example:80", 200},
		{"http://a.example:/x", "a.example", 200},
		{"/x", "a.example:", 200},
		{"http://a.example:81/x", "a.example", 400},
		{"https://a.example:80/x", "a.example", 400},
	} {
		if got := ask(t, connect(t, p), request("GET "+tt.target+" HTTP/1.1", "Host: "+tt.host)); got.status != tt.status {
			t.Errorf("%s with Host %s: %d %q, wanted %d", tt.target, tt.host, got.status, got.body, tt.status)
		}
	}
}

// TestMaxForwards: a request that may not go further is answered here.
func TestMaxForwards(t *testing.T) {
	t.Parallel()
	backend := proxytest.Mirror(t).Addr
	p := start(t, web+fill(`
routes:
  all:   {match: {path_prefix: /}, to: "http://$backend"}
  trace: {match: {path_prefix: /traced, methods: [GET, TRACE]}, to: "http://$backend"}
`, map[string]string{"backend": backend}))
	client := connect(t, p)
	for _, tt := range []struct {
		method, max, passed string // passed is what the backend gets
	}{
		{"OPTIONS", "5", "4"}, {"OPTIONS", "1", "0"}, {"TRACE", "2", "1"},
		{"OPTIONS", "99999999999999999999999", "18446744073709551614"},
		{"OPTIONS", "-1", "-1"}, {"OPTIONS", "x", "x"}, {"OPTIONS", "", ""},
		{"GET", "0", "0"}, {"GET", "3", "3"}, // says nothing there
	} {
		seen := decodeSeen(t, ask(t, client, request(tt.method+" /traced HTTP/1.1", "Host: a", "Max-Forwards: "+tt.max)))
		if got := seen.Header.Get("Max-Forwards"); got != tt.passed || seen.Method != tt.method {
			t.Errorf("%s with Max-Forwards %s: the backend got %s with %q, wanted %q", tt.method, tt.max, seen.Method, got, tt.passed)
		}
	}

	got := ask(t, client, request("OPTIONS /traced HTTP/1.1", "Host: a", "Max-Forwards: 0"))
	if got.status != 200 || got.body != "" || !strings.Contains(got.header.Get("Allow"), "OPTIONS") {
		t.Errorf("OPTIONS with Max-Forwards 0: %d %v %q", got.status, got.header, got.body)
	}
	got = ask(t, client, request("OPTIONS * HTTP/1.1", "Host: a", "Max-Forwards: 0"))
	if got.status != 200 || got.body != "" || !strings.Contains(got.header.Get("Allow"), "OPTIONS") {
		t.Errorf("OPTIONS * with Max-Forwards 0: %d %v %q", got.status, got.header, got.body)
	}
	if got = ask(t, client, request("OPTIONS * HTTP/1.1", "Host: a")); got.status != 400 {
		t.Errorf("OPTIONS * of no route: %d, wanted 400", got.status)
	}
	got = ask(t, client, request("TRACE /traced?x HTTP/1.1", "Host: a", "Max-Forwards: 0", "X-A: b", "Cookie: secret", "Authorization: Basic secret"))
	if want := "TRACE /traced?x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX-A: b\r\n\r\n"; got.status != 200 || got.body != want || got.header.Get("Content-Type") != "message/http" {
		t.Errorf("TRACE with Max-Forwards 0: %d %v %q, wanted %q", got.status, got.header, got.body, want)
	}

	for _, text := range []string{
		request("TRACE / HTTP/1.1", "Host: a"),
		request("TRACE / HTTP/1.1", "Host: a", "Max-Forwards: 0"),
	} {
		if got := ask(t, client, text); got.status != 405 || got.header.Get("Allow") == "" {
			t.Errorf("%q: %d %v, wanted 405 with Allow", text, got.status, got.header)
		}
	}
	if got := ask(t, client, request("TRACE /traced HTTP/1.1", "Host: a", "Content-Length: 2")+"no"); got.status != 400 {
		t.Errorf("TRACE with a body: %d, wanted 400", got.status)
	}
}
