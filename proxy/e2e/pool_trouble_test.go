package e2e

// Every kind of trouble that a pool can have with its backends, one after another
// and all at once, while tunnels are in steady use: those with a live backend lose
// no message, clients that are told to come back do, and new ones are served.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	pace      = 2 * time.Millisecond // from a message to the next
	lastWords = "last words"
)

// steady is one tunnel in use: numbered messages go in at a pace, whether they are
// answered or not, and each must come back once, in order, with the backend's own
// number of it.
type steady struct {
	host string
	conn *websocket.Conn
	stop chan struct{}
	beat chan struct{} // gets one with every echo that a test waits for
	over sync.WaitGroup
	err  error // once over
}

// useSteadily begins to use a tunnel.
func useSteadily(conn *websocket.Conn, host string) *steady {
	_ = conn.NetConn().SetDeadline(time.Time{}) // for as long as the test runs
	s := &steady{host: host, conn: conn, stop: make(chan struct{}), beat: make(chan struct{})}
	sent := make(chan error, 1)
	s.over.Go(func() { sent <- s.send() })
	s.over.Go(func() { s.err = errors.Join(s.receive(), <-sent) })
	return s
}

func (s *steady) send() error {
	next := time.NewTicker(pace)
	defer next.Stop()
	for n := 1; ; n++ {
		if err := s.conn.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(n))); err != nil {
			return err
		}
		select {
		case <-next.C:
		case <-s.stop:
			return s.conn.WriteMessage(websocket.TextMessage, []byte(lastWords))
		}
	}
}

func (s *steady) receive() error {
	for n := 1; ; n++ {
		_, got, err := s.conn.ReadMessage()
		switch {
		case err != nil:
			s.conn.Close() // so that send ends too
			return err
		case string(got) == fmt.Sprintf("%d %s", n, lastWords):
			return nil
		case string(got) != fmt.Sprintf("%d %d", n, n):
			s.conn.Close()
			return fmt.Errorf("echo %q, wanted that of message %d", got, n)
		}
		select {
		case s.beat <- struct{}{}:
		default:
		}
	}
}

// mustGoOn waits for more echoes.
func (s *steady) mustGoOn(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for range 10 {
		select {
		case <-s.beat:
		case <-late:
			t.Fatalf("the tunnel to %s stands still", s.host)
		}
	}
}

// end says the last words and waits for their echo.
func (s *steady) end() error {
	close(s.stop)
	s.over.Wait()
	return s.err
}

// regulars are clients that have one message under way at a time, and come back
// whenever they are told to: with Close 1012, between two messages.
type regulars struct {
	url  string
	stop chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex     // guards what follows
	hosts map[string]int // clients by the backend of their tunnel
	moved int            // tunnels that ended with 1012
	errs  []error
	more  chan struct{} // closed and replaced at every arrival
}

func newRegulars(url string, clients int) *regulars {
	c := &regulars{url: url, stop: make(chan struct{}), hosts: map[string]int{}, more: make(chan struct{})}
	for range clients {
		c.all.Go(c.member)
	}
	return c
}

func (c *regulars) member() {
	for {
		err := c.visit()
		if err == nil {
			return
		}
		told := websocket.IsCloseError(err, websocket.CloseServiceRestart)
		c.mu.Lock()
		if told {
			c.moved++
		} else {
			c.errs = append(c.errs, err)
		}
		c.mu.Unlock()
		if !told {
			return
		}
	}
}

// visit is one tunnel's life. It returns nil when they are to go home.
func (c *regulars) visit() error {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, answer, err := dialer.Dial(c.url, nil)
	if err != nil {
		return fmt.Errorf("%w%s", err, describe(answer))
	}
	defer conn.Close()
	host := answer.Header.Get("X-Host")
	c.count(host, 1)
	defer c.count(host, -1)
	next := time.NewTicker(10 * pace)
	defer next.Stop()
	for n := 1; ; n++ {
		if err := exchangeNumbered(conn, n); err != nil {
			return err
		}
		select {
		case <-next.C:
		case <-c.stop:
			return nil
		}
	}
}

func exchangeNumbered(conn *websocket.Conn, n int) error {
	_ = conn.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(n))) // the reader tells why it failed
	_, got, err := conn.ReadMessage()
	if want := fmt.Sprintf("%d %d", n, n); err == nil && string(got) != want {
		return fmt.Errorf("echo %q, wanted %q", got, want)
	}
	return err
}

func (c *regulars) count(host string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts[host] += n
	close(c.more)
	c.more = make(chan struct{})
}

// await waits until the regulars stand as wanted.
func (c *regulars) await(t *testing.T, what string, stands func(hosts map[string]int) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		c.mu.Lock()
		hosts, more := maps.Clone(c.hosts), c.more
		c.mu.Unlock()
		if stands(hosts) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("the regulars are never as wanted, %s, but %v", what, hosts)
		}
	}
}

// goHome ends them and says how often one was told to come back.
func (c *regulars) goHome() (moved int, err error) {
	close(c.stop)
	c.all.Wait()
	return c.moved, errors.Join(c.errs...)
}

// troubled is a proxy with its backends and their clients.
type troubled struct {
	t        *testing.T
	p        *proxy
	backends map[string]*process
	steadies map[string]*steady // by backend
}

// troubledRoutes leads to the same backends by two pools: one that asks after
// them, and one that only sees how they fail. Tunnels of /steady are not moved.
func troubledRoutes(backends map[string]*process) string {
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		fmt.Fprintf(&list, "%s: {url: \"ws://%s\"}, ", name, backends[name].address)
	}
	return web + `
pools:
  asked:
    backends: {` + list.String() + `}
    health: {http: {path: /health}, interval: 50ms, timeout: 1s, fails: 2, passes: 2, passive: {fails: 2, eject: 200ms, max: 1s}}
    rebalance: {within: 1s, tolerance: 10%}
  watched:
    balance: round_robin
    backends: {` + list.String() + `}
    health: {passive: {fails: 2, eject: 1h, max: 1h}}
defaults:
  timeouts: {connect: 1s, handshake: 1s}
  retry: {others: 3, budget: 100%}
routes:
  steady:  {match: {path: /steady}, to: "pool://asked", drain: {keep: true}}
  crowd:   {match: {path: /crowd}, to: "pool://asked", drain: {window: 0}}
  watched: {match: {path: /watched}, to: "pool://watched"}
`
}

// settle opens tunnels until there is one in use on every backend.
func (x *troubled) settle() {
	x.t.Helper()
	for len(x.steadies) < len(x.backends) {
		conn, answer := dialWith(x.t, x.p.ws("/steady"), websocket.Dialer{}, nil)
		if host := answer.Header.Get("X-Host"); x.steadies[host] == nil {
			x.steadies[host] = useSteadily(conn, host)
		}
	}
}

// newcomer must be served, and by none of the backends named.
func (x *troubled) newcomer(path string, not ...string) {
	x.t.Helper()
	conn, answer := dialWith(x.t, x.p.ws(path), websocket.Dialer{}, nil)
	defer conn.Close()
	if err := exchangeNumbered(conn, 1); err != nil {
		x.t.Fatalf("a newcomer: %v", err)
	}
	if host := answer.Header.Get("X-Host"); slices.Contains(not, host) {
		x.t.Errorf("a newcomer was sent to %s", host)
	}
}

// strike brings trouble over one backend. Newcomers are served from the first
// moment on, until both kinds of health have noticed and long after.
func (x *troubled) strike(victim string, trouble func(*process)) {
	x.t.Helper()
	m := x.p.log.mark()
	trouble(x.backends[victim])
	x.noticed(m, "asked", "backend down", victim, "/crowd")
	x.noticed(m, "watched", "backend ejected", victim, "/watched")
	for range 10 {
		x.newcomer("/crowd", victim)
		x.newcomer("/watched", victim)
	}
	x.goOn()
}

// noticed sends newcomers until the log says what has become of the backend.
func (x *troubled) noticed(m mark, pool, line, backend, path string) {
	x.t.Helper()
	f := fields{"backend": pool + " ws://" + x.backends[backend].address}
	for late := time.Now().Add(patience); ; {
		x.newcomer(path, backend)
		if found, _, _ := x.p.log.find(m, line, f); len(found) > 0 {
			return
		}
		if time.Now().After(late) {
			x.t.Fatalf("no %q of %s", line, backend)
		}
	}
}

// goOn waits for messages of every tunnel in use whose backend is not stopped.
func (x *troubled) goOn(stopped ...string) {
	x.t.Helper()
	for host, s := range x.steadies {
		if !slices.Contains(stopped, host) {
			s.mustGoOn(x.t)
		}
	}
}

// TestTrouble is all of it.
func TestTrouble(t *testing.T) {
	t.Parallel()
	x := &troubled{t: t, backends: map[string]*process{}, steadies: map[string]*steady{}}
	for _, name := range []string{"fine", "hale", "refuses", "slow", "stops", "dies", "breaks"} {
		x.backends[name] = newProcess(t, name)
	}
	x.p = start(t, troubledRoutes(x.backends))
	x.settle()
	visitors := newRegulars(x.p.ws("/crowd"), 35)
	visitors.await(t, "everywhere", func(hosts map[string]int) bool { return len(hosts) == len(x.backends) })

	x.strike("refuses", func(b *process) { b.be(refusing) })
	x.strike("slow", func(b *process) { b.be(slow) })
	x.stop("stops")
	x.breakDown("breaks")
	x.kill("dies")

	joining := maps.Clone(x.backends)
	joining["joins"] = newProcess(t, "joins")
	m := x.p.log.mark()
	x.p.edit(troubledRoutes(joining))
	x.backends = joining
	visitors.await(t, "on the one that has joined", func(hosts map[string]int) bool { return hosts["joins"] >= 2 })
	x.p.waitLogAfter(m, "rebalancing", nil)
	x.goOn("stops")

	x.recover("refuses", func(b *process) { b.be(well) })
	x.recover("slow", func(b *process) { b.be(well) })
	x.recover("breaks", func(b *process) { b.be(well) })
	x.recover("stops", (*process).goOn)
	x.goOn()

	moved, err := visitors.goHome()
	if err != nil || moved == 0 {
		t.Errorf("the regulars were moved %d times: %v", moved, err)
	}
	for host, s := range x.steadies {
		if err := s.end(); err != nil {
			t.Errorf("the tunnel to %s: %v", host, err)
		}
	}
}

// stop stops a backend's process. Its tunnels stand still and lose nothing.
func (x *troubled) stop(victim string) {
	x.t.Helper()
	m := x.p.log.mark()
	x.backends[victim].stop()
	x.noticed(m, "asked", "backend down", victim, "/crowd")
	x.noticed(m, "watched", "backend ejected", victim, "/watched")
	x.newcomer("/crowd", victim)
	x.goOn(victim)
}

// breakDown has a backend answer 500, which is an answer: no other backend is
// tried after it, and only health checks notice.
func (x *troubled) breakDown(victim string) {
	x.t.Helper()
	m := x.p.log.mark()
	x.backends[victim].be(broken)
	x.p.waitLogAfter(m, "backend down", fields{"backend": "asked ws://" + x.backends[victim].address})
	for range 10 {
		x.newcomer("/crowd", victim)
	}
	x.goOn("stops")
}

// kill ends a backend's process, and its tunnels with it: each is told to come back.
func (x *troubled) kill(victim string) {
	x.t.Helper()
	m := x.p.log.mark()
	x.backends[victim].kill()
	lost := x.steadies[victim]
	delete(x.steadies, victim)
	lost.over.Wait()
	if !websocket.IsCloseError(lost.firstError(), websocket.CloseServiceRestart) {
		x.t.Errorf("the tunnel to %s ended with %v, wanted Close 1012", victim, lost.err)
	}
	x.noticed(m, "asked", "backend down", victim, "/crowd")
	x.goOn("stops")
}

// firstError is why the tunnel ended, as its reader saw it; nil if it did not.
func (s *steady) firstError() error {
	var closed *websocket.CloseError
	if errors.As(s.err, &closed) {
		return closed
	}
	return s.err
}

// recover ends a backend's trouble, and waits until it gets newcomers again.
func (x *troubled) recover(victim string, mend func(*process)) {
	x.t.Helper()
	m := x.p.log.mark()
	mend(x.backends[victim])
	x.p.waitLogAfter(m, "backend up", fields{"backend": "asked ws://" + x.backends[victim].address})
	for late := time.Now().Add(patience); ; {
		_, answer := dialWith(x.t, x.p.ws("/crowd"), websocket.Dialer{}, nil) // and stays, for the next to go elsewhere
		if answer.Header.Get("X-Host") == victim {
			return
		}
		if time.Now().After(late) {
			x.t.Fatalf("%s gets no tunnel after it has recovered", victim)
		}
	}
}
