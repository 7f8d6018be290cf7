package e2e

// A tunnel with bytes at both ends: for frames that no library would send, or
// would hide.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// bare is a backend that switches to WebSocket and hands its connections over.
// They close with the test.
type bare struct {
	*proxytest.RawBackend
	opened chan *proxytest.Raw
}

// newBare starts one; more are further lines of its 101.
func newBare(t *testing.T, more ...string) *bare {
	t.Helper()
	b := &bare{opened: make(chan *proxytest.Raw)}
	release := make(chan struct{})
	b.RawBackend = proxytest.NewRawBackend(t, func(conn net.Conn) {
		side := proxytest.RawOver(t, conn)
		head, err := proxytest.ReadHead(side.Reader)
		if err != nil {
			return
		}
		io.WriteString(conn, proxytest.Switching(proxytest.HeaderValue(head, "Sec-WebSocket-Key"), more...))
		select {
		case b.opened <- side:
			<-release
		case <-release:
		}
	})
	t.Cleanup(func() { close(release) }) // before the backend waits for its scripts
	return b
}

// url is the backend's, without a path.
func (b *bare) url() string { return "ws://" + b.Addr }

// open opens a tunnel at path and returns both its ends.
func (b *bare) open(t *testing.T, p *proxy, path string, more ...string) (client, backend *proxytest.Raw) {
	t.Helper()
	client = connect(t, p)
	if got := ask(t, client, proxytest.Handshake{Target: path, Extra: more}.String()); got.status != 101 {
		t.Fatalf("%s: %d %q, wanted 101", path, got.status, got.body)
	}
	return client, <-b.opened
}

// frame is one short frame as it came, unmasked.
type frame struct {
	first   byte // FIN, reserved bits and opcode
	masked  bool
	payload string
}

const (
	opClose = 0x88
	opPing  = 0x89
	opPong  = 0x8a
)

// readFrame reads one frame of at most 125 bytes of payload (RFC 6455, section 5.2).
func readFrame(t *testing.T, in *bufio.Reader) frame {
	t.Helper()
	var head [2]byte
	readFull(t, in, head[:])
	f := frame{first: head[0], masked: head[1]&0x80 != 0}
	var mask [4]byte
	if f.masked {
		readFull(t, in, mask[:])
	}
	payload := make([]byte, head[1]&0x7f)
	readFull(t, in, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	f.payload = string(payload)
	return f
}

func readFull(t *testing.T, in io.Reader, p []byte) {
	t.Helper()
	if n, err := io.ReadFull(in, p); err != nil {
		t.Fatalf("reading: %v, after %q", err, p[:n])
	}
}

// code of a Close frame; 1005 when it says none.
func (f frame) code() int {
	if len(f.payload) < 2 {
		return 1005
	}
	return int(f.payload[0])<<8 | int(f.payload[1])
}

func (f frame) String() string {
	return fmt.Sprintf("%#x %q, masked: %v", f.first, f.payload, f.masked)
}

// fromClient is a short frame as a client sends it, masked by zeros.
func fromClient(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// fromBackend is a short frame as a backend sends it.
func fromBackend(first byte, payload string) string {
	return string([]byte{first, byte(len(payload))}) + payload
}

// readClose reads up to the next Close frame and returns it; pings on the way
// are answered with nothing, and fail the test unless they are expected.
func readClose(t *testing.T, who string, in *bufio.Reader, pinged bool) frame {
	t.Helper()
	for {
		f := readFrame(t, in)
		switch {
		case f.first == opClose:
			return f
		case f.first != opPing || !pinged:
			t.Fatalf("the %s got the frame %v", who, f)
		}
	}
}
