package tunnel

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// sink is a destination that keeps what it is given.
type sink struct {
	net.Conn // nil: what is not here is not called
	got      []byte
}

func (s *sink) Write(p []byte) (int, error)     { s.got = append(s.got, p...); return len(p), nil }
func (s *sink) Close() error                    { return nil }
func (s *sink) SetReadDeadline(time.Time) error { return nil }

// newDirection is a direction from a client into a sink, without its goroutine.
func newDirection(l Limits, rsv byte) (*portableDirection, *sink) {
	to := &sink{}
	t := newTunnel(&Spec{Client: Endpoint{Conn: &sink{}}, Backend: Endpoint{Conn: to}, WebSocket: true, RSV: rsv, Limits: l})
	return &t.dirs[fromClient], to
}

// want has something put in at the next boundary.
func (d *portableDirection) want(bits pending) {
	d.state().pending |= bits
	d.pending.Store(uint32(d.state().pending))
}

// feed passes a stream on in pieces, as copy does.
func (d *portableDirection) feed(stream []byte, sizes []byte, before func(i int)) {
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if i < len(sizes) {
			n = min(n, int(sizes[i])+1)
		}
		before(i)
		p := append(bytes.Clone(d.held), stream[:n]...)
		d.held = d.held[:0]
		d.pass(p)
		stream = stream[n:]
	}
}

// FuzzPortableChangesNothing: whatever comes, and however it is split, goes out as it
// came; and a ping that is put in stands between two frames.
func FuzzPortableChangesNothing(f *testing.F) {
	add := func(pings uint64, parts ...[]byte) { f.Add(bytes.Join(parts, nil), []byte{0, 1, 5, 2}, pings) }
	text := fromClientFrame(wsproto.OpText, []byte("hello"))
	long := fromClientFrame(wsproto.OpBinary, make([]byte, 300))
	add(0, text, text)
	add(3, text, long, fromClientFrame(wsproto.OpPong, []byte("8 bytes.")), text)
	add(0xff, long, []byte{0x83, 0x80}, text)
	add(0xff, text, wsproto.AppendClose(nil, 1000, "bye", someMask), text)
	add(1, wsproto.AppendClose(nil, 1006, "bad", someMask), text)
	f.Fuzz(func(t *testing.T, stream, sizes []byte, pings uint64) {
		d, to := newDirection(Limits{PingClient: time.Hour, PingBackend: time.Hour}, 0)
		var ping int
		d.feed(stream, sizes, func(i int) {
			if i < 64 && pings>>i&1 != 0 {
				d.want(pendingPing)
				ping++
			}
		})
		token := d.other().token
		got := withoutPings(to.got, token[:])
		if want := stream[:len(stream)-len(d.held)]; !bytes.Equal(got, want) {
			t.Errorf("% x went out as % x", want, got)
		}
		if len(d.held) > wsproto.MaxHeld {
			t.Errorf("%d bytes held", len(d.held))
		}
		if d.count().Bytes != int64(len(got)) {
			t.Errorf("%d bytes counted, want %d", d.count().Bytes, len(got))
		}
	})
}

// withoutPings walks what a backend gets and leaves out the pings that carry
// token. What stands inside a frame is not seen, and so stays.
func withoutPings(stream, token []byte) (kept []byte) {
	walker := wsproto.NewWalker(wsproto.Rules{Masked: true})
	for {
		n, ev := walker.Next(stream)
		part := stream[:n]
		stream = stream[n:]
		switch {
		case ev.Step == wsproto.StepMore:
			return append(kept, stream...)
		case ev.Step == wsproto.StepPing && bytes.Equal(wsproto.ControlPayload(nil, part), token):
		default:
			kept = append(kept, part...)
		}
	}
}

// Pongs that answer our pings are cut out, wherever the reads are split.
func TestPortableCutsPongs(t *testing.T) {
	text := fromClientFrame(wsproto.OpText, []byte("hello"))
	for cut := range 60 {
		d, to := newDirection(Limits{PingClient: time.Hour}, 0)
		pong := fromClientFrame(wsproto.OpPong, d.token[:])
		other := fromClientFrame(wsproto.OpPong, []byte("other"))
		stream := bytes.Join([][]byte{text, pong, pong, other, text, pong}, nil)
		d.feed(stream, []byte{byte(cut)}, func(int) {})
		if want := bytes.Join([][]byte{text, other, text}, nil); !bytes.Equal(to.got, want) {
			t.Errorf("cut at %d: % x went out, want % x", cut+1, to.got, want)
		}
		if c := d.count(); c.Messages != 2 {
			t.Errorf("%d messages, want 2", c.Messages)
		}
	}
}

// A Close frame that is wanted goes out at the first boundary; nothing follows.
func TestPortableClosesAtTheBoundary(t *testing.T) {
	text := fromClientFrame(wsproto.OpText, []byte("hello"))
	for sent := range len(text) + 1 {
		d, to := newDirection(Limits{}, 0)
		d.feed(text[:sent], nil, func(int) {})
		d.t.session.phase, d.t.session.deadline = phaseClosing, time.Hour
		d.state().closeCode, d.t.note = 1012, &endNote{}
		d.want(pendingClose)
		d.feed(append(bytes.Clone(text[sent:]), text...), nil, func(int) {})
		var before []byte
		if sent >= 6 { // the header was on its way already
			before = text
		}
		got := to.got
		if !bytes.HasPrefix(got, before) {
			t.Fatalf("%d bytes sent: % x", sent, got)
		}
		frame := got[len(before):]
		if code, _, err := wsproto.ParseClosePayload(wsproto.ControlPayload(nil, frame)); err != nil || code != 1012 || len(frame) != 8 {
			t.Errorf("%d bytes sent: % x behind the frame, %v; want Close 1012", sent, frame, err)
		}
	}
}

// Nothing is put in behind a Close frame of the peer's own, and what is still
// wanted there is forgotten.
func TestPortablePutsNothingBehindAClose(t *testing.T) {
	d, to := newDirection(Limits{PingBackend: time.Hour}, 0)
	bye := wsproto.AppendClose(nil, 1000, "bye", someMask)
	d.feed(bye, nil, func(int) {})
	d.state().closeCode = 1012
	d.want(pendingClose | pendingPing)
	d.feed(fromClientFrame(wsproto.OpText, nil), nil, func(int) {})
	if want := append(bye, fromClientFrame(wsproto.OpText, nil)...); !bytes.Equal(to.got, want) {
		t.Errorf("% x went out, want % x", to.got, want)
	}
	if left := d.pending.Load(); left != 0 {
		t.Errorf("still wanted: %b", left)
	}
}
