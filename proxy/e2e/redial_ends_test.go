package e2e

// on_backend_loss: redial, where a tunnel cannot continue or is ended meanwhile: it
// ends as it would have without.

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestRedialLimits: tunnels of a backend that is lost get no more places than there
// are, and as many as fit wait in the queue; the others are told to come back.
func TestRedialLimits(t *testing.T) {
	t.Parallel()
	const tunnels, places, line = 60, 20, 10
	a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
	p := start(t, redialling(map[string]string{"a": a.WS(), "b": b.WS()},
		map[string]string{"b": fmt.Sprintf(", standby: true, max_tunnels: %d", places)},
		fmt.Sprintf("    queue: {length: %d, wait: 30s}\n", line), ""))
	conns := dialMany(t, p.ws("/"), tunnels)
	for _, conn := range conns {
		echo(t, conn, "before")
	}
	a.CutTunnels()
	for message, n := range map[string]int{"tunnel redialled": places, "tunnel not redialled": tunnels - places - line} {
		if _, err := p.log.wait(0, n, message, nil); err != nil {
			t.Fatal(err)
		}
	}
	var stay, told atomic.Int64
	var clients sync.WaitGroup
	for _, conn := range conns {
		clients.Go(func() {
			err := exchange(conn, "after")
			var closed *websocket.CloseError
			switch {
			case err == nil:
				stay.Add(1)
			case errors.As(err, &closed) && closed.Code == 1012:
				told.Add(1)
			default:
				t.Errorf("%v, wanted an echo or 1012", err)
			}
			conn.Close() // which makes room for one in the queue
		})
	}
	clients.Wait()
	if n := len(b.Requests()); stay.Load() != places+line || told.Load() != tunnels-places-line || n != places+line {
		t.Errorf("%d stay and %d were told to come back, after %d handshakes; wanted %d to stay", stay.Load(), told.Load(), n, places+line)
	}
	p.waitOpen(0)
}

// TestRedialFlapping: backends that take the tunnel and go at once are not asked for ever.
func TestRedialFlapping(t *testing.T) {
	t.Parallel()
	flaps := func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			fmt.Fprint(conn, proxytest.Switching(r.Header.Get("Sec-Websocket-Key")))
		}
	}
	a, b := proxytest.NewRawBackend(t, flaps), proxytest.NewRawBackend(t, flaps)
	p := start(t, redialling(map[string]string{"a": "ws://" + a.Addr, "b": "ws://" + b.Addr}, nil, "", ""))
	conn := dial(t, p.ws("/"))
	if code, _ := closeCode(t, conn); code != 1012 {
		t.Errorf("closed with %d, wanted 1012", code)
	}
	if n := a.Accepted() + b.Accepted(); n < 3 || n > 20 {
		t.Errorf("%d handshakes, wanted some and not many", n)
	}
	p.waitLog("tunnel not redialled", nil)
}

// TestRedialInterrupted: what ends a tunnel ends it during a redial too: its client,
// its route, the proxy.
func TestRedialInterrupted(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, p *proxy, conn *websocket.Conn){
		"client closes": func(t *testing.T, p *proxy, conn *websocket.Conn) {
			conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "enough"))
			if code, _ := closeCode(t, conn); code != 4001 {
				t.Errorf("answered with %d, wanted 4001", code)
			}
			p.waitLog("tunnel closed", fields{"closed_by": "client", "reason": "closed", "code": 4001})
		},
		"client goes": func(t *testing.T, p *proxy, conn *websocket.Conn) {
			conn.Close()
			p.waitLog("tunnel closed", fields{"closed_by": "client", "reason": "lost"})
		},
		"route removed": func(t *testing.T, p *proxy, conn *websocket.Conn) {
			p.edit(web + "routes:" + statusRoute)
			if code, reason := closeCode(t, conn); code != 1012 || reason != "moving" {
				t.Errorf("closed with %d %q, wanted the route's", code, reason)
			}
			p.waitLog("tunnel closed", fields{"closed_by": "proxy", "reason": "drain"})
		},
		"shutdown": func(t *testing.T, p *proxy, conn *websocket.Conn) {
			p.signal(syscall.SIGTERM)
			if code, _ := closeCode(t, conn); code != 1001 {
				t.Errorf("closed with %d, wanted 1001", code)
			}
			p.waitLog("tunnel closed", fields{"closed_by": "proxy", "reason": "shutdown"})
		},
		"timeout": func(t *testing.T, p *proxy, conn *websocket.Conn) {
			if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
				t.Errorf("closed with %d %q, wanted 1012", code, reason)
			}
			p.waitLog("tunnel not redialled", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := echoBackend(t, proxytest.EchoOptions{})
			url, asked := hanging(t)
			timeouts := "    timeouts: {handshake: 1h}\n"
			if name == "timeout" {
				timeouts = "    timeouts: {handshake: 200ms}\n"
			}
			p := start(t, "shutdown: {delay: 0s, window: 10ms}\n"+
				redialling(map[string]string{"a": a.WS(), "b": url}, map[string]string{"b": ", standby: true"}, "", timeouts))
			conn := dial(t, p.ws("/"))
			echo(t, conn, "before")
			a.CutTunnels()
			<-asked
			end(t, p, conn)
		})
	}
}
