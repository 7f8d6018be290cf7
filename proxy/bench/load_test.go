package main

// The load and the backend on each other, without a proxy between: what they
// count is what was echoed.

import (
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startTestBackend(t *testing.T) *running {
	t.Helper()
	b, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return &running{addr: b.addr}
}

func openTunnels(t *testing.T, p *running, n int) []io.ReadWriteCloser {
	t.Helper()
	conns, err := p.tunnels(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(conns) })
	return conns
}

func TestEchoes(t *testing.T) {
	conns := openTunnels(t, startTestBackend(t), 10)
	for _, size := range []int{0, 64, 16 << 10, 1 << 20} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		n, err := echoes(ctx, conns, size)
		cancel()
		if err != nil || n < int64(len(conns)) {
			t.Errorf("%d bytes: %d echoes, %v; want at least one a tunnel", size, n, err)
		}
		if err := eachOnce(conns, size); err != nil { // nothing is left over
			t.Errorf("%d bytes, once more: %v", size, err)
		}
	}
}

// A fixed rate sends neither more than was due, nor anything that is not answered.
func TestPaced(t *testing.T) {
	conns := openTunnels(t, startTestBackend(t), 10)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	waits, err := paced(ctx, conns, 64, 500)
	most := int(time.Since(began)/(2*time.Millisecond)) + 1
	if err != nil || len(waits) == 0 || len(waits) > most {
		t.Errorf("%d messages, %v; want some, and %d at most", len(waits), err, most)
	}
}

func TestEchoesEndWithTheirBackend(t *testing.T) {
	b, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	conns := openTunnels(t, &running{addr: b.addr}, 3)
	b.close()
	if _, err := echoes(t.Context(), conns, 64); err == nil {
		t.Error("no error from tunnels whose backend is gone")
	}
}

// A client that sends and does not read is not read for ever.
func TestBackendHoldsBack(t *testing.T) {
	conn := openTunnels(t, startTestBackend(t), 1)[0].(*raw)
	out := frame(1<<20, true)
	sent := 0
	for still := time.Now(); time.Since(still) < time.Second && sent < 1<<30; {
		n, err := send(conn.fd, out[sent%len(out):])
		if err != nil && err != errAgain {
			t.Fatal(err)
		}
		if sent += n; n > 0 {
			still = time.Now()
		}
	}
	if sent >= 1<<30 {
		t.Error("the backend has taken a GiB")
	}
}

// The relay keeps every byte in its place while both of a tunnel's sides are full.
func TestRelay(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler:", err)
	}
	program, err := buildRelay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := site{dir: t.TempDir(), port: port, backend: startTestBackend(t).addr}
	args, err := configureRelay(s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := spawn(t.Context(), s, program, args)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	conns := openTunnels(t, p, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if n, err := echoes(ctx, conns, 4<<20); err != nil || n == 0 {
		t.Errorf("%d echoes, %v", n, err)
	}
}

// Plain requests and handshakes are told apart.
func TestBackendAnswersRequests(t *testing.T) {
	p := startTestBackend(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if n, err := p.requests(ctx, 2); err != nil || n == 0 {
		t.Errorf("%d requests, %v", n, err)
	}
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := upgrade(conn, echoing); err != nil {
		t.Error(err)
	}
}

func TestUpgradeSaysWhatCame(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		buffer := make([]byte, 1<<10)
		_, _ = there.Read(buffer)
		_, _ = io.WriteString(there, "HTTP/1.1 404 Not Found\r\n\r\n")
	}()
	if err := upgrade(here, echoing); err == nil || !strings.Contains(err.Error(), "404 Not Found") {
		t.Errorf("%v, want one that says 404", err)
	}
}
