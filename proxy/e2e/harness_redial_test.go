package e2e

// What the scenarios of on_backend_loss: redial have in common.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// redialling is a routes file with one route, at /, to a pool of these backends
// (name: URL), each with what more says of it.
func redialling(backends map[string]string, more map[string]string, pool, route string) string {
	var lines strings.Builder
	for name, url := range backends {
		fmt.Fprintf(&lines, "      %s: {url: %q%s}\n", name, url, more[name])
	}
	return web + "pools:\n  p:\n    backends:\n" + lines.String() + pool + `
routes:
  all:
    match: {path: /}
    to: "pool://p"
    on_backend_loss: redial
    drain: {window: off, close_timeout: 2s, reason: moving}
` + route + statusRoute
}

// dialogue is a client that sends one message after the other, each when the echo of
// the last has come, until it is stopped.
type dialogue struct {
	conn   *websocket.Conn
	stop   chan struct{}
	echoed chan struct{} // gets one with every echo that a test waits for
	end    chan error
}

func startDialogue(conn *websocket.Conn) *dialogue {
	c := &dialogue{conn: conn, stop: make(chan struct{}), echoed: make(chan struct{}), end: make(chan error, 1)}
	go func() { c.end <- c.run() }()
	return c
}

func (c *dialogue) run() error {
	for n := 0; ; n++ {
		if err := exchange(c.conn, fmt.Sprint("message ", n)); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		select {
		case c.echoed <- struct{}{}:
		case <-c.stop:
			return nil
		default:
		}
	}
}

// mustContinue waits for more echoes.
func (c *dialogue) mustContinue(t *testing.T) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for range 5 {
		select {
		case <-c.echoed:
		case err := <-c.end:
			t.Fatal(err)
		case <-late.C:
			t.Fatalf("no echo within %v", patience)
		}
	}
}

// mustEnd stops it, and fails the test if a message was lost.
func (c *dialogue) mustEnd(t *testing.T) {
	t.Helper()
	close(c.stop)
	if err := <-c.end; err != nil {
		t.Error(err)
	}
}

// waitMoving waits until so many tunnels are between two backends.
func (p *proxy) waitMoving(n int) {
	p.t.Helper()
	p.waitStatus("moving", n, func(s statusapi.Status) int { return s.Tunnels.Moving })
}

// heldUp is a URL in front of an address: connections are taken at once, and their bytes
// once they are released.
func heldUp(t *testing.T, address string) (url string, release func()) {
	released, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		select {
		case <-released:
		case <-open:
			return
		}
		_ = conn.SetDeadline(time.Time{})
		behind, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer behind.Close()
			io.Copy(behind, conn)
		}()
		io.Copy(conn, behind)
	})
	t.Cleanup(func() { close(open) })
	return "ws://" + backend.Addr, func() { once.Do(func() { close(released) }) }
}

// echoBackend is a gorilla server whose tunnels a test can cut.
func echoBackend(t *testing.T, o proxytest.EchoOptions) *proxytest.Echo {
	t.Helper()
	return proxytest.EchoServer(t, o)
}

// cutTunnel has the one tunnel's backend go, and waits until another has it. (What is
// said before the proxy knows is lost with the first.)
func (p *proxy) cutTunnel(servers ...*proxytest.Echo) {
	p.t.Helper()
	had := p.logged(0, "tunnel redialled")
	at := p.waitLog("tunnel opened", nil)
	if len(had) > 0 {
		at = had[len(had)-1]
	}
	for _, s := range servers {
		if at.text("backend") == "p "+s.WS() {
			s.CutTunnels()
		}
	}
	if _, err := p.log.wait(0, len(had)+1, "tunnel redialled", nil); err != nil {
		p.t.Fatal(err)
	}
}

// hanging is a backend that takes connections and answers no handshake.
func hanging(t *testing.T) (url string, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{}, 100)
	b := proxytest.NewRawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			asked <- struct{}{}
		}
		conn.Read(make([]byte, 1)) // until it is closed
	})
	return "ws://" + b.Addr, asked
}
