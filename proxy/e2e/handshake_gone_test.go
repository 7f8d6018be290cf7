package e2e

// Clients that leave, or stop sending, while their handshake is under way.

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestClientResets: a backend that thinks is told that nobody waits any more,
// and the place among the route's tunnels is free again.
func TestClientResets(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan bool, 10), make(chan bool, 10)
	thinking := func(_ net.Conn, in *bufio.Reader, _ string) bool {
		asked <- true
		io.Copy(io.Discard, in) // until the proxy closes
		ended <- true
		return false
	}
	b := newWire(t, map[string]script{"/": thinking})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b", timeouts: {handshake: 1h, response: 1h}, limits: {tunnels: 1}}}
`, map[string]string{"b": b.Addr}))
	for path, text := range map[string]string{
		"/ws":    proxytest.Handshake{Target: "/ws"}.String(),
		"/early": proxytest.Handshake{Target: "/early", Body: "\x81\x85\x00\x00\x00\x00early"}.String(),
		"/get":   request("GET /get HTTP/1.1", "Host: a"),
	} {
		t.Run(path[1:], func(t *testing.T) {
			client := connect(t, p)
			client.Send(text)
			arrives(t, asked)
			client.Conn.(*net.TCPConn).SetLinger(0)
			client.Close()
			arrives(t, ended)
			p.waitLog("request", fields{"path": path, "status": 499})
		})
	}
}

// TestClientHalfCloses right behind its first frames: the backend gets them and
// the end of file, and what it says after that arrives.
func TestClientHalfCloses(t *testing.T) {
	t.Parallel()
	const frame, late = "\x81\x85\x00\x00\x00\x00early", "\x81\x04late\x88\x02\x03\xe8"
	got := make(chan string, 10)
	lateAnswer := func(conn net.Conn, in *bufio.Reader, head string) bool {
		io.WriteString(conn, accepting(switching(), head))
		all, _ := io.ReadAll(in)
		got <- string(all)
		io.WriteString(conn, late)
		return false
	}
	b := newWire(t, map[string]script{"/": lateAnswer})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))

	for name, afterwards := range map[string]bool{"with the request": false, "after the 101": true} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, p)
			client.Send(proxytest.Handshake{Target: "/"}.String())
			if afterwards {
				mustSwitch(t, client, "")
			}
			client.Send(frame)
			client.CloseWrite()
			if all := arrives(t, got); all != frame {
				t.Errorf("the backend got %q, wanted %q and the end", all, frame)
			}
			if !afterwards {
				mustSwitch(t, client, "")
			}
			if rest := client.Rest(); rest != late {
				t.Errorf("the client got %q, wanted %q", rest, late)
			}
		})
	}
}

// arrives is the next value of a channel; the test fails if there is none.
func arrives[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("unreachable")
	}
}
