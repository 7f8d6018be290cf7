package tunneltest

// The rig: a tunnel between two connections whose other ends the test holds.

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// soon is a limit that a test waits for; awhile is one in which, besides,
// something has to happen first.
const (
	soon   = 50 * time.Millisecond
	awhile = 20 * soon
)

// network makes connected pairs: the proxy's end, and the peer's.
type network struct {
	name string
	pair func(t *testing.T) (inside, outside net.Conn)
	// abrupt says that the network can be reset.
	abrupt bool
}

func networks(t *testing.T) []network {
	server, client := tlsConfigs(t)
	return []network{
		{name: "tcp", abrupt: true, pair: tcpPair},
		{name: "unix", pair: unixPair},
		{name: "tls", pair: func(t *testing.T) (net.Conn, net.Conn) {
			inside, outside := tcpPair(t)
			return handshaken(t, tls.Server(tunnel.Under(inside), server), tls.Client(outside, client))
		}},
		{name: "opaque", pair: func(t *testing.T) (net.Conn, net.Conn) {
			inside, outside := tcpPair(t)
			return opaque{inside}, outside
		}},
	}
}

// opaque is a connection that shows nothing of its descriptor, but can be half-closed.
type opaque struct{ net.Conn }

func (o opaque) CloseWrite() error { return o.Conn.(*net.TCPConn).CloseWrite() }

func tcpPair(t *testing.T) (inside, outside net.Conn) {
	return pairOver(t, "tcp", "127.0.0.1:0")
}

func unixPair(t *testing.T) (inside, outside net.Conn) {
	dir, err := os.MkdirTemp("", "tunnel") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	return pairOver(t, "unix", filepath.Join(dir, "s"))
}

func pairOver(t *testing.T, network, address string) (inside, outside net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	outside, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	inside = <-accepted
	t.Cleanup(func() { inside.Close(); outside.Close() })
	return inside, outside
}

func handshaken(t *testing.T, inside, outside *tls.Conn) (net.Conn, net.Conn) {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- inside.Handshake() }()
	if err := errors.Join(outside.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	return inside, outside
}

func tlsConfigs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"tunnel.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "tunnel.test"}
}

// rig is an open tunnel, and the peers at its ends.
type rig struct {
	t               *testing.T
	tunnel          tunnel.Tunnel
	client, backend *peer
	done            chan tunnel.Summary
	inside          [2]net.Conn
}

// open opens a tunnel of WebSocket frames with a CloseTimeout that no scenario should
// have to wait for; change may change that.
func (e env) open(t *testing.T, change func(*tunnel.Spec)) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan tunnel.Summary, 8)}
	var clientOut, backendOut net.Conn
	r.inside[0], clientOut = e.net.pair(t)
	r.inside[1], backendOut = e.net.pair(t)
	r.client = newPeer(t, "client", clientOut, true)
	r.backend = newPeer(t, "backend", backendOut, false)
	spec := tunnel.Spec{
		Client:    tunnel.Endpoint{Conn: r.inside[0]},
		Backend:   tunnel.Endpoint{Conn: r.inside[1]},
		WebSocket: true,
		Limits:    tunnel.Limits{CloseTimeout: patience},
		Done:      func(s tunnel.Summary) { r.done <- s },
	}
	if change != nil {
		change(&spec)
	}
	r.tunnel = e.engine.Open(spec)
	t.Cleanup(func() { r.tunnel.Cut(tunnel.ReasonShutdown) })
	return r
}

func raw(s *tunnel.Spec) { s.WebSocket = false }

// ends waits for the tunnel's end, and holds its summary against by, why, code
// and text. Both connections must be closed by then.
func (r *rig) ends(by tunnel.Party, why tunnel.Reason, code uint16, text string) tunnel.Summary {
	r.t.Helper()
	select {
	case s := <-r.done:
		got := fmt.Sprintf("by %d, %s, %d %q", s.ClosedBy, s.Reason, s.Code, s.Text)
		if want := fmt.Sprintf("by %d, %s, %d %q", by, why, code, text); got != want {
			r.t.Errorf("the tunnel ended %s; want %s", got, want)
		}
		if s.Duration <= 0 {
			r.t.Errorf("the tunnel lasted %v", s.Duration)
		}
		for i, c := range r.inside {
			if err := c.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
				r.t.Errorf("Done was called with connection %d open: %v", i, err)
			}
		}
		return s
	case <-time.After(patience):
		r.t.Fatal("the tunnel has not ended")
		panic("unreachable")
	}
}

// endsAnyhow waits for the tunnel's end.
func (r *rig) endsAnyhow() tunnel.Summary {
	r.t.Helper()
	select {
	case s := <-r.done:
		return s
	case <-time.After(patience):
		r.t.Fatal("the tunnel has not ended")
		panic("unreachable")
	}
}

// passed holds a direction's counts.
func passed(t *testing.T, name string, got tunnel.Direction, bytes, messages int64) {
	t.Helper()
	if want := (tunnel.Direction{Bytes: bytes, Messages: messages}); got != want {
		t.Errorf("%s: counted %+v, want %+v", name, got, want)
	}
}

// peer is the far end of a connection, as a test plays it.
type peer struct {
	t     *testing.T
	name  string
	conn  net.Conn
	r     *bufio.Reader
	masks bool // it is a client
}

func newPeer(t *testing.T, name string, c net.Conn, masks bool) *peer {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, name: name, conn: c, r: bufio.NewReader(c), masks: masks}
}

// frame is one frame in the peer's own masking.
func (p *peer) frame(op wsproto.Opcode, payload string) []byte {
	return wsproto.AppendFrame(nil, op, []byte(payload), p.mask())
}

func (p *peer) closeFrame(code uint16, reason string) []byte {
	return wsproto.AppendClose(nil, code, reason, p.mask())
}

func (p *peer) mask() *[4]byte {
	if !p.masks {
		return nil
	}
	return &[4]byte{0x12, 0x34, 0x56, 0x78}
}

// fragment is a frame that is not its message's last.
func (p *peer) fragment(op wsproto.Opcode, payload string) []byte {
	f := p.frame(op, payload)
	f[0] &= 0x7f
	return f
}

func (p *peer) send(parts ...[]byte) {
	p.t.Helper()
	for _, b := range parts {
		if _, err := p.conn.Write(b); err != nil {
			p.t.Fatalf("%s: write: %v", p.name, err)
		}
	}
}

// gets reads exactly want.
func (p *peer) gets(want []byte) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.r, got)
	if err != nil {
		p.t.Fatalf("%s: read % x, then %v; want % x", p.name, clip(got[:n]), err, clip(want))
	}
	if !bytes.Equal(got, want) {
		p.t.Fatalf("%s: read % x, want % x", p.name, clip(got), clip(want))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// getsSome reads something.
func (p *peer) getsSome() {
	p.t.Helper()
	if _, err := p.r.ReadByte(); err != nil {
		p.t.Fatalf("%s: read: %v", p.name, err)
	}
}

// getsEOF reads the end of file, and nothing before it.
func (p *peer) getsEOF() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("%s: read % x and %v, want the end of file", p.name, clip(rest), err)
	}
}

// getsFrame reads one frame and returns its opcode and unmasked payload. The
// masking must be that of the peer's counterpart.
func (p *peer) getsFrame() (wsproto.Opcode, string) {
	p.t.Helper()
	head := make([]byte, 2)
	p.fill(head)
	if masked := head[1]&0x80 != 0; masked == p.masks {
		p.t.Fatalf("%s: a frame with masked %v", p.name, masked)
	}
	length := int(head[1] & 0x7f)
	if length == 126 {
		wide := make([]byte, 2)
		p.fill(wide)
		length = int(binary.BigEndian.Uint16(wide))
	}
	key := make([]byte, 4)
	if !p.masks {
		p.fill(key)
	}
	payload := make([]byte, length)
	p.fill(payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return wsproto.Opcode(head[0] & 0x0f), string(payload)
}

func (p *peer) fill(b []byte) {
	p.t.Helper()
	if _, err := io.ReadFull(p.r, b); err != nil {
		p.t.Fatalf("%s: read: %v", p.name, err)
	}
}

// getsClose reads a Close frame with that code and reason.
func (p *peer) getsClose(code uint16, reason string) {
	p.t.Helper()
	op, payload := p.getsFrame()
	if op != wsproto.OpClose || len(payload) < 2 {
		p.t.Fatalf("%s: a frame with opcode %x and payload %q, want Close %d", p.name, op, payload, code)
	}
	if got := binary.BigEndian.Uint16([]byte(payload)); got != code || payload[2:] != reason {
		p.t.Fatalf("%s: Close %d %q, want %d %q", p.name, got, payload[2:], code, reason)
	}
}

// answersClose reads a Close frame and echoes its code, as a peer should.
func (p *peer) answersClose(code uint16, reason string) {
	p.t.Helper()
	p.getsClose(code, reason)
	p.send(p.closeFrame(code, ""))
}

// goes ends what the peer sends.
func (p *peer) goes() {
	p.t.Helper()
	if err := p.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		p.t.Fatalf("%s: half-close: %v", p.name, err)
	}
}

// leaves ends what the peer sends, once it has read to the end of file.
func (p *peer) leaves() {
	p.t.Helper()
	p.getsEOF()
	p.goes()
}

// resets closes the connection with a reset.
func (p *peer) resets() {
	p.t.Helper()
	if err := p.conn.(*net.TCPConn).SetLinger(0); err != nil {
		p.t.Fatal(err)
	}
	p.conn.Close()
}
