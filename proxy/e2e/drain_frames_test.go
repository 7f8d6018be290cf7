package e2e

// A drain's Close frame goes between two frames, never into one, each way; the
// replies are awaited, and then both connections end.

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// half is half of the message that a drain comes into.
const half = 512 << 10

// message is one frame of twice half bytes, masked as a client must.
func message(mask *[4]byte) []byte {
	return wsproto.AppendFrame(nil, wsproto.OpBinary, bytes.Repeat([]byte("m"), 2*half), mask)
}

var someMask = &[4]byte{0x12, 0x34, 0x56, 0x78}

// pair is both ends of one tunnel: a bare client, and a gorilla connection at
// the backend.
type pair struct {
	p       *proxy
	client  *proxytest.Raw
	backend *websocket.Conn
}

// drainedRoutes is a file whose one route is there, or not.
func drainedRoutes(url, drain string, there bool) string {
	routes := web + "routes:" + statusRoute
	if there {
		routes += `  r: {match: {path: /r}, to: "` + url + `", drain: {` + drain + "}}\n"
	}
	return routes
}

// openPair opens a tunnel whose route has this drain policy. remove removes the
// route, and returns once the proxy has noticed.
func openPair(t *testing.T, drain string) (tunnel pair, remove func()) {
	t.Helper()
	accepted := make(chan *websocket.Conn, 1)
	server := proxytest.Serve(t, acceptOne(accepted))
	p := start(t, drainedRoutes(server.WS(), drain, true))
	tunnel = pair{p: p, client: connect(t, p)}
	tunnel.client.Send(proxytest.Handshake{Target: "/r"}.String())
	if answer, body := tunnel.client.Response("GET"); answer.StatusCode != 101 {
		t.Fatalf("no tunnel: %d %s", answer.StatusCode, body)
	}
	tunnel.backend = <-accepted
	t.Cleanup(func() { tunnel.backend.Close() })
	setDeadline(t, tunnel.backend.NetConn())
	return tunnel, func() {
		t.Helper()
		loaded := p.edit(drainedRoutes("", "", false))
		if loaded.text("tunnels_draining") != "1" {
			t.Fatalf("the route's removal was logged as %v", loaded)
		}
	}
}

// TestDrainWaitsForTheClientsMessage: half a message has come from the client
// when its route goes. The client is told at once, as nothing is under way
// towards it; the backend when it has the whole message.
func TestDrainWaitsForTheClientsMessage(t *testing.T) {
	t.Parallel()
	tunnel, remove := openPair(t, `window: off, close_timeout: 1h, reason: "moved"`)
	all := message(someMask)
	tunnel.client.Send(string(all[:half]))
	remove()
	readCloseFrame(t, tunnel.client)
	tunnel.client.Send(string(all[half:]))
	if _, got, err := tunnel.backend.ReadMessage(); err != nil || len(got) != 2*half {
		t.Fatalf("the backend read %d bytes and %v, wanted the whole message of %d", len(got), err, 2*half)
	}
	if code, reason := closeCode(t, tunnel.backend); code != drained || reason != "moved" {
		t.Errorf("then it read Close %d %q, wanted %d and moved", code, reason, drained)
	}
	tunnel.client.Send(string(wsproto.AppendClose(nil, drained, "", someMask)))
	tunnel.end(t, 1)
}

// TestDrainWaitsForTheBackendsMessage is the same the other way.
func TestDrainWaitsForTheBackendsMessage(t *testing.T) {
	t.Parallel()
	tunnel, remove := openPair(t, `window: off, close_timeout: 1h, reason: "moved"`)
	tunnel.backend.SetCloseHandler(func(int, string) error { return nil }) // it would answer in the middle of its message
	all := message(nil)
	sent := make(chan error, 1)
	wire := tunnel.backend.NetConn()
	go send(wire, all[:half], sent)
	if _, err := io.ReadFull(tunnel.client.Reader, make([]byte, half)); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	remove()
	if code, _ := closeCode(t, tunnel.backend); code != drained {
		t.Errorf("the backend read Close %d, wanted %d", code, drained)
	}
	go send(wire, all[half:], sent)
	if _, err := io.ReadFull(tunnel.client.Reader, make([]byte, len(all)-half)); err != nil {
		t.Fatalf("the rest of the message: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	readCloseFrame(t, tunnel.client)
	go send(wire, wsproto.AppendClose(nil, drained, "", nil), sent)
	tunnel.client.Send(string(wsproto.AppendClose(nil, drained, "", someMask)))
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	tunnel.end(t, 0)
}

func send(to net.Conn, text []byte, done chan<- error) {
	_, err := to.Write(text)
	done <- err
}

// readCloseFrame reads the Close frame that the drain sends the client, and
// nothing before it.
func readCloseFrame(t *testing.T, client *proxytest.Raw) {
	t.Helper()
	want := wsproto.AppendClose(nil, drained, "moved", nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client.Reader, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the client read %x and %v, wanted the Close frame %x", got, err, want)
	}
}

// end expects the end of both connections, and the log's story of it.
func (tunnel pair) end(t *testing.T, messages int) {
	t.Helper()
	if rest := tunnel.client.Rest(); rest != "" {
		t.Errorf("the client read %q behind the Close frame", rest)
	}
	if _, err := io.Copy(io.Discard, tunnel.backend.NetConn()); err != nil {
		t.Errorf("the backend's connection ended with %v, wanted an orderly end", err)
	}
	tunnel.p.waitLog("tunnel closed", fields{"closed_by": "proxy", "reason": "drain", "code": drained, "text": "moved", "messages_from_client": messages})
}

// TestDrainAwaitsTheReply: the backend answers its Close frame, the client does
// not, and its connection stays until it does.
func TestDrainAwaitsTheReply(t *testing.T) {
	t.Parallel()
	tunnel, remove := openPair(t, `window: off, close_timeout: 1h, reason: "moved"`)
	remove()
	if code, _ := closeCode(t, tunnel.backend); code != drained { // and gorilla answers
		t.Errorf("the backend read Close %d, wanted %d", code, drained)
	}
	if _, err := io.Copy(io.Discard, tunnel.backend.NetConn()); err != nil { // told, answered: FIN
		t.Fatal(err)
	}
	readCloseFrame(t, tunnel.client)
	tunnel.mustBeOpen(t)
	tunnel.client.Send(string(wsproto.AppendClose(nil, drained, "", someMask)))
	tunnel.end(t, 0)
}

// mustBeOpen fails if the client's connection has ended, or has something to say.
// The proxy is asked first whether the tunnel is open: what it had sent the client
// by then has arrived, as both are on this machine.
func (tunnel pair) mustBeOpen(t *testing.T) {
	t.Helper()
	tunnel.p.waitOpen(1)
	if n := tunnel.client.Reader.Buffered(); n > 0 {
		t.Errorf("%d bytes came, wanted silence", n)
	}
	raw, err := tunnel.client.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) (done bool) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("reading gave %d bytes and %v, wanted a connection that is open and silent", n, err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDrainCutsWhoNeverReplies: after close_timeout.
func TestDrainCutsWhoNeverReplies(t *testing.T) {
	t.Parallel()
	tunnel, remove := openPair(t, `window: off, close_timeout: 50ms, reason: "moved"`)
	remove()
	readCloseFrame(t, tunnel.client)
	if rest := tunnel.client.Rest(); rest != "" {
		t.Errorf("the client read %q behind the Close frame", rest)
	}
	tunnel.p.waitLog("tunnel closed", fields{"reason": "drain", "code": drained})
}

// TestDrainEndsARawTunnel: what has no frames is ended with an end of file.
func TestDrainEndsARawTunnel(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+`routes: {r: {match: {path: /r}, to: "`+b.url("http")+`", upgrade: any, drain: {window: off}}}`+"\n")
	raw := connect(t, p)
	if got := ask(t, raw, request("GET /r HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: mine")); got.status != 101 {
		t.Fatalf("no tunnel: %d", got.status)
	}
	echoBytes(t, raw, "before")
	p.edit(web + "routes: {}\n")
	if rest := raw.Rest(); rest != "" {
		t.Errorf("read %q at the end", rest)
	}
	p.waitLog("tunnel closed", fields{"reason": "drain", "closed_by": "proxy", "code": 0})
}
