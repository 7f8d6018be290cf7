package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const visitPatience = proxytest.Patience

// visited is a socket that accepts, for tests that steer a visit under way.
type visited struct {
	*socket
	now  atomic.Pointer[Table]
	look atomic.Pointer[func()] // before each look at the current Table; nil is nothing
}

func visitable(t *testing.T, routes string) *visited {
	t.Helper()
	k := &visited{}
	k.now.Store(table(t, nil, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+routes))
	s := NewServer(Options{Current: k.current, Log: slog.New(slog.DiscardHandler)})
	for _, l := range k.now.Load().sockets {
		var err error
		if k.socket, err = s.listen(l); err != nil {
			t.Fatal(err)
		}
	}
	k.start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), visitPatience)
		defer cancel()
		k.stop(ctx)
		if ctx.Err() != nil {
			t.Error("a newcomer does not leave")
		}
		s.tunnels.Cut(tunnel.ReasonShutdown)
		if err := s.tunnels.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *visited) current() *Table {
	if look := k.look.Load(); look != nil {
		(*look)()
	}
	return k.now.Load()
}

// aVisit is the one visit whose request has come.
func (k *visited) aVisit(t *testing.T) *visit {
	t.Helper()
	for late := time.Now().Add(visitPatience); time.Now().Before(late); time.Sleep(time.Millisecond) {
		k.newcomers.mu.Lock()
		for c := range k.newcomers.busy {
			if v, ok := c.(*visit); ok {
				k.newcomers.mu.Unlock()
				return v
			}
		}
		k.newcomers.mu.Unlock()
	}
	t.Fatal("no visit is under way")
	return nil
}

func (v *visit) onLoop(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	v.loop.Run(func() { f(); close(done) })
	select {
	case <-done:
	case <-time.After(visitPatience):
		t.Fatal("the loop stands still")
	}
}

func knock(t *testing.T, k *visited, target string) *proxytest.Raw {
	t.Helper()
	client := proxytest.Dial(t, k.ln.Addr().String())
	client.Send(proxytest.Handshake{Target: target}.String())
	return client
}

// TestLateRequestIsServed: a visit that is told, just as its request comes, to hear
// one soon, has heard it.
func TestLateRequestIsServed(t *testing.T) {
	answer := make(chan struct{})
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		<-answer
		proxytest.AnswerOnce(proxytest.Switching(proxytest.SampleKey))(conn)
	})
	k := visitable(t, "routes: {r: {to: \"ws://"+backend.Addr+"\"}}\n")
	client := knock(t, k, "/")
	v := k.aVisit(t)
	_ = v.SetReadDeadline(time.Now().Add(-time.Second)) // as newcomers.close does, and late
	v.onLoop(t, func() {})
	close(answer)
	if resp, _ := client.Response("GET"); resp.StatusCode != 101 {
		t.Errorf("answered %d, wanted 101", resp.StatusCode)
	}
}

// TestVisitsAreNotToWait: a reload may send a handshake that an event loop has begun
// to where it must wait for a backend. The loop must not.
func TestVisitsAreNotToWait(t *testing.T) {
	closed := proxytest.Refused(t)
	pools := "pools: {full: {backends: {b: {url: \"ws://" + closed + "\", max_tunnels: 1}}, queue: {length: 9, wait: 1h}}}\n"
	k := visitable(t, pools+"routes: {r: {to: \"ws://"+closed+"\"}}\n")
	old := k.now.Load()
	new := table(t, old, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+pools+"routes: {r: {to: \"pool://full\"}}\n")
	taken, err := new.routes[0].to.pool.Pick(upstream.Choice{Tunnel: true})
	if err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan struct{})
	var once sync.Once
	look := func() {
		if old.routes[0].counts.Tunnels.Open() > 0 { // the visit has a place under the old routes
			once.Do(func() { k.now.Store(new); close(reloaded) })
		}
	}
	k.look.Store(&look)
	knock(t, k, "/")
	<-reloaded
	done := make(chan struct{})
	if !tunnel.Dispatch(k.owner.engine, func(tunnel.Loop) { close(done) }) {
		t.Fatal("no loop")
	}
	select {
	case <-done:
	case <-time.After(visitPatience):
		t.Error("the loop waits for the pool")
	}
	taken.CloseTunnel()
}

// TestLostVisitLetsGo: should the client's descriptor not become a connection, the
// backend's is closed all the same.
func TestLostVisitLetsGo(t *testing.T) {
	k := visitable(t, "routes: {r: {to: \"ws://127.0.0.1:9\"}}\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	none, err := syscall.Dup(int(r.Fd())) // a socket it is not
	if err != nil {
		t.Fatal(err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.slots.acquire(func() int { return 0 }) // which the end of the visit releases
	begun := make(chan error, 1)
	if !tunnel.Dispatch(k.owner.engine, func(l tunnel.Loop) {
		v := &visit{socket: k.socket, loop: l}
		var err error
		if v.near, err = l.Watch(none, func(tunnel.Edge) {}); err == nil {
			v.far, err = l.Watch(pair[0], func(tunnel.Edge) {})
		}
		begun <- err
		if err == nil && k.newcomers.enter(v) {
			v.attempt = &attempt{exchange: &exchange{server: k.owner, socket: k.socket}}
			v.readOn([]byte("HTTP/1.1 403"))
		}
	}) {
		t.Fatal("there is no loop")
	}
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(pair[1]), "backend")
	defer f.Close()
	_ = f.SetDeadline(time.Now().Add(visitPatience))
	if n, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the backend's connection is left open: %d, %v", n, err)
	}
}

type told []time.Time

func (d *told) SetReadDeadline(t time.Time) error { *d = append(*d, t); return nil }

// TestReplacedNewcomersAreTold: who was told while it was on its way from a loop to a
// goroutine has not heard it.
func TestReplacedNewcomersAreTold(t *testing.T) {
	n := newcomers{gone: make(chan struct{})}
	var first, second, third told
	n.enter(&first)
	n.close()
	n.replace(&first, &second)
	if len(second) != 1 || second[0] != first[0] {
		t.Errorf("the other was told %v, wanted %v", second, first)
	}
	n.cut()
	n.replace(&second, &third)
	if len(third) != 1 || third[0] != longAgo {
		t.Errorf("it was told %v, wanted to end", third)
	}
	n.leave(&third)
	<-n.gone
}
