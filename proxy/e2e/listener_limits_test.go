package e2e

// What a listener bounds before any route is asked: how long a head may take,
// and how many connections there are at once.

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestHeaderTimeout: a head that does not come in time is answered 408, if it
// had begun, and its connection closed; bodies and pauses between requests may
// take longer.
func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	p := start(t, fill(`version: 1
listeners:
  web: {address: "127.0.0.1:0", limits: {header_timeout: 200ms}}
  tls: {address: "127.0.0.1:0", limits: {header_timeout: 200ms}, tls: {certificates: [$c]}}
routes: {echo: {to: "internal://echo"}}
`, map[string]string{"c": files(authority.Issue([]string{"127.0.0.1"}))}))
	for name, begin := range map[string]string{
		"no byte":           "",
		"a method":          "GET",
		"a line":            "GET / HTTP/1.1\r\n",
		"a header":          "GET / HTTP/1.1\r\nHost: a\r\n",
		"half a handshake":  strings.TrimSuffix(proxytest.Handshake{}.String(), "\r\n"),
		"the second's head": request("HEAD / HTTP/1.1", "Host: a") + "GET /",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := connect(t, p)
			client.Send(begin)
			rest := client.Rest() // fails the test unless the connection is closed
			if begun := begin != ""; begun != strings.Contains(rest, "HTTP/1.1 408 ") {
				t.Errorf("answered %q, wanted 408: %v", rest, begun)
			}
		})
	}
	t.Run("no TLS handshake", func(t *testing.T) {
		t.Parallel()
		if rest := proxytest.Dial(t, p.address("tls")).Rest(); rest != "" {
			t.Errorf("answered %q, wanted the connection closed", rest)
		}
	})
	t.Run("no byte over TLS", func(t *testing.T) {
		t.Parallel()
		conn, err := tls.Dial("tcp", p.address("tls"), &tls.Config{RootCAs: authority.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		proxytest.RawOver(t, conn).Rest()
	})
	t.Run("a slow body", func(t *testing.T) {
		t.Parallel()
		slow, other := connect(t, p), connect(t, p)
		slow.Send(request("POST / HTTP/1.1", "Host: a", "Content-Length: 4") + "ab")
		other.Rest() // longer than header_timeout
		if got := ask(t, slow, "cd"); got.status != 200 || !strings.Contains(got.body, "abcd") {
			t.Errorf("%d %q, wanted the echo", got.status, got.body)
		}
		// Nor is a pause between two requests a slow head.
		connect(t, p).Rest()
		if got := ask(t, slow, request("GET / HTTP/1.1", "Host: a")); got.status != 200 {
			t.Errorf("after a pause: %d %q", got.status, got.body)
		}
	})
}

// TestConnectionLimit: more connections than that wait until one is free, and
// tunnels count; a reload raises the limit live.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	routes := func(connections string) string {
		return `version: 1
listeners: {web: {address: "127.0.0.1:0", limits: {connections: ` + connections + `}}}
routes: {echo: {to: "internal://echo"}}
`
	}
	p := start(t, routes("2"))
	tunnel := dial(t, p.ws("/"))
	echo(t, tunnel, "one")
	idle := connect(t, p)
	if got := ask(t, idle, request("GET / HTTP/1.1", "Host: a")); got.status != 200 {
		t.Fatalf("the second: %d %q", got.status, got.body)
	}

	third := connect(t, p) // by the kernel, not yet by the proxy
	third.Send(request("GET / HTTP/1.1", "Host: a"))
	answered := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(third.Reader, make([]byte, 12))
		answered <- err
	}()
	echo(t, tunnel, "while the third waits")
	if got := ask(t, idle, request("GET / HTTP/1.1", "Host: a")); got.status != 200 {
		t.Fatalf("while the third waits: %d %q", got.status, got.body)
	}
	select {
	case err := <-answered:
		t.Errorf("the third was answered beside two others (%v)", err)
	default:
	}
	tunnel.Close()
	if err := <-answered; err != nil {
		t.Errorf("the third, once there was room: %v", err)
	}

	fourth := connect(t, p)
	fourth.Send(request("GET / HTTP/1.1", "Host: a"))
	p.edit(routes("3"))
	if answer, _ := fourth.Response("GET"); answer.StatusCode != 200 {
		t.Errorf("the fourth, after the limit was raised: %d", answer.StatusCode)
	}
}

// TestListenerLimits: a head over the listener's limits never meets a route.
func TestListenerLimits(t *testing.T) {
	t.Parallel()
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
