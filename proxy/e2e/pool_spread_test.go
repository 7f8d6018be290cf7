package e2e

// Thousands of tunnels over ten backends with weights, while backends join, die,
// come back and leave: in between, every backend has its share to within one
// tunnel, and the tunnels of those that stay lose nothing.

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// host is a backend of many tunnels that can be killed and brought back. It says
// its name in its 101 and echoes messages.
type host struct {
	name   string
	weight int
	addr   string

	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup // the server, and the handlers of its tunnels

	mu    sync.Mutex // guards conns, of tunnels
	conns map[net.Conn]bool
}

func newHost(t *testing.T, name string, weight int) *host {
	t.Helper()
	h := &host{name: name, weight: weight, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	h.rise(t)
	t.Cleanup(h.kill)
	return h
}

// rise starts it, the second time where it was.
func (h *host) rise(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	h.listener, h.server, h.addr = listener, server, listener.Addr().String()
	h.serving.Go(func() { _ = server.Serve(listener) }) // until kill
}

// kill is sudden: no Close frame is sent.
func (h *host) kill() {
	h.server.Close()
	h.mu.Lock()
	for conn := range h.conns {
		conn.Close()
	}
	h.mu.Unlock()
	h.serving.Wait()
}

// tunnels is how many are open, counted at this end.
func (h *host) tunnels() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *host) count(conn net.Conn, open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if open {
		h.conns[conn] = true
	} else {
		delete(h.conns, conn)
	}
}

var hostUpgrader = websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 256}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serving.Add(1)
	defer h.serving.Done()
	conn, err := hostUpgrader.Upgrade(w, r, http.Header{"X-Host": {h.name}})
	if err != nil {
		return // the upgrader has answered
	}
	h.count(conn.NetConn(), true)
	defer h.count(conn.NetConn(), false)
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// visitors are the clients.
type visitors struct {
	t       *testing.T
	p       *proxy
	url     string
	address string // p looks it up in its log, which grows long
	random  *rand.Rand
	clients []client
}

// client is a tunnel that says nothing. A bare connection is all it takes.
type client struct {
	net.Conn
	host string
}

// open opens n tunnels, several at a time.
func (c *visitors) open(n int) {
	c.t.Helper()
	var workers sync.WaitGroup
	opened, failed := make(chan client, n), make(chan error, n)
	tickets := make(chan struct{}, n)
	for range n {
		tickets <- struct{}{}
	}
	close(tickets)
	for range 8 {
		workers.Go(func() {
			for range tickets {
				if one, err := c.enter(); err != nil {
					failed <- err
				} else {
					opened <- one
				}
			}
		})
	}
	workers.Wait()
	close(opened)
	close(failed)
	for one := range opened {
		c.clients = append(c.clients, one)
	}
	for err := range failed {
		c.t.Fatal(err)
	}
}

// enter makes one handshake.
func (c *visitors) enter() (client, error) {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return client{}, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(proxytest.Handshake{Target: "/crowd"}.String())); err != nil {
		return client{}, err
	}
	head, err := proxytest.ReadHead(bufio.NewReaderSize(conn, 512))
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		conn.Close()
		return client{}, errors.Join(err, fmt.Errorf("wanted a 101, got %q", head))
	}
	return client{conn, proxytest.HeaderValue(head, "X-Host")}, nil
}

// leave closes the tunnels of those that fit, and says how many they were.
func (c *visitors) leave(fits func(client) bool) (gone int) {
	c.clients = slices.DeleteFunc(c.clients, func(one client) bool {
		if !fits(one) {
			return false
		}
		one.Close()
		gone++
		return true
	})
	return gone
}

// leaveSome closes n tunnels, any of them.
func (c *visitors) leaveSome(n int) {
	c.random.Shuffle(len(c.clients), func(i, j int) { c.clients[i], c.clients[j] = c.clients[j], c.clients[i] })
	for _, one := range c.clients[:n] {
		one.Close()
	}
	c.clients = slices.Delete(c.clients, 0, n)
}

// mustBeSpread fails the test where a host does not have its share, to within one
// tunnel. What has just closed is waited for.
func mustBeSpread(t *testing.T, when string, total int, hosts ...*host) {
	t.Helper()
	weights := 0
	for _, h := range hosts {
		weights += h.weight
	}
	eventually(t, func() (bool, string) {
		var wrong []string
		for _, h := range hosts {
			exact := float64(total) * float64(h.weight) / float64(weights)
			if got := h.tunnels(); math.Abs(float64(got)-exact) >= 1 {
				wrong = append(wrong, fmt.Sprintf("%s has %d, wanted %.2f", h.name, got, exact))
			}
		}
		return len(wrong) == 0, fmt.Sprintf("%s, of %d tunnels: %s", when, total, strings.Join(wrong, "; "))
	})
}

// talkers exchange messages all the time, one on each host.
type talkers struct {
	byHost map[string]*talker
	ended  sync.WaitGroup
}

type talker struct {
	conn *websocket.Conn
	stop chan struct{}
	err  error // once stop is closed and ended is over
	said int
}

// talk has one busy tunnel on every host. It opens tunnels until it has; those
// that it does not need stay with the silent ones.
func (c *visitors) talk(hosts ...*host) *talkers {
	c.t.Helper()
	all := &talkers{byHost: map[string]*talker{}}
	for len(all.byHost) < len(hosts) {
		conn, answer := dialWith(c.t, c.url, websocket.Dialer{}, nil)
		name := answer.Header.Get("X-Host")
		if all.byHost[name] != nil {
			c.clients = append(c.clients, client{conn.NetConn(), name})
			continue
		}
		_ = conn.SetReadDeadline(time.Time{}) // it talks for as long as the test runs
		one := &talker{conn: conn, stop: make(chan struct{})}
		all.byHost[name] = one
		all.ended.Go(one.run)
	}
	return all
}

func (k *talker) run() {
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		k.said++
		text := fmt.Sprintf("message %d", k.said)
		if k.err = k.conn.WriteMessage(websocket.TextMessage, []byte(text)); k.err != nil {
			return
		}
		_, got, err := k.conn.ReadMessage()
		if err == nil && string(got) != text {
			err = fmt.Errorf("wanted %q, got %q", text, got)
		}
		if k.err = err; err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond) // a pace, not a wait: the machine is for the crowd
	}
}

// end stops them. Those on the hosts named must have been interrupted, all others not.
func (all *talkers) end(t *testing.T, interrupted ...string) {
	t.Helper()
	for _, one := range all.byHost {
		close(one.stop)
	}
	all.ended.Wait()
	for name, one := range all.byHost {
		if cut := slices.Contains(interrupted, name); cut != (one.err != nil) {
			t.Errorf("the tunnel on %s, after %d messages: %v", name, one.said, one.err)
		}
	}
}

// TestSpread goes through it all once.
func TestSpread(t *testing.T) {
	total := spreadTunnels(t)
	hosts := map[string]*host{}
	for i, weight := range []int{5, 3, 2, 2, 1, 1, 1, 1, 4, 1} {
		name := string(rune('a' + i))
		hosts[name] = newHost(t, name, weight)
	}
	routes := func(names string) string {
		var b strings.Builder
		b.WriteString(web + "pools:\n  hosts:\n    health: {tcp: true, interval: 100ms, timeout: 1m, fails: 1, passes: 1}\n    backends:\n")
		for name := range strings.FieldsSeq(names) {
			fmt.Fprintf(&b, "      %s: {url: \"ws://%s\", weight: %d}\n", name, hosts[name].addr, hosts[name].weight)
		}
		b.WriteString("routes:\n  crowd: {match: {path: /crowd}, to: \"pool://hosts\", drain: {window: off}, keepalive: off}\n") // visitors answer no pings
		return b.String() + statusRoute
	}
	list := func(names string) (out []*host) {
		for name := range strings.FieldsSeq(names) {
			out = append(out, hosts[name])
		}
		return out
	}
	p := start(t, routes("a b c d e f g h"))
	c := &visitors{t: t, p: p, url: p.ws("/crowd"), address: p.address("web"), random: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(func() { c.leave(func(client) bool { return true }) })

	talking := c.talk(list("a b c d e f g h")...)
	c.open(total*4/9 - len(talking.byHost) - len(c.clients))
	mustBeSpread(t, "at first", total*4/9, list("a b c d e f g h")...)

	p.edit(routes("a b c d e f g h i j"))
	c.open(total - total*4/9)
	mustBeSpread(t, "after two have joined", total, list("a b c d e f g h i j")...)

	m := p.log.mark()
	hosts["a"].kill()
	p.waitLogAfter(m, "backend down", nil)
	gone := c.leave(func(one client) bool { return one.host == "a" })
	p.waitOpen(total - gone - 1) // and a talker
	c.open(gone + 1)
	mustBeSpread(t, "after one has died", total, list("b c d e f g h i j")...)

	m = p.log.mark()
	hosts["a"].rise(t)
	p.waitLogAfter(m, "backend up", nil)
	// So many that no backend is left with more than its new share: which tunnels end is chance.
	c.leaveSome(total * 2 / 3)
	p.waitOpen(total - total*2/3)
	c.open(total * 2 / 3)
	mustBeSpread(t, "after it has come back", total, list("a b c d e f g h i j")...)

	p.edit(routes("a c d e f g h i j"))
	gone = c.leave(func(one client) bool { return one.host == "b" })
	p.waitOpen(total - gone - 1)
	c.open(gone + 1)
	mustBeSpread(t, "after one has left", total, list("a c d e f g h i j")...)
	talking.end(t, "a", "b")
}

// spreadTunnels is enough for every backend to have some hundred, if the process may have
// both ends of them. A soak has 9,000; the race detector, which slows all of it down, gets
// half.
func spreadTunnels(t *testing.T) int {
	t.Helper()
	n := 1800
	switch {
	case raceDetector:
		n /= 2
	case os.Getenv(soakVariable) != "":
		n = 9000
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := int(limit.Cur)/2 - 500; n > most {
		t.Logf("%d descriptors: %d tunnels instead of %d", limit.Cur, most/9*9, n)
		n = most / 9 * 9
	}
	return n
}
