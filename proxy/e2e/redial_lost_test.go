package e2e

// on_backend_loss: redial: tunnels that outlive their backend, behind clients that do
// not notice; and where that cannot be, the end that they would have had without.

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// dialogue is a client that says one thing after the other, each when it has heard the
// echo of the last, until it is stopped.
type dialogue struct {
	conn *websocket.Conn
	stop atomic.Bool
	said atomic.Int64
	end  chan error
}

func goOn(conn *websocket.Conn) *dialogue {
	c := &dialogue{conn: conn, end: make(chan error, 1)}
	go func() {
		for !c.stop.Load() {
			if err := exchange(conn, fmt.Sprint("message ", c.said.Load())); err != nil {
				c.end <- err
				return
			}
			c.said.Add(1)
		}
		c.end <- nil
	}()
	return c
}

// goesOn waits for more to be said than now.
func (c *dialogue) goesOn(t *testing.T) {
	t.Helper()
	for target := c.said.Load() + 5; c.said.Load() < target; {
		select {
		case err := <-c.end:
			t.Fatalf("after %d messages: %v", c.said.Load(), err)
		default:
		}
	}
}

func (c *dialogue) ends(t *testing.T) {
	t.Helper()
	c.stop.Store(true)
	if err := <-c.end; err != nil {
		t.Errorf("after %d messages: %v", c.said.Load(), err)
	}
}

// TestRedialKilled: servers that are killed, one of them after it has hung for a
// while, take no tunnel with them.
func TestRedialKilled(t *testing.T) {
	t.Parallel()
	const tunnels = 30
	servers := map[string]*proxy{"a": server(t, "a"), "b": server(t, "b"), "c": server(t, "c")}
	urls := map[string]string{}
	for name, s := range servers {
		urls[name] = "ws://" + s.address("web")
	}
	// When the second one goes, the first has no tunnels and nobody has complained of it,
	// so that it is asked first.
	p := start(t, redialling(urls, nil, "", "    retry: {others: 0, budget: 1%}\n"))
	conns := dialMany(t, p.ws("/"), tunnels)
	for _, conn := range conns {
		echo(t, conn, "before")
	}
	lost := 0
	for _, name := range []string{"a", "b"} {
		had := p.countLog("tunnel redialled", nil)
		if name == "b" {
			servers[name].signal(syscall.SIGSTOP)
		}
		if err := servers[name].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		identity := "p " + urls[name]
		opened := p.countLog("tunnel opened", fields{"backend": identity}) + p.countLog("tunnel redialled", fields{"backend": identity})
		lost += opened
		if _, err := p.log.wait(0, had+opened, "tunnel redialled", nil); err != nil {
			t.Fatal(err)
		}
		for _, l := range p.logged(0, "tunnel redialled")[had:] {
			if l.text("from") != identity || l.text("reason") != "lost" || l.text("backend") == identity {
				t.Errorf("redialled from %q to %q because of %q, wanted from %q because it was lost", l.text("from"), l.text("backend"), l.text("reason"), identity)
			}
		}
		for _, conn := range conns {
			echo(t, conn, "after "+name)
		}
	}
	if want := tunnels/3 + tunnels/2; lost != want {
		t.Errorf("%d tunnels were redialled, wanted %d", lost, want)
	}
	if got := get(t, p.http("/status")); !strings.Contains(got.body, fmt.Sprintf(`"redialled": %d`, lost)) {
		t.Errorf("status says %s, wanted redialled to be %d", got.body, lost)
	}
	for _, conn := range conns {
		conn.Close()
	}
	p.waitOpen(0)
	for _, l := range p.logged(0, "tunnel closed") {
		if l.text("backend") != "p "+urls["c"] {
			t.Errorf("a tunnel has ended at %q, wanted the last server", l.text("backend"))
		}
	}
}

// TestRedialAllAsked: however many backends are dead, and whatever is known of them,
// the one that is there is found.
func TestRedialAllAsked(t *testing.T) {
	t.Parallel()
	const tunnels = 40
	first, last := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
	busy := proxytest.NewRawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		}
	})
	urls, tiers := map[string]string{"a": first.WS(), "z": last.WS()}, map[string]string{"z": ", tier: 9"}
	for i, url := range []string{nobody(t), nobody(t), nobody(t), nobody(t), "ws://" + busy.Addr} {
		name := fmt.Sprint("dead", i)
		urls[name], tiers[name] = url, fmt.Sprintf(", tier: %d", i+1)
	}
	for name, pool := range map[string]string{
		"ejected":       "    health: {passive: {fails: 1, at_most: 100%}}\n",
		"never ejected": "    health: {passive: {fails: off}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, redialling(urls, tiers, pool, ""))
			conns := dialMany(t, p.ws("/"), tunnels)
			for _, conn := range conns {
				echo(t, conn, "before")
			}
			first.CutTunnels()
			if _, err := p.log.wait(0, tunnels, "tunnel redialled", fields{"backend": "p " + last.WS()}); err != nil {
				t.Fatal(err)
			}
			for _, conn := range conns {
				echo(t, conn, "after")
				conn.Close()
			}
			p.waitOpen(0)
		})
	}
}

// nobody is a URL at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "ws://" + l.Addr().String()
}

// TestRedialWaits: what clients say once the proxy has seen that their backend is lost
// reaches the next one, however long that takes and many they are.
func TestRedialWaits(t *testing.T) {
	t.Parallel()
	const tunnels = 200
	a, b := server(t, "a"), server(t, "b")
	url, release := heldUp(t, b.address("web"))
	p := start(t, redialling(map[string]string{"a": "ws://" + a.address("web"), "b": url}, map[string]string{"b": ", standby: true"},
		"", "    timeouts: {handshake: 1h}\n"))
	conns := dialMany(t, p.ws("/"), tunnels)
	for _, conn := range conns {
		echo(t, conn, "before")
	}
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.waitMoving(tunnels)
	for i, conn := range conns {
		for part := range 3 {
			if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%d of %d", part, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	release()
	for i, conn := range conns {
		for part := range 3 {
			want := fmt.Sprintf("%d of %d", part, i)
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
				t.Fatalf("%q and %v, wanted %q", got, err, want)
			}
		}
		conn.Close()
	}
	p.waitOpen(0)
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

// TestRedialDrained: a backend that is drained, removed, or replaced in place is left
// between two messages, and nothing that is said meanwhile is lost.
func TestRedialDrained(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	both := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	direct := func(to *backend) string {
		return "  direct: {match: {path: /direct}, to: " + to.url("ws") + ", on_backend_loss: redial, drain: {window: off}}\n"
	}
	p := start(t, redialling(both, map[string]string{"b": ", drain: true"}, "", direct(a)))
	var talks []*dialogue
	for range 8 {
		talks = append(talks, goOn(dial(t, p.ws("/"))))
	}
	talks = append(talks, goOn(dial(t, p.ws("/direct"))))
	for i, edit := range []string{
		redialling(both, map[string]string{"a": ", drain: true"}, "", direct(b)),
		redialling(map[string]string{"a": a.url("ws")}, nil, "", direct(a)),
		redialling(map[string]string{"b": b.url("ws")}, nil, "", direct(b)),
	} {
		p.edit(edit)
		if _, err := p.log.wait(0, (i+1)*len(talks), "tunnel redialled", fields{"reason": "drain"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range talks {
			c.goesOn(t)
		}
	}
	for _, c := range talks {
		c.ends(t)
	}
	for _, c := range talks[:8] {
		if got := who(t, c.conn); got != "b" {
			t.Errorf("a tunnel is at %q, wanted b", got)
		}
	}
	handshakes := a.requests()
	first, again := handshakes[0], handshakes[len(handshakes)-1]
	if first.Header.Get("Sec-Websocket-Key") == again.Header.Get("Sec-Websocket-Key") {
		t.Error("the handshake was repeated with the same key")
	}
}

// TestRedialHandshake: the handshake that is repeated is the first one, but for its key.
func TestRedialHandshake(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	urls := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	route := "    headers: {request: {set: {X-Route: \"yes\"}}}\n    preserve_host: true\n"
	p := start(t, redialling(urls, map[string]string{"b": ", disabled: true"}, "", route))
	header := http.Header{"Cookie": {"a=b"}, "X-Own": {"one", "two"}, "User-Agent": {"test"}}
	conn, _ := dialWith(t, p.ws("/?room=7&x=%2f"), websocket.Dialer{Subprotocols: []string{"chat.v1", "chat.v2"}}, header)
	if got := who(t, conn); got != "a" {
		t.Fatalf("at %q, wanted a", got)
	}
	p.edit(redialling(urls, map[string]string{"a": ", drain: true"}, "", route))
	p.waitLog("tunnel redialled", nil)
	if got := who(t, conn); got != "b" {
		t.Fatalf("at %q, wanted b", got)
	}
	first, again := a.last(t), b.last(t)
	if first.Header.Get("Sec-Websocket-Key") == again.Header.Get("Sec-Websocket-Key") {
		t.Error("the key was used twice")
	}
	first.Header.Del("Sec-Websocket-Key")
	again.Header.Del("Sec-Websocket-Key")
	if got, want := fmt.Sprint(again.RequestURI, again.Host, again.Header), fmt.Sprint(first.RequestURI, first.Host, first.Header); got != want {
		t.Errorf("the second handshake was\n%s\nwanted\n%s", got, want)
	}
}

// TestRedialRebalances: a pool that rebalances moves its tunnels, and ends none.
func TestRedialRebalances(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	urls := map[string]string{"a": a.url("ws")}
	const pool = "    rebalance: {within: 500ms, tolerance: 10%}\n"
	p := start(t, redialling(urls, nil, pool, ""))
	var talks []*dialogue
	for range 20 {
		talks = append(talks, goOn(dial(t, p.ws("/"))))
	}
	urls["b"] = b.url("ws")
	p.edit(redialling(urls, nil, pool, ""))
	if _, err := p.log.wait(0, 9, "tunnel redialled", fields{"reason": "drain"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range talks {
		c.goesOn(t)
		c.ends(t)
	}
	if n := p.countLog("tunnel redialled", nil); n > 11 {
		t.Errorf("%d tunnels were moved, wanted 9 to 11", n)
	}
}

// echoBackend is a gorilla server whose tunnels a test can cut.
func echoBackend(t *testing.T, o proxytest.EchoOptions) *proxytest.Echo {
	t.Helper()
	return proxytest.EchoServer(t, o)
}

// TestRedialOtherAnswer: who answers the handshake in another way than the first did
// does not get the tunnel, and is none the worse for it.
func TestRedialOtherAnswer(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{
		"subprotocol":    echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v1"}}).WS(),
		"no subprotocol": echoBackend(t, proxytest.EchoOptions{}).WS(),
		"extension":      echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v2"}, Compression: true}).WS(),
		"no 101":         "ws://" + newMoody(t, "moody").Addr,
	} {
		t.Run(name, func(t *testing.T) {
			first := echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v2"}})
			urls := map[string]string{"a": first.WS(), "b": other}
			p := start(t, redialling(urls, map[string]string{"b": ", standby: true"}, "    health: {passive: {fails: 1, eject: 1m}}\n", ""))
			dialer := websocket.Dialer{Subprotocols: []string{"v1", "v2"}, EnableCompression: true}
			conn, _ := dialWith(t, p.ws("/"), dialer, nil)
			echo(t, conn, "before")
			first.CutTunnels()
			if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
				t.Errorf("closed with %d %q, wanted 1012", code, reason)
			}
			p.waitLog("tunnel not redialled", fields{"reason": "lost"})
			p.waitLog("tunnel closed", fields{"closed_by": "backend", "reason": "lost", "code": 1012})
			if n := p.countLog("backend ejected", nil); n > 0 {
				t.Error("a backend was ejected for an answer that was good")
			}
		})
	}
}

// TestRedialCompressed: permessage-deflate without context takeover moves; gorilla
// agrees to nothing else.
func TestRedialCompressed(t *testing.T) {
	t.Parallel()
	a := echoBackend(t, proxytest.EchoOptions{Compression: true})
	b := echoBackend(t, proxytest.EchoOptions{Compression: true})
	p := start(t, redialling(map[string]string{"a": a.WS(), "b": b.WS()}, nil, "", ""))
	conn, answer := dialWith(t, p.ws("/"), websocket.Dialer{EnableCompression: true}, nil)
	if got := answer.Header.Get("Sec-Websocket-Extensions"); !strings.Contains(got, "no_context_takeover") {
		t.Fatalf("extensions %q, wanted them without takeover", got)
	}
	text := strings.Repeat("the same again, ", 100)
	echo(t, conn, text)
	for range 3 {
		p.cutTunnel(a, b)
		echo(t, conn, text)
	}
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

// TestRedialContext: a compression context cannot move, nor can what nobody knows.
func TestRedialContext(t *testing.T) {
	t.Parallel()
	for _, extensions := range []string{
		"permessage-deflate", "permessage-deflate; server_no_context_takeover",
		"permessage-deflate; client_no_context_takeover", "x-unknown",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover; x-new=1",
	} {
		cut := make(chan struct{})
		script := func(conn net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			fmt.Fprint(conn, proxytest.Switching(r.Header.Get("Sec-Websocket-Key"), "Sec-WebSocket-Extensions: "+extensions))
			<-cut
		}
		a, b := proxytest.NewRawBackend(t, script), proxytest.NewRawBackend(t, script)
		p := start(t, redialling(map[string]string{"a": "ws://" + a.Addr, "b": "ws://" + b.Addr}, nil, "", ""))
		raw := connect(t, p)
		raw.Send(proxytest.Handshake{Extra: []string{
			"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; client_max_window_bits, x-unknown, permessage-deflate",
		}}.String())
		if answer, _ := raw.Response("GET"); answer.StatusCode != 101 {
			t.Fatalf("%s: %s, wanted 101", extensions, answer.Status)
		}
		close(cut)
		head := make([]byte, 4)
		if _, err := raw.Reader.Read(head); err != nil || head[0] != 0x88 || head[2] != 0x03 || head[3] != 0xf4 {
			t.Errorf("%s: % x and %v, wanted Close 1012", extensions, head, err)
		}
		if n := a.Accepted() + b.Accepted(); n != 1 {
			t.Errorf("%s: %d handshakes, wanted no second one", extensions, n)
		}
	}
}

// TestRedialLimits: tunnels of a backend that is lost get no more places than there
// are, and those who can wait in line do; the others are told to come back.
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
			conn.Close() // which makes room for one who waits
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

// TestRedialSticky: a client that is bound to its backend, and refused elsewhere, is told.
func TestRedialSticky(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		refuse string
		moves  bool
	}{{"another", true}, {"refuse", false}} {
		a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
		pool := "    sticky: {cookie: C, on_unavailable: " + test.refuse + "}\n"
		p := start(t, redialling(map[string]string{"a": a.WS(), "b": b.WS()}, nil, pool, ""))
		conn := dial(t, p.ws("/")) // bound by its 101
		echo(t, conn, "before")
		if test.moves {
			p.cutTunnel(a, b)
			echo(t, conn, "after")
			continue
		}
		a.CutTunnels()
		b.CutTunnels()
		if code, _ := closeCode(t, conn); code != 1012 {
			t.Errorf("closed with %d, wanted 1012", code)
		}
	}
}

// TestRedialStopped: a server that hangs is found by its missing pong, and its tunnels
// are moved.
func TestRedialStopped(t *testing.T) {
	t.Parallel()
	a, b := server(t, "a"), server(t, "b")
	urls := map[string]string{"a": "ws://" + a.address("web"), "b": "ws://" + b.address("web")}
	p := start(t, redialling(urls, map[string]string{"b": ", standby: true"}, "", "    keepalive: {ping: 300ms, pong: 300ms, client: false}\n"))
	conns := dialMany(t, p.ws("/"), 5)
	for _, conn := range conns {
		echo(t, conn, "before")
	}
	p.edit(redialling(urls, nil, "", "    keepalive: {ping: 300ms, pong: 300ms, client: false}\n"))
	a.signal(syscall.SIGSTOP)
	defer a.signal(syscall.SIGCONT)
	if _, err := p.log.wait(0, len(conns), "tunnel redialled", fields{"reason": "pong_timeout", "from": "p " + urls["a"]}); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		echo(t, conn, "after")
	}
}

// TestRedialTLS moves a tunnel that has TLS on both sides.
func TestRedialTLS(t *testing.T) {
	t.Parallel()
	a, _ := newTLSBackend(t, "a")
	b, _ := newTLSBackend(t, "b")
	urls := map[string]string{"a": a.url("wss"), "b": b.url("wss")}
	certificate := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	routes := func(drained string) string {
		text := redialling(urls, map[string]string{drained: ", drain: true"}, "", "    backend_tls: {insecure: true}\n")
		return strings.Replace(text, `"127.0.0.1:0"`, fmt.Sprintf(`"127.0.0.1:0", tls: {certificates: [{certificate: %q, key: %q}]}`,
			certificate.File, certificate.KeyFile), 1)
	}
	p := start(t, routes("b"))
	insecure := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // another test's matter
	conn, _ := dialWith(t, "wss://"+p.address("web")+"/", insecure, nil)
	c := goOn(conn)
	c.goesOn(t)
	p.edit(routes("a"))
	p.waitLog("tunnel redialled", nil)
	c.goesOn(t)
	c.ends(t)
	if got := who(t, conn); got != "b" {
		t.Errorf("at %q, wanted b", got)
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

// TestRedialTriesAnother: a backend that does not answer the handshake is not the last
// one that is asked, and is counted as having failed.
func TestRedialTriesAnother(t *testing.T) {
	t.Parallel()
	a, c := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
	url, _ := hanging(t)
	p := start(t, redialling(map[string]string{"a": a.WS(), "b": url, "c": c.WS()},
		map[string]string{"b": ", tier: 1", "c": ", tier: 2"},
		"    health: {passive: {fails: 1, eject: 1m}}\n", "    timeouts: {handshake: 500ms}\n"))
	conn := dial(t, p.ws("/"))
	echo(t, conn, "before")
	a.CutTunnels()
	p.waitLog("trying another backend", fields{"backend": "p " + url})
	p.waitLog("backend ejected", fields{"backend": "p " + url})
	p.waitLog("tunnel redialled", fields{"backend": "p " + c.WS()})
	echo(t, conn, "after")
}

// TestRedialOff: as it is by default, and where it is said.
func TestRedialOff(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"", "on_backend_loss: close, "} {
		a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
		p := start(t, web+fill(`
pools: {p: {backends: {a: {url: "$a"}, b: {url: "$b"}}}}
routes: {all: {match: {path: /}, `+said+`to: "pool://p"}}
`, map[string]string{"a": a.WS(), "b": b.WS()}))
		conn := dial(t, p.ws("/"))
		echo(t, conn, "before")
		a.CutTunnels()
		b.CutTunnels()
		if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
			t.Errorf("%q: closed with %d %q, wanted 1012", said, code, reason)
		}
	}
}

// TestRedialBeside: a route that redials and one that does not, on one listener and to
// the same pool; and tunnels go on as they were opened when an edit exchanges the two.
func TestRedialBeside(t *testing.T) {
	t.Parallel()
	a, b := echoBackend(t, proxytest.EchoOptions{}), echoBackend(t, proxytest.EchoOptions{})
	routes := func(one, two string) string {
		return web + fill(`
pools: {p: {backends: {a: {url: "$a"}, b: {url: "$b", standby: true}}}}
routes:
  one: {match: {path: /one}, to: "pool://p/", on_backend_loss: `+one+`}
  two: {match: {path: /two}, to: "pool://p/", on_backend_loss: `+two+`}
`+statusRoute, map[string]string{"a": a.WS(), "b": b.WS()})
	}
	p := start(t, routes("redial", "close"))
	stays, ends := dial(t, p.ws("/one")), dial(t, p.ws("/two"))
	p.edit(routes("close", "redial"))
	endsToo, staysToo := dial(t, p.ws("/one")), dial(t, p.ws("/two"))
	for _, conn := range []*websocket.Conn{stays, ends, staysToo, endsToo} {
		echo(t, conn, "before")
	}
	a.CutTunnels()
	for _, conn := range []*websocket.Conn{ends, endsToo} {
		if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
			t.Errorf("closed with %d %q, wanted 1012", code, reason)
		}
	}
	if _, err := p.log.wait(0, 2, "tunnel redialled", nil); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*websocket.Conn{stays, staysToo} {
		echo(t, conn, "after")
	}
}
