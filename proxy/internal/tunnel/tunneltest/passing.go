package tunneltest

// Bytes that pass: unchanged, in order, whole, and no faster than they are taken.

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

var passing = []scenario{
	{"both ways", bothWays},
	{"split at every byte", splitEverywhere},
	{"odd but legal frames", oddFrames},
	{"early bytes", earlyBytes},
	{"early end of file", earlyEOF},
	{"half-closed client", halfClosedClient},
	{"raw, half-closed both ways", rawHalfClosed},
	{"raw bytes are no frames", rawBytes},
	{"a large frame", largeFrame},
	{"stalled reader", stalledReader},
	{"counts and meter", countsAndMeter},
	{"violation is passed on", violationPasses},
}

func bothWays(t *testing.T, e env) {
	r := e.open(t, nil)
	for range 3 {
		for _, pair := range [][2]*peer{{r.client, r.backend}, {r.backend, r.client}} {
			f := pair[0].frame(wsproto.OpText, "hello")
			pair[0].send(f)
			pair[1].gets(f)
		}
	}
}

// splitEverywhere sends one stream in two writes, cut at each byte, and the
// reply likewise.
func splitEverywhere(t *testing.T, e env) {
	if e.net.name == "tls" && testing.Short() {
		t.Skip("a handshake for each split takes long under the race detector")
	}
	stream := func(p *peer) []byte {
		return bytes.Join([][]byte{
			p.fragment(wsproto.OpText, "a"), p.frame(wsproto.OpPing, "p"), p.frame(wsproto.OpContinuation, "bc"),
			p.frame(wsproto.OpPong, ""), p.frame(wsproto.OpBinary, string(make([]byte, 126))),
		}, nil)
	}
	length := len(stream(&peer{masks: true}))
	for cut := 1; cut < length; cut += 3 {
		r := e.open(t, nil)
		for _, pair := range [][2]*peer{{r.client, r.backend}, {r.backend, r.client}} {
			s := stream(pair[0])
			at := min(cut, len(s)-1)
			pair[0].send(s[:at])
			pair[0].send(s[at:])
			pair[1].gets(s)
		}
		r.tunnel.Cut(tunnel.ReasonShutdown)
		s := r.endsAnyhow()
		passed(t, "from the client", s.Counts.FromClient, int64(len(stream(r.client))), 2)
		passed(t, "from the backend", s.Counts.FromBackend, int64(len(stream(r.backend))), 2)
	}
	r := e.open(t, nil)
	s := stream(r.client)
	for i := range s {
		r.client.send(s[i : i+1])
	}
	r.backend.gets(s)
}

func oddFrames(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.RSV = 0x40; s.Limits.Strict = true })
	compressed := r.client.fragment(wsproto.OpBinary, "not really deflated")
	compressed[0] |= 0x40
	for _, f := range [][]byte{
		r.client.frame(wsproto.OpText, ""),
		r.client.fragment(wsproto.OpText, ""), r.client.fragment(wsproto.OpContinuation, ""), r.client.frame(wsproto.OpContinuation, ""),
		compressed, r.client.frame(wsproto.OpPong, "unasked"), r.client.frame(wsproto.OpContinuation, ""),
		wsproto.AppendFrame(nil, wsproto.OpText, []byte("zero mask"), new([4]byte)),
		r.client.frame(wsproto.OpText, "\xff\xfe not UTF-8"),
		r.client.closeFrame(4999, "odd"),
	} {
		r.client.send(f)
		r.backend.gets(f)
	}
	r.backend.send(r.backend.closeFrame(0, ""))
	r.client.gets([]byte{0x88, 0})
	r.client.leaves()
	r.backend.leaves()
	s := r.ends(tunnel.ByClient, tunnel.ReasonClosed, 4999, "odd")
	if s.Counts.FromClient.Messages != 5 {
		t.Errorf("%d messages, want 5", s.Counts.FromClient.Messages)
	}
}

// earlyBytes has some of both sides' bytes read before the tunnel opens, down to
// half a header and half a pong.
func earlyBytes(t *testing.T, e env) {
	var fromClient, fromBackend []byte
	client, backend := &peer{masks: true}, &peer{}
	for _, s := range []string{"one", "two", ""} {
		fromClient = append(fromClient, client.frame(wsproto.OpText, s)...)
		fromBackend = append(fromBackend, backend.frame(wsproto.OpText, s)...)
	}
	fromClient = append(fromClient, client.frame(wsproto.OpPong, "early")...)
	for _, held := range []int{0, 1, 7, 10, 13} {
		r := e.open(t, func(s *tunnel.Spec) {
			s.Client.Early = fromClient[:len(fromClient)-held]
			s.Backend.Early = fromBackend[:len(fromBackend)-min(held, 6)]
		})
		r.client.send(fromClient[len(fromClient)-held:])
		r.backend.send(fromBackend[len(fromBackend)-min(held, 6):])
		r.backend.gets(fromClient)
		r.client.gets(fromBackend)
	}
}

func earlyEOF(t *testing.T, e env) {
	f := (&peer{masks: true}).frame(wsproto.OpText, "and gone")
	r := e.open(t, func(s *tunnel.Spec) { s.Client.Early, s.Client.EOF = f, true })
	r.backend.gets(f)
	r.backend.getsEOF()
	late := r.backend.frame(wsproto.OpText, "late")
	r.backend.send(late)
	r.client.gets(late)
	r.backend.goes()
	r.client.getsEOF()
	r.ends(tunnel.ByClient, tunnel.ReasonLost, 1006, "")
}

func halfClosedClient(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.client.frame(wsproto.OpText, "last")
	r.client.send(f)
	r.client.goes()
	r.backend.gets(f)
	r.backend.getsEOF()
	late := r.backend.frame(wsproto.OpText, "late")
	r.backend.send(late, late)
	r.client.gets(late)
	r.client.gets(late)
	r.backend.send(r.backend.closeFrame(1001, ""))
	r.client.getsClose(1001, "")
	r.client.getsEOF()
	r.backend.goes()
	s := r.ends(tunnel.ByClient, tunnel.ReasonLost, 1001, "")
	passed(t, "from the client", s.Counts.FromClient, int64(len(f)), 1)
}

func rawHalfClosed(t *testing.T, e env) {
	for _, by := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
		r := e.open(t, raw)
		first, second := r.client, r.backend
		if by == tunnel.ByBackend {
			first, second = second, first
		}
		first.send([]byte("all of it"))
		first.goes()
		second.gets([]byte("all of it"))
		second.getsEOF()
		second.send([]byte("late"))
		second.goes()
		first.gets([]byte("late"))
		first.getsEOF()
		r.ends(by, tunnel.ReasonClosed, 0, "")
	}
}

func rawBytes(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.WebSocket = false; s.Limits.Strict = true; s.Limits.FrameSize = 1 })
	b := []byte{0xff, 0xff, 0, 0x88, 0x80, 'x'}
	r.client.send(b)
	r.backend.gets(b)
	r.backend.send(b[:1])
	r.client.gets(b[:1])
	if got := r.tunnel.Counts().FromClient.Messages; got != 0 {
		t.Errorf("%d messages on a raw tunnel", got)
	}
}

// pattern is a stream that has no period a buffer could hide.
type pattern struct{ x uint32 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		p.x = p.x*1664525 + 1013904223
		b[i] = byte(p.x >> 24)
	}
	return len(b), nil
}

func sum(r io.Reader, n int64) (hash.Hash, error) {
	h := sha256.New()
	_, err := io.CopyN(h, r, n)
	return h, err
}

// largeFrame sends 8 MiB in one frame each way at once.
func largeFrame(t *testing.T, e env) {
	const size = 8 << 20
	r := e.open(t, nil)
	want, _ := sum(&pattern{}, size)
	sent := make(chan error, 2)
	for _, p := range []*peer{r.client, r.backend} {
		head := largeHeader(p, size)
		go func() {
			_, err := p.conn.Write(head)
			if err == nil {
				_, err = io.CopyN(p.conn, &pattern{}, size)
			}
			sent <- err
		}()
	}
	read := make(chan error, 2)
	for _, pair := range [][2]*peer{{r.client, r.backend}, {r.backend, r.client}} {
		head := largeHeader(pair[0], size)
		go func() {
			_, err := io.CopyN(io.Discard, pair[1].r, int64(len(head)))
			if err == nil {
				var got hash.Hash
				if got, err = sum(pair[1].r, size); err == nil && !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
					err = errors.New("the payload has changed")
				}
			}
			read <- err
		}()
	}
	if err := errors.Join(<-sent, <-sent, <-read, <-read); err != nil {
		t.Fatal(err)
	}
	r.tunnel.Cut(tunnel.ReasonShutdown)
	s := r.endsAnyhow()
	passed(t, "from the client", s.Counts.FromClient, size+14, 1)
	passed(t, "from the backend", s.Counts.FromBackend, size+10, 1)
}

// largeHeader is the header of a binary frame with a 64-bit length.
func largeHeader(p *peer, size uint32) []byte {
	h := []byte{0x82, 127, 0, 0, 0, 0, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
	if p.masks {
		h[1] |= 0x80
		h = append(h, 0, 0, 0, 0)
	}
	return h
}

// stalledReader has a client write more than the kernel can hold to a backend
// that does not read: the proxy must not take up the rest. All of what was
// taken arrives when the backend reads at last.
func stalledReader(t *testing.T, e env) {
	const most = 128 << 20
	if e.net.name == "tls" {
		t.Skip("a TLS connection is of no use after a write timeout")
	}
	r := e.open(t, nil)
	r.client.send(largeHeader(r.client, most))
	before := heap()
	if err := r.client.conn.SetWriteDeadline(time.Now().Add(6 * soon)); err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(r.client.conn, &pattern{}, most)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes to a reader that does not read, then %v", n, err)
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	r.client.goes()
	r.backend.gets(largeHeader(r.client, most))
	got, err := io.ReadAll(r.backend.r)
	if err != nil || int64(len(got)) < n {
		t.Fatalf("read %d bytes and %v of %d that were taken", len(got), err, n)
	}
	want := make([]byte, len(got))
	(&pattern{}).Read(want)
	if !bytes.Equal(got, want) {
		t.Error("the payload has changed")
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

func countsAndMeter(t *testing.T, e env) {
	var m tunnel.Meter
	r := e.open(t, func(s *tunnel.Spec) { s.Meter = &m })
	f := r.client.frame(wsproto.OpText, "counted")
	r.client.send(f, r.client.fragment(wsproto.OpText, ""), r.client.frame(wsproto.OpContinuation, ""), f)
	r.backend.gets(f)
	r.backend.gets(r.client.fragment(wsproto.OpText, ""))
	r.backend.gets(r.client.frame(wsproto.OpContinuation, ""))
	r.backend.gets(f)
	b := r.backend.frame(wsproto.OpBinary, "back")
	r.backend.send(b)
	r.client.gets(b)
	r.client.send(r.client.closeFrame(1000, ""))
	r.backend.gets(r.client.closeFrame(1000, ""))
	r.backend.send(r.backend.closeFrame(1000, ""))
	r.client.getsClose(1000, "")
	r.client.leaves()
	r.backend.leaves()
	s := r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
	passed(t, "from the client", s.Counts.FromClient, int64(2*len(f)+2*6+8), 3)
	passed(t, "from the backend", s.Counts.FromBackend, int64(len(b)+4), 1)
	if r.tunnel.Counts() != s.Counts {
		t.Errorf("Counts is %+v after the end, want %+v", r.tunnel.Counts(), s.Counts)
	}
	if c, b := m.FromClient.Load(), m.FromBackend.Load(); c != s.Counts.FromClient.Bytes || b != s.Counts.FromBackend.Bytes {
		t.Errorf("metered %d and %d bytes, counted %+v", c, b, s.Counts)
	}
}

// violationPasses breaks the RFC on a tunnel without limits: from there on the
// bytes are just bytes.
func violationPasses(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.client.frame(wsproto.OpText, "fine")
	bad := []byte{0xf3, 0x01, 0x88, 0xff, 0xff, 0x01}
	r.client.send(f, bad, f)
	r.backend.gets(f)
	r.backend.gets(bad)
	r.backend.gets(f)
	if got := r.tunnel.Counts().FromClient.Messages; got != 1 {
		t.Errorf("%d messages counted, want the 1 before the violation", got)
	}
	r.tunnel.Close(1012, "drained", tunnel.ReasonDrain)
	r.client.answersClose(1012, "drained")
	r.backend.getsEOF() // no boundary can be known there
	r.backend.goes()
	r.client.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "drained")
}
