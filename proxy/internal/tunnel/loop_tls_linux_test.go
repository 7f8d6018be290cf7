package tunnel

// TLS on a loop, when the peer takes nothing: a client that has gone, and one that
// asks for more and more answers.

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// tlsRig is a tunnel on a loop whose client speaks TLS 1.3.
type tlsRig struct {
	*loopRig
	tls    *tls.Conn // the client's end, over loopRig.client
	secret []byte    // of what the client sends
}

func onLoopTLS(t *testing.T, change func(*Spec)) *tlsRig {
	t.Helper()
	r := &tlsRig{loopRig: &loopRig{t: t, done: make(chan Summary, 1)}}
	inClient, client := loopback(t)
	inBackend, backend := loopback(t)
	r.client, r.backend = client.(*net.TCPConn), backend.(*net.TCPConn)
	for _, c := range []net.Conn{client, backend} {
		c.SetDeadline(time.Now().Add(patience))
	}
	// What the kernel takes of a stalled side is little, and does not grow.
	if err := errors.Join(r.client.SetReadBuffer(64<<10), inClient.(*net.TCPConn).SetWriteBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	var keys strings.Builder
	server := tls.Server(Under(inClient), selfSigned(t))
	r.tls = tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &keys})
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	if err := errors.Join(r.tls.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(keys.String()))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			r.secret, _ = hex.DecodeString(f[2])
		}
	}
	s := Spec{Client: Endpoint{Conn: server}, Backend: Endpoint{Conn: inBackend}, WebSocket: true, Done: func(s Summary) { r.done <- s }}
	if change != nil {
		change(&s)
	}
	tun, ok := New().Open(s).(*loopTunnel)
	if !ok {
		t.Fatal("the tunnel is not on a loop")
	}
	r.tunnel = tun
	t.Cleanup(func() { tun.Cut(ReasonShutdown) })
	return r
}

// stalls has the backend stream until records wait for the client.
func (r *tlsRig) stalls() {
	r.t.Helper()
	go func() {
		for frame := fromBackendFrame(wsproto.OpBinary, make([]byte, 64<<10)); ; {
			if _, err := r.backend.Write(frame); err != nil {
				return
			}
		}
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		r.look(func(_ *loop, _ *slot, s *tlsSide) { waiting = len(s.raw.backlog) })
	}
}

// A client that says its last word and is reset while records wait for it: all of
// that is there when the loop looks next. Nobody will ever take those records.
func TestLoopTLSClientGoneWhileRecordsWait(t *testing.T) {
	r := onLoopTLS(t, nil)
	r.stalls()
	r.look(func(*loop, *slot, *tlsSide) { // the loop sees nothing of this until it is over
		if err := r.tls.CloseWrite(); err != nil {
			t.Error(err)
		}
		r.client.SetLinger(0)
		r.client.Close()
	})
	if s := r.ends(); s.ClosedBy != ByClient || s.Reason != ReasonLost {
		t.Errorf("%+v", s)
	}
}

// The same without a reset: it has only half-closed, and goes on reading.
func TestLoopTLSHalfClosedClientGetsWhatWaits(t *testing.T) {
	r := onLoopTLS(t, nil)
	r.stalls()
	if err := r.tls.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.tls, make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	r.client.SetLinger(0)
	r.client.Close()
	if s := r.ends(); s.ClosedBy != ByClient || s.Reason != ReasonLost {
		t.Errorf("%+v", s)
	}
}

// A client that reads nothing and asks for new keys is not read once it is owed a
// few KiB of answers; and is again when it takes them.
func TestLoopBoundsWhatTLSOwes(t *testing.T) {
	r := onLoopTLS(t, nil)
	for _, c := range []net.Conn{r.client, r.backend} { // new keys by the thousand take a busy machine its time
		c.SetDeadline(time.Now().Add(10 * patience))
	}
	pong, last := fromClientFrame(wsproto.OpPong, nil), fromClientFrame(wsproto.OpText, []byte("taken again"))
	const most = 100_000 // some MiB of answers
	enough := make(chan struct{})
	flooded := make(chan error, 1)
	go func() {
		w := &rekeying{t: t, conn: r.client, secret: r.secret}
		for range most {
			select {
			case <-enough:
				flooded <- w.send(recordData, last)
				return
			default:
			}
			if err := errors.Join(w.requestKey(), w.send(recordData, pong)); err != nil {
				flooded <- err
				return
			}
		}
		flooded <- errors.New("the client is read however much it is owed")
	}()
	passed := make(chan bool, 1)
	go func() {
		tail := make([]byte, len(last))
		for buf := make([]byte, 32<<10); !bytes.Equal(tail, last); {
			n, err := r.backend.Read(buf)
			if err != nil {
				passed <- false
				return
			}
			tail = append(tail, buf[:n]...)
			tail = tail[len(tail)-len(last):]
		}
		passed <- true
	}()
	for owed, waiting := false, 0; !owed; time.Sleep(time.Millisecond) {
		r.look(func(l *loop, t *slot, s *tlsSide) {
			owed, waiting = t.dirs[fromClient].owing, len(s.raw.backlog)
		})
		if waiting > 16*maxOwed {
			t.Fatalf("%d bytes wait for a client that reads nothing", waiting)
		}
		if len(flooded) > 0 {
			t.Fatal(<-flooded)
		}
	}
	close(enough)
	go io.Copy(io.Discard, r.client)
	if err := <-flooded; err != nil {
		t.Fatal(err)
	}
	if !<-passed {
		t.Error("the client's last message has not passed")
	}
}

// rekeying is the sending half of a TLS 1.3 client with TLS_AES_128_GCM_SHA256,
// which crypto/tls does not let ask for new keys.
type rekeying struct {
	t      *testing.T
	conn   net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

const (
	recordHandshake = 22
	recordData      = 23
)

func (w *rekeying) expand(label string, n int) []byte {
	var info bytes.Buffer
	binary.Write(&info, binary.BigEndian, uint16(n))
	info.WriteByte(byte(len("tls13 " + label)))
	info.WriteString("tls13 " + label + "\x00")
	key, err := hkdf.Expand(sha256.New, w.secret, info.String(), n)
	if err != nil {
		w.t.Error(err)
	}
	return key
}

func (w *rekeying) send(kind byte, p []byte) error {
	if w.aead == nil {
		block, err := aes.NewCipher(w.expand("key", 16))
		if err != nil {
			return err
		}
		w.aead, _ = cipher.NewGCM(block)
		w.iv, w.seq = w.expand("iv", 12), 0
	}
	nonce := bytes.Clone(w.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, w.seq) {
		nonce[4+i] ^= b
	}
	w.seq++
	inner := append(bytes.Clone(p), kind)
	head := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(inner)+w.aead.Overhead()))
	_, err := w.conn.Write(w.aead.Seal(head, nonce, inner, head))
	return err
}

// requestKey sends KeyUpdate(update_requested), RFC 8446 section 4.6.3.
func (w *rekeying) requestKey() error {
	err := w.send(recordHandshake, []byte{24, 0, 0, 1, 1})
	w.secret, w.aead = w.expand("traffic upd", sha256.Size), nil
	return err
}
