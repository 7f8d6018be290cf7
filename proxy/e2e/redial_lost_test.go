package e2e

// on_backend_loss: redial, when a backend is lost: its tunnels continue with another
// one, and their clients do not notice.

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

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
	// When the second one goes, the first has no tunnels and no recorded failures,
	// so that it is asked first.
	p := start(t, redialling(urls, nil, "", "    retry: {others: 0, budget: 1%}\n"))
	conns := dialMany(t, p.ws("/"), tunnels)
	for _, conn := range conns {
		echo(t, conn, "before")
	}
	if _, err := p.log.wait(0, tunnels, "tunnel opened", nil); err != nil { // the lines are counted below
		t.Fatal(err)
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
		// Tunnels that look for a backend at the same time may miss their even share by a few.
		if share := tunnels / len(servers); opened < share || opened > 2*share {
			t.Errorf("%d tunnels were at %s, wanted %d to %d", opened, name, share, 2*share)
		}
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
	refused := func() string { return "ws://" + proxytest.Refused(t) }
	for i, url := range []string{refused(), refused(), refused(), refused(), "ws://" + busy.Addr} {
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
