package e2e

// Clients that leave, or stop sending, while their handshake is under way.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestClientResets: a backend that thinks is told that its client has gone,
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

// TestClientHalfCloses right behind its first frames, once it has its 101: the backend
// gets them and the end of file, and what it says after that arrives.
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

	client := connect(t, p)
	mustSwitch(t, client, proxytest.Handshake{Target: "/"}.String())
	client.Send(frame)
	client.CloseWrite()
	if all := arrives(t, got); all != frame {
		t.Errorf("the backend got %q, wanted %q and the end", all, frame)
	}
	if rest := client.Rest(); rest != late {
		t.Errorf("the client got %q, wanted %q", rest, late)
	}
}

// TestWaitingClientGoes by every way of a handshake, plain and with TLS, with FIN or
// RST, with early bytes and with a little more of them than are kept (what the
// kernel has no room for either would hide a FIN behind it): the backend is told, and
// the one place of the route, and of the backend, is free for the next client.
func TestWaitingClientGoes(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan bool, 10), make(chan bool, 10)
	thinking := func(_ net.Conn, in *bufio.Reader, _ string) bool {
		asked <- true
		io.Copy(io.Discard, in) // until the proxy closes
		ended <- true
		return false
	}
	b := newWire(t, map[string]script{"/think": thinking})
	certificate := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	p := start(t, fill(`
version: 1
listeners:
  web: {address: "127.0.0.1:0"}
  tls: {address: "127.0.0.1:0", http2: false, tls: {certificates: [{certificate: $cert, key: $key}]}}
defaults: {timeouts: {handshake: off}, limits: {tunnels: 1}}
pools:
  direct:  {backends: {b: {url: "ws://$b", max_tunnels: 1}}}
  waiting: {backends: {b: {url: "ws://$b", max_tunnels: 1}}, queue: {length: 1, wait: 1h}}
routes:
  direct:  {match: {path: /think, host: direct.example}, to: "pool://direct"}
  waiting: {match: {path: /think, host: waiting.example}, to: "pool://waiting"}
  page:    {match: {path: /page}, respond: {status: 200}, limits: {tunnels: off}}
`, map[string]string{"b": b.Addr, "cert": certificate.File, "key": certificate.KeyFile}))
	early := map[string]string{"": "", " early": "\x81\x85\x00\x00\x00\x00early", " much": strings.Repeat("\x82\x84\x00\x00\x00\x00much", 6800)}
	for _, listener := range []string{"web", "tls"} {
		for _, host := range []string{"direct.example", "waiting.example"} {
			for _, kept := range []bool{false, true} {
				for what, bytes := range early {
					for _, fin := range []bool{true, false} {
						name := fmt.Sprintf("%s %s%s, kept %v, FIN %v", listener, host, what, kept, fin)
						m, client := p.log.mark(), dialRaw(t, p, listener)
						if kept {
							client.send(request("GET /page HTTP/1.1", "Host: a"))
							if head := client.head(); !strings.HasPrefix(head, "HTTP/1.1 200") {
								t.Fatalf("%s: %q", name, head)
							}
						}
						client.send(proxytest.Handshake{Target: "/think", Host: host}.String() + bytes)
						arrives(t, asked) // or the place was not free
						if fin {
							client.tcp.CloseWrite()
						} else {
							client.tcp.SetLinger(0)
							client.tcp.Close()
						}
						arrives(t, ended)
						p.waitLogAfter(m, "request", fields{"path": "/think", "status": 499}) // its places are free by now
					}
				}
			}
		}
	}
}

// rawClient is a connection to a listener, with TLS or without.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	tcp  *net.TCPConn
}

func dialRaw(t *testing.T, p *proxy, listener string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", p.address(listener))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{t, conn, conn.(*net.TCPConn)}
	if listener == "tls" {
		c.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // another test's matter
	}
	return c
}

// send does not wait for what is not read.
func (c *rawClient) send(text string) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// head reads an answer's head, and no more of it than comes at once.
func (c *rawClient) head() string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4<<10)
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b[:n])
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
