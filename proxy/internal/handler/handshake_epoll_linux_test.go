package handler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

const loopPatience = proxytest.Patience

// loopSocket is a socket that accepts, for tests that steer a handshake under way.
type loopSocket struct {
	*listen.Socket
	handler *Handler
	begun   chan *loopHandshake
	now     atomic.Pointer[routing.Table]
	look    atomic.Pointer[func()] // before each look at the current Table; nil is nothing
}

// loopHandler tells of the handshakes that begin.
type loopHandler struct {
	*Handler
	begun chan *loopHandshake
}

func (h loopHandler) ServeOnLoop(s *listen.Socket, old listen.PendingConn, conn tunnel.Descriptor, peer netip.AddrPort) bool {
	v := &loopHandshake{h: h.Handler, socket: s, old: old, peer: peer, tls: conn.TLS()}
	return tunnel.Dispatch(h.Engine, func(l tunnel.Loop) {
		v.accept(l, conn)
		h.begun <- v
	})
}

func listenOnLoop(t *testing.T, routes string) *loopSocket {
	t.Helper()
	k := &loopSocket{begun: make(chan *loopHandshake, 10)}
	k.now.Store(routingtest.Build(t, nil, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+routes))
	log := slog.New(slog.DiscardHandler)
	k.handler = newTestHandler(t, k.current, log)
	for _, l := range k.now.Load().Listeners() {
		var err error
		k.Socket, err = listen.New(l, listen.Options{
			Config:  func(key string) *listen.Config { return k.current().Listener(key) },
			Handler: loopHandler{k.handler, k.begun},
			Log:     log,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	k.Start(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), loopPatience)
		defer cancel()
		k.Stop(ctx)
		if ctx.Err() != nil {
			t.Error("a pending connection does not end")
		}
	})
	return k
}

func (k *loopSocket) current() *routing.Table {
	if look := k.look.Load(); look != nil {
		(*look)()
	}
	return k.now.Load()
}

// theHandshake is the one under way, once its request has come.
func (k *loopSocket) theHandshake(t *testing.T) *loopHandshake {
	t.Helper()
	v := <-k.begun
	for late := time.Now().Add(loopPatience); time.Now().Before(late); time.Sleep(time.Millisecond) {
		come := false
		v.onLoop(t, func() { come = v.handshake != nil })
		if come {
			return v
		}
	}
	t.Fatal("no handshake is under way")
	return nil
}

func (v *loopHandshake) onLoop(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	v.loop.Run(func() { f(); close(done) })
	select {
	case <-done:
	case <-time.After(loopPatience):
		t.Fatal("the loop stands still")
	}
}

func sendHandshake(t *testing.T, k *loopSocket, target string) *proxytest.Raw {
	t.Helper()
	client := proxytest.Dial(t, k.Addr().String())
	client.Send(proxytest.Handshake{Target: target}.String())
	return client
}

// TestLateRequestIsServed: a deadline for the first request that is set just as it comes
// does not end it.
func TestLateRequestIsServed(t *testing.T) {
	answer := make(chan struct{})
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		<-answer
		proxytest.AnswerOnce(proxytest.Switching(proxytest.SampleKey))(conn)
	})
	k := listenOnLoop(t, "routes: {r: {to: \"ws://"+backend.Addr+"\"}}\n")
	client := sendHandshake(t, k, "/")
	v := k.theHandshake(t)
	v.EndBy(time.Now().Add(-time.Second)) // as PendingConns.close does, and late
	v.onLoop(t, func() {})
	close(answer)
	if resp, _ := client.Response("GET"); resp.StatusCode != 101 {
		t.Errorf("answered %d, wanted 101", resp.StatusCode)
	}
}

// TestLoopDoesNotWait: a reload may send a handshake that an event loop has begun
// to where it must wait for a backend. The loop must not.
func TestLoopDoesNotWait(t *testing.T) {
	closed := proxytest.Refused(t)
	pools := "pools: {full: {backends: {b: {url: \"ws://" + closed + "\", max_tunnels: 1}}, queue: {length: 9, wait: 1h}}}\n"
	k := listenOnLoop(t, pools+"routes: {r: {to: \"ws://"+closed+"\"}}\n")
	old := k.now.Load()
	new := routingtest.Build(t, old, "listeners: {w: {address: \"127.0.0.1:0\"}}\n"+pools+"routes: {r: {to: \"pool://full\"}}\n")
	taken, err := new.Route("r").Target.Pool.Pick(upstream.Choice{Tunnel: true})
	if err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan struct{})
	var once sync.Once
	look := func() {
		if old.Route("r").Counts.Tunnels.Open() > 0 { // the handshake is counted under the old routes
			once.Do(func() { k.now.Store(new); close(reloaded) })
		}
	}
	k.look.Store(&look)
	sendHandshake(t, k, "/")
	<-reloaded
	done := make(chan struct{})
	if !tunnel.Dispatch(k.handler.Engine, func(tunnel.Loop) { close(done) }) {
		t.Fatal("no loop")
	}
	select {
	case <-done:
	case <-time.After(loopPatience):
		t.Error("the loop waits for the pool")
	}
	taken.CloseTunnel()
}

// TestBytesBehindInterimAnswer: what comes in one piece with an interim answer and the
// 101 behind it is the tunnel's, however much it is.
func TestBytesBehindInterimAnswer(t *testing.T) {
	const size = 20000
	frame := "\x82\x7e" + string([]byte{size >> 8, size & 0xff}) + strings.Repeat("x", size)
	backend := proxytest.NewRawBackend(t, proxytest.AnswerOnce(
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+proxytest.Switching(proxytest.SampleKey)+frame))
	k := listenOnLoop(t, "routes: {r: {to: \"ws://"+backend.Addr+"\"}}\n")
	client := sendHandshake(t, k, "/")
	if resp, _ := client.Response("GET"); resp.StatusCode != 101 {
		t.Fatalf("answered %d, wanted 101", resp.StatusCode)
	}
	got := make([]byte, len(frame))
	if n, err := io.ReadFull(client.Reader, got); err != nil || string(got) != frame {
		t.Errorf("got %d bytes of %d, %v", n, len(frame), err)
	}
}

// TestRelayedAnswerIsLimited: a client that takes nothing of the answer to its handshake
// is cut when the route says, not when the default does.
func TestRelayedAnswerIsLimited(t *testing.T) {
	ended := make(chan error, 1)
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		proxytest.AnswerOnce("HTTP/1.1 403 No\r\nContent-Length: 1000000000\r\n\r\n")(conn)
		part := make([]byte, 1<<20)
		for {
			if _, err := conn.Write(part); err != nil {
				ended <- err
				return
			}
		}
	})
	k := listenOnLoop(t, "routes: {r: {to: \"ws://"+backend.Addr+"\", timeouts: {send: 100ms}}}\n")
	sendHandshake(t, k, "/")
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the client is waited for")
	}
}
