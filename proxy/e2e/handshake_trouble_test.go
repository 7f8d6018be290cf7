package e2e

// Backends that do not answer a handshake, or not with HTTP: 502, or 504 when
// time ran out, whatever went wrong; the client learns no more than that.

import (
	"bufio"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestBackendTrouble(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	b := newWire(t, map[string]script{
		"/closes":          say(""),
		"/resets":          reset,
		"/garbage":         stall("\x15\x03\x01\x00\x02\x02\x28 what is this?\r\n\r\n"),
		"/ssh":             stall("SSH-2.0-OpenSSH_9.7\r\n"),
		"/frames":          stall("\x81\x05hello\r\n\r\n"),
		"/old":             stall("ICY 200 OK\r\n\r\n"),
		"/half":            say(head),
		"/half-body":       say("HTTP/1.1 403 No\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("half ", 1000)),
		"/bomb":            stall(head + "X-Bomb: " + strings.Repeat("x", 70_000) + "\r\n\r\n"),
		"/bomb-lines":      stall(head + strings.Repeat("X: y\r\n", 11_000) + "\r\n"),
		"/bomb-endless":    flood(head+"X-Bomb: ", strings.Repeat("x", 4096)),
		"/interim-endless": flood("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
		"/lengths":         stall("HTTP/1.1 403 No\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
		"/length-chunked":  stall("HTTP/1.1 403 No\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		"/length-negative": stall("HTTP/1.1 403 No\r\nContent-Length: -1\r\n\r\n"),
		"/coding":          stall("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
		"/silent":          stall(""),
		"/half-silent":     stall(head),
		"/interim-silent":  stall("HTTP/1.1 100 Continue\r\n\r\n"),
	})
	p := start(t, web+fill(`
routes:
  all:    {match: {path_prefix: /}, to: "ws://$b"}
  one:    {match: {path_prefix: /half-body}, to: "ws://$b", limits: {tunnels: 1}}
  short:  {match: {path_regex: "^.*silent$"}, to: "ws://$b", timeouts: {handshake: 50ms}}
  closed: {match: {path: /refused}, to: "ws://$closed"}
  hole:   {match: {path: /blackhole}, to: "ws://$hole", timeouts: {connect: 50ms}}
  nobody: {match: {path: /unknown}, to: "ws://no-such-host.invalid"}
`, map[string]string{"b": b.Addr, "closed": proxytest.Refused(t), "hole": blackhole(t)}))

	for path, status := range map[string]int{
		"/closes": 502, "/resets": 502, "/garbage": 502, "/ssh": 502, "/frames": 502, "/old": 502, "/half": 502,
		"/bomb": 502, "/bomb-lines": 502, "/bomb-endless": 502, "/interim-endless": 502,
		"/lengths": 502, "/length-chunked": 502, "/length-negative": 502, "/coding": 502,
		"/silent": 504, "/half-silent": 504, "/interim-silent": 504,
		"/refused": 502, "/blackhole": 504, "/unknown": 502,
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			client := connect(t, p)
			mustBeOwn(t, p, ask(t, client, offering(path).String()), status, path)
			// The connection has lost nothing.
			if got := ask(t, client, request("GET /next HTTP/1.1", "Host: a")); got.body != "ok" {
				t.Errorf("the next request: %d %q", got.status, got.body)
			}
		})
	}

	t.Run("half-body", func(t *testing.T) { // too late for a 502: the answer breaks off
		for range 2 { // the route's one place is free again
			m, client := p.log.mark(), connect(t, p)
			client.Send(offering("/half-body").String())
			if got := client.Rest(); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.HasSuffix(got, "half ") {
				t.Errorf("%.200q, wanted an answer that breaks off", got)
			}
			p.waitLogAfter(m, "request", fields{"path": "/half-body", "status": 403, "level": "WARN"})
		}
	})
}

// reset closes as an aborted process does.
func reset(conn net.Conn, _ *bufio.Reader, _ string) bool {
	conn.(*net.TCPConn).SetLinger(0)
	return false
}

// flood begins an answer and never ends it.
func flood(begin, more string) script {
	return func(conn net.Conn, _ *bufio.Reader, _ string) bool {
		_, err := conn.Write([]byte(begin))
		for err == nil {
			_, err = conn.Write([]byte(more))
		}
		return false
	}
}

// blackhole is an address where connecting takes for ever: a listener whose
// queue is full.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	fillQueue(t, address)
	return address
}

// fillQueue connects without waiting until the kernel stops answering: a queue
// of n holds n+1, and Linux answers no further SYN.
// queueWait is what a loopback connect needs at most, were there room.
const queueWait = 300 * time.Millisecond

func fillQueue(t *testing.T, address string) {
	t.Helper()
	for range 4 {
		dialer := net.Dialer{Timeout: queueWait}
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this kernel's queue of 0 never fills")
}
