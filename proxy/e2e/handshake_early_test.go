package e2e

// What a client sends behind its handshake without waiting for the 101: the
// tunnel's first bytes if there is one, and dropped if there is none.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestEarlyFrames(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan string, 10), make(chan bool)
	b := newWire(t, map[string]script{
		"/now": repeat(switching()),
		"/wait": func(conn net.Conn, in *bufio.Reader, head string) bool {
			asked <- head
			<-answer
			return repeat(switching())(conn, in, head)
		},
	})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b", keepalive: {ping: "off"}}}
`, map[string]string{"b": b.Addr}))

	frame := "\x81\x85\x00\x00\x00\x00early"
	t.Run("same packet", func(t *testing.T) {
		client := connect(t, p)
		mustSwitch(t, client, proxytest.Handshake{Target: "/now", Body: frame}.String())
		mustRead(t, client, frame)
		echoBytes(t, client, "\x81\x84\x00\x00\x00\x00next") // the first did not come twice
	})
	t.Run("before the 101", func(t *testing.T) {
		client := connect(t, p)
		client.Send(proxytest.Handshake{Target: "/wait"}.String())
		arrives(t, asked)
		client.Send(frame)
		answer <- true
		mustSwitch(t, client, "")
		mustRead(t, client, frame)
		echoBytes(t, client, frame)
	})
	t.Run("100 KiB", func(t *testing.T) {
		// More than is held: the rest waits in the kernel, and the order is kept.
		var many strings.Builder
		for i := range 100 << 10 / 16 {
			fmt.Fprintf(&many, "\x82\x8a\x00\x00\x00\x00%010d", i)
		}
		client := connect(t, p)
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(client.Conn, proxytest.Handshake{Target: "/wait", Body: many.String()}.String())
			sent <- err
		}()
		arrives(t, asked)
		answer <- true
		mustSwitch(t, client, "")
		mustRead(t, client, many.String())
		if err := <-sent; err != nil {
			t.Error(err)
		}
		echoBytes(t, client, frame)
	})
}

// TestEarlyFramesRefused: the answer arrives, the connection ends, and what was
// held has reached no backend.
func TestEarlyFramesRefused(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": keep("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	for name, early := range map[string]string{
		"a frame": "\x81\x85\x00\x00\x00\x00early", "a byte": "G", "many": strings.Repeat("\x81\x85\x00\x00\x00\x00early", 20_000),
	} {
		client := connect(t, p)
		go io.WriteString(client.Conn, proxytest.Handshake{Target: "/", Body: early}.String()) // may fail: the proxy does not read it all
		answer, body := client.Response("GET")
		if answer.StatusCode != 403 || body != "no" || !answer.Close {
			t.Errorf("%s: %d %q, close %v, wanted the backend's 403 and close", name, answer.StatusCode, body, answer.Close)
		}
		if rest := client.Rest(); rest != "" {
			t.Errorf("%s: %q behind the answer", name, rest)
		}
	}
	if got := b.got(); strings.Contains(got, "early") || strings.Count(got, "\r\n\r\n") != 3 {
		t.Errorf("the backend got %.1000q", got)
	}
}

// mustSwitch sends text, if there is any, and reads the head of a 101.
func mustSwitch(t *testing.T, client *proxytest.Raw, text string) {
	t.Helper()
	if text != "" {
		client.Send(text)
	}
	if answer, body := client.Response("GET"); answer.StatusCode != 101 {
		t.Fatalf("%d %q, wanted 101", answer.StatusCode, body)
	}
}

// mustRead reads exactly want.
func mustRead(t *testing.T, client *proxytest.Raw, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(client.Reader, got); err != nil || string(got) != want {
		t.Fatalf("%d bytes, %v: %.80q, wanted %d: %.80q", n, err, got[:n], len(want), want)
	}
}
