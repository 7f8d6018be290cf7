package tunnel

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// stream is one end of a connection without buffers, in synctest's time.
type stream struct {
	net.Conn // nil: what is not here is not called
	in       *io.PipeReader
	out      *io.PipeWriter
}

func streamPair() (a, b *stream) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	return &stream{in: r1, out: w2}, &stream{in: r2, out: w1}
}

func (s *stream) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *stream) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *stream) CloseWrite() error                { return s.out.Close() }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

func (s *stream) Close() error {
	s.in.CloseWithError(net.ErrClosed)
	return s.out.Close()
}

// bench is a tunnel in synctest's time.
type bench struct {
	t               *testing.T
	tunnel          Tunnel
	client, backend *stream
	done            chan Summary
	start           time.Time
}

func newBench(t *testing.T, l Limits, change func(*Spec)) *bench {
	b := &bench{t: t, done: make(chan Summary, 1), start: time.Now()}
	spec := Spec{WebSocket: true, Limits: l, Done: func(s Summary) { b.done <- s }}
	var inClient, inBackend *stream
	inClient, b.client = streamPair()
	inBackend, b.backend = streamPair()
	spec.Client.Conn, spec.Backend.Conn = inClient, inBackend
	if change != nil {
		change(&spec)
	}
	b.tunnel = Portable().Open(spec)
	return b
}

// at says that it is so long since the tunnel was opened.
func (b *bench) at(want time.Duration, what string) {
	b.t.Helper()
	if got := time.Since(b.start); got != want {
		b.t.Errorf("%s after %v, want %v", what, got, want)
	}
}

// reads reads what the tunnel writes to s, one frame at a time.
func (b *bench) reads(s *stream) (op wsproto.Opcode, payload []byte) {
	b.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(s, head); err != nil {
		b.t.Fatal(err)
	}
	rest := make([]byte, wsproto.ControlLen(head)-2)
	if _, err := io.ReadFull(s, rest); err != nil {
		b.t.Fatal(err)
	}
	frame := append(head, rest...)
	return wsproto.Opcode(frame[0] & 15), wsproto.ControlPayload(nil, frame)
}

func (b *bench) wants(s *stream, op wsproto.Opcode) []byte {
	b.t.Helper()
	got, payload := b.reads(s)
	if got != op {
		b.t.Fatalf("a frame with opcode %x, want %x", got, op)
	}
	return payload
}

// proxyEnds reads a Close frame on each side.
func (b *bench) proxyEnds() {
	b.t.Helper()
	told := make(chan wsproto.Opcode)
	go func() {
		op, _ := b.reads(b.client)
		told <- op
	}()
	b.wants(b.backend, wsproto.OpClose)
	if op := <-told; op != wsproto.OpClose {
		b.t.Fatalf("a frame with opcode %x for the client, want Close", op)
	}
}

var someMask = &[4]byte{1, 2, 3, 4}

func fromClientFrame(op wsproto.Opcode, payload []byte) []byte {
	return wsproto.AppendFrame(nil, op, payload, someMask)
}

func fromBackendFrame(op wsproto.Opcode, payload []byte) []byte {
	return wsproto.AppendFrame(nil, op, payload, nil)
}

// finish drains what is left on both sides, and waits for the end.
func (b *bench) finish(why Reason) Summary {
	b.t.Helper()
	go io.Copy(io.Discard, b.client)
	go io.Copy(io.Discard, b.backend)
	s := <-b.done
	if s.Reason != why {
		b.t.Errorf("ended by %d, %s; want %s", s.ClosedBy, s.Reason, why)
	}
	return s
}

func TestIdleCountsFromTheLastBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{Idle: 10 * time.Second}, nil)
		for range 3 {
			time.Sleep(7 * time.Second)
			b.client.Write(fromClientFrame(wsproto.OpText, nil))
			b.wants(b.backend, wsproto.OpText)
		}
		b.proxyEnds()
		b.at(31*time.Second, "closed")
		b.finish(ReasonIdle)
		b.at(37*time.Second, "gone") // the replies' 5s, and 1s to go
	})
}

// TestIdleCountsData: an idle limit that counts data takes each of its frames, whole or
// not, and no control frame.
func TestIdleCountsData(t *testing.T) {
	first := fromClientFrame(wsproto.OpText, nil)
	first[0] &^= 0x80 // its message goes on
	for name, busy := range map[string][]byte{
		"a message":            fromClientFrame(wsproto.OpText, nil),
		"a frame of a message": first,
		"half a frame":         fromClientFrame(wsproto.OpBinary, make([]byte, 100))[:50],
		"a message and a ping": append(fromClientFrame(wsproto.OpText, nil), fromClientFrame(wsproto.OpPing, nil)...),
		"nothing known":        {0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Limits{Idle: 10 * time.Second, IdleCountsData: true}, nil)
				go io.Copy(io.Discard, b.client)
				go io.Copy(io.Discard, b.backend)
				ping, pong := fromClientFrame(wsproto.OpPing, []byte("p")), fromBackendFrame(wsproto.OpPong, []byte("p"))
				time.Sleep(8 * time.Second)
				b.client.Write(ping)
				b.client.Write(busy)
				wrote := make(chan struct{})
				go func() {
					defer close(wrote)
					var err error
					for err == nil {
						time.Sleep(time.Second)
						_, err = b.backend.Write(pong)
						if busy[len(busy)-1] == 0 && len(busy) < 50 && err == nil { // between two frames
							_, err = b.client.Write(ping)
						}
					}
				}()
				if s := <-b.done; s.Reason != ReasonIdle {
					t.Errorf("ended for %s", s.Reason)
				}
				gone := 24 * time.Second // 10s after it, the replies' 5s, and 1s to go
				if name == "nothing known" {
					gone -= time.Second // half-closed at once, as no Close frame can be put in
				}
				b.at(gone, "gone")
				<-wrote
			})
		})
	}
}

func TestWaitingForTheReaderIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{Idle: 10 * time.Second}, nil)
		go b.client.Write(fromClientFrame(wsproto.OpText, make([]byte, 100))) // nobody reads it
		b.wants(b.client, wsproto.OpClose)
		b.at(10*time.Second, "closed")
		s := <-b.done // the backend does not read at all: it is cut at the close timeout
		b.at(16*time.Second, "gone")
		if s.Reason != ReasonIdle {
			t.Errorf("ended for %s", s.Reason)
		}
	})
}

func TestPingsWhenSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{PingClient: 30 * time.Second, Pong: 10 * time.Second}, nil)
		token := b.wants(b.client, wsproto.OpPing)
		b.at(30*time.Second, "pinged")
		time.Sleep(9 * time.Second)
		b.client.Write(fromClientFrame(wsproto.OpPong, token))
		b.wants(b.client, wsproto.OpPing)
		b.at(69*time.Second, "pinged again")
		time.Sleep(9 * time.Second)
		b.client.Write(fromClientFrame(wsproto.OpText, []byte("not a pong, but alive")))
		b.wants(b.backend, wsproto.OpText)
		b.wants(b.client, wsproto.OpPing)
		b.at(108*time.Second, "pinged a third time")
		b.proxyEnds()
		b.at(118*time.Second, "found dead")
		b.finish(ReasonPongTimeout)
	})
}

// A client that cannot be heard, because its last message waits for the backend
// to read, is not silent.
func TestNoPongIsMissedWhileNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{PingClient: 10 * time.Second, Pong: time.Second}, nil)
		go b.client.Write(fromClientFrame(wsproto.OpText, []byte("stuck")))
		time.Sleep(time.Hour)
		if len(b.done) != 0 {
			t.Fatal("the tunnel has ended")
		}
		b.wants(b.backend, wsproto.OpText)
		read := time.Since(b.start)
		b.wants(b.client, wsproto.OpPing)
		b.at(read+10*time.Second, "pinged")
		b.tunnel.Cut(ReasonShutdown)
		b.finish(ReasonShutdown)
	})
}

// A ping that waits for the end of a frame waits as long as the frame moves.
func TestPingWaitsForALargeFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{PingClient: 10 * time.Second, Pong: 5 * time.Second}, nil)
		frame := fromBackendFrame(wsproto.OpBinary, make([]byte, 100))
		for i := range frame {
			go b.backend.Write(frame[i : i+1])
			time.Sleep(4 * time.Second)
			if i == 0 || i == 1 {
				continue // a header is passed on whole
			}
			if i == 2 {
				io.ReadFull(b.client, make([]byte, 3))
				continue
			}
			io.ReadFull(b.client, make([]byte, 1))
		}
		token := b.wants(b.client, wsproto.OpPing)
		b.at(time.Duration(len(frame))*4*time.Second, "pinged")
		b.client.Write(fromClientFrame(wsproto.OpPong, token))
		b.tunnel.Cut(ReasonShutdown)
		b.finish(ReasonShutdown)
	})
}

// A backend may finish what it is saying after the client's Close.
func TestClosingIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{CloseTimeout: 5 * time.Second}, nil)
		b.client.Write(wsproto.AppendClose(nil, 1000, "", someMask))
		b.wants(b.backend, wsproto.OpClose)
		for range 4 {
			time.Sleep(4 * time.Second)
			b.backend.Write(fromBackendFrame(wsproto.OpText, nil))
			b.wants(b.client, wsproto.OpText)
		}
		b.finish(ReasonClosed)
		b.at(21*time.Second, "gone") // four times the 5s, and 1s to go
	})
}

// A drain on top of that is not.
func TestDrainEndsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{CloseTimeout: 5 * time.Second}, nil)
		b.client.Write(wsproto.AppendClose(nil, 1000, "", someMask))
		b.wants(b.backend, wsproto.OpClose)
		b.tunnel.Close(1012, "", ReasonDrain)
		go io.Copy(io.Discard, b.client)
		for range 6 {
			b.backend.Write(fromBackendFrame(wsproto.OpText, nil))
			time.Sleep(time.Second)
		}
		<-b.done
		b.at(6*time.Second, "gone")
	})
}

// sends has a peer send a frame at every beat until it cannot. It returns how to
// wait for that.
func (b *bench) sends(s *stream, frame []byte, beat time.Duration) (wait func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := s.Write(frame); err != nil {
				return
			}
			time.Sleep(beat)
		}
	}()
	return func() { <-ended }
}

// What the client sends behind its Close keeps nothing open, be it Close again.
func TestCloserDoesNotExtendItsClose(t *testing.T) {
	bye := wsproto.AppendClose(nil, 1000, "", someMask)
	for _, frame := range [][]byte{fromClientFrame(wsproto.OpPong, nil), bye} {
		for _, lifetime := range []time.Duration{0, 3 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Limits{CloseTimeout: 2 * time.Second, Lifetime: lifetime}, nil)
				b.client.Write(bye)
				wait := b.sends(b.client, frame, 300*time.Millisecond)
				b.finish(ReasonClosed)
				b.at(3*time.Second, "gone") // 1s to go
				wait()
			})
		}
	}
}

// A backend that sends and sends, and the client takes it, has no more than four
// times its time, and the lifetime.
func TestClosingEndsSomeTime(t *testing.T) {
	for _, test := range []struct{ lifetime, gone time.Duration }{
		{0, 9 * time.Second}, {5 * time.Second, 6 * time.Second}, {time.Second, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, Limits{CloseTimeout: 2 * time.Second, Lifetime: test.lifetime}, nil)
			b.client.Write(wsproto.AppendClose(nil, 1000, "", someMask))
			wait := b.sends(b.backend, fromBackendFrame(wsproto.OpText, nil), 500*time.Millisecond)
			b.finish(ReasonClosed)
			b.at(test.gone, "gone") // 1s to go
			wait()
		})
	}
}

// The receiver's time begins when it has the Close frame, not when that was sent.
func TestCloseTimeBeginsWithTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{Lifetime: time.Minute, CloseTimeout: 5 * time.Second}, nil)
		go io.Copy(io.Discard, b.client)
		frame := fromClientFrame(wsproto.OpBinary, make([]byte, 100))
		go b.client.Write(frame)
		io.ReadFull(b.backend, make([]byte, len(frame)-1)) // the last byte is not taken
		time.Sleep(time.Minute + 4*time.Second)
		b.backend.Read(make([]byte, 1))
		b.wants(b.backend, wsproto.OpClose)
		if _, err := b.backend.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the backend read %v, want the end of file", err)
		}
		b.at(time.Minute+9*time.Second, "half-closed")
		b.finish(ReasonLifetime)
	})
}

// A client that has half-closed, and for which there is nothing, is not kept for
// ever, pinged or not.
func TestHalfClosedClientIsBounded(t *testing.T) {
	for _, limits := range []Limits{{}, {PingClient: 30 * time.Second, Pong: 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, limits, func(s *Spec) { s.Client.EOF = true })
			if _, err := b.backend.Read(make([]byte, 1)); err != io.EOF {
				t.Fatal(err)
			}
			time.Sleep(39 * time.Second)
			b.backend.Write(fromBackendFrame(wsproto.OpText, nil))
			b.wants(b.client, wsproto.OpText)
			b.wants(b.client, wsproto.OpClose)
			b.at(99*time.Second, "given up")
			b.finish(ReasonLost)
		})
	}
}

// Nor is one that does not take what there is for it.
func TestHalfClosedClientThatTakesNothing(t *testing.T) {
	for limits, want := range map[Limits]time.Duration{
		{}: 60 * time.Second,
		{PingClient: 30 * time.Second, Pong: 10 * time.Second}: 40 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			limits.CloseTimeout = time.Second
			b := newBench(t, limits, func(s *Spec) { s.Client.EOF = true })
			go io.Copy(io.Discard, b.backend)
			time.Sleep(50 * time.Second)
			go b.backend.Write(fromBackendFrame(wsproto.OpText, make([]byte, 100)))
			<-b.done
			b.at(50*time.Second+want+2*time.Second, "gone") // 1s for a Close, 1s to go
		})
	}
}

// Its backend cannot be pinged any more, and is not missed.
func TestBackendOfAHalfClosedClientIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{PingBackend: time.Second, Pong: time.Second}, func(s *Spec) { s.Client.EOF = true })
		if got, err := io.ReadAll(b.backend); err != nil || len(got) > 0 {
			t.Fatalf("the backend read %q and %v, want the end of file", got, err)
		}
		time.Sleep(55 * time.Second)
		b.backend.Write(fromBackendFrame(wsproto.OpText, nil))
		b.wants(b.client, wsproto.OpText)
		b.tunnel.Cut(ReasonShutdown)
		<-b.done
	})
}

// One that takes what comes is kept, and so is one of another protocol.
func TestHalfClosedClientIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{PingClient: 30 * time.Second, Pong: 10 * time.Second}
		b := newBench(t, limits, func(s *Spec) { s.Client.EOF = true })
		for range 100 {
			time.Sleep(59 * time.Second)
			b.backend.Write(fromBackendFrame(wsproto.OpText, nil))
			b.wants(b.client, wsproto.OpText)
		}
		b.tunnel.Cut(ReasonShutdown)
		<-b.done
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{}, func(s *Spec) { s.Client.EOF, s.WebSocket = true, false })
		go io.Copy(io.Discard, b.backend)
		time.Sleep(24 * time.Hour)
		if len(b.done) != 0 {
			t.Error("the tunnel has ended")
		}
		b.tunnel.Cut(ReasonShutdown)
		<-b.done
	})
}

func TestLifetimeWithoutABoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Limits{Lifetime: time.Minute, CloseTimeout: 3 * time.Second}, nil)
		frame := fromBackendFrame(wsproto.OpBinary, make([]byte, 100))
		b.backend.Write(frame[:50])
		got := make([]byte, 50)
		io.ReadFull(b.client, got)
		b.wants(b.backend, wsproto.OpClose)
		b.at(time.Minute, "closed")
		if rest, err := io.ReadAll(b.client); err != nil || len(rest) > 0 {
			t.Errorf("the client read %q and %v, want the end of file", rest, err)
		}
		b.at(time.Minute+3*time.Second, "half-closed")
		if s := b.finish(ReasonLifetime); s.Code != 1001 {
			t.Errorf("close code %d, want the 1001 that the backend got", s.Code)
		}
	})
}

// Bytes behind what a connection without half-close delivers end with it.
func TestNoHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inClient, client := net.Pipe()
		inBackend, backend := net.Pipe()
		done := make(chan Summary, 1)
		Portable().Open(Spec{
			Client: Endpoint{Conn: inClient, Early: []byte("all"), EOF: true}, Backend: Endpoint{Conn: inBackend},
			Done: func(s Summary) { done <- s },
		})
		if got, err := io.ReadAll(backend); err != nil || !bytes.Equal(got, []byte("all")) {
			t.Errorf("the backend read %q and %v", got, err)
		}
		if s := <-done; s.ClosedBy != ByClient || s.Reason != ReasonClosed {
			t.Errorf("ended by %d, %s", s.ClosedBy, s.Reason)
		}
		client.Close()
	})
}
