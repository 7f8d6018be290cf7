package tunnel_test

// What a redial keeps of the client's, measured on connections without a buffer, and
// redials at random moments against what must be true of them.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// TestRedialBuffer has a client send for as long as it is read while there is no
// backend: 64 KiB at most, all of which the next backend gets.
func TestRedialBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frameSize, frames = 1000, 200
		client, inside := net.Pipe()
		backend, inside2 := net.Pipe()
		next, inside3 := net.Pipe()
		answer := make(chan tunnel.Next)
		done := make(chan tunnel.Summary, 1)
		tunnel.Portable().Open(tunnel.Spec{
			Client: tunnel.Endpoint{Conn: inside}, Backend: tunnel.Endpoint{Conn: inside2}, WebSocket: true,
			Redial: func(context.Context, tunnel.Reason) (tunnel.Next, error) { return <-answer, nil },
			Done:   func(s tunnel.Summary) { done <- s },
		})
		backend.Close()
		synctest.Wait()
		sent := 0
		go func() {
			for i := range frames {
				client.Write(numbered(i, frameSize))
				sent++
			}
		}()
		synctest.Wait() // until the client is not read any more
		if kept := sent * len(numbered(0, frameSize)); kept > 64<<10 || kept < 16<<10 {
			t.Errorf("%d bytes were taken of the client without a backend, want at most %d", kept, 64<<10)
		}
		answer <- tunnel.Next{Backend: tunnel.Endpoint{Conn: inside3}}
		for i := range frames {
			want := numbered(i, frameSize)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("message %d: % x and %v", i, got[:8], err)
			}
		}
		client.Close()
		<-done
		next.Close()
	})
}

// TestRedialPartlyWritten loses a backend in the middle of what is being written to
// it: at a message's end the rest goes to the next one, elsewhere the tunnel ends.
func TestRedialPartlyWritten(t *testing.T) {
	one, two := numbered(1, 300), numbered(2, 300)
	for _, test := range []struct {
		taken  int
		redial bool
	}{
		{0, true}, {1, false}, {len(one) - 1, false}, {len(one), true}, {len(one) + 1, false}, {len(one) + 100, false}, {len(one) + len(two), true},
	} {
		t.Run(fmt.Sprint(test.taken), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { partlyWritten(t, one, two, test.taken, test.redial) })
		})
	}
}

func partlyWritten(t *testing.T, one, two []byte, taken int, redial bool) {
	client, inside := net.Pipe()
	backend, inside2 := net.Pipe()
	next, inside3 := net.Pipe()
	redialled := false
	done := make(chan tunnel.Summary, 1)
	tunnel.Portable().Open(tunnel.Spec{
		Client:  tunnel.Endpoint{Conn: inside, Early: slices.Concat(one, two)},
		Backend: tunnel.Endpoint{Conn: inside2}, WebSocket: true,
		Redial: func(context.Context, tunnel.Reason) (tunnel.Next, error) {
			redialled = true
			return tunnel.Next{Backend: tunnel.Endpoint{Conn: inside3}}, nil
		},
		Done: func(s tunnel.Summary) { done <- s },
	})
	if _, err := io.ReadFull(backend, make([]byte, taken)); err != nil {
		t.Fatal(err)
	}
	backend.Close()
	if redial {
		go client.Write(numbered(3, 1))
		rest := slices.Concat(one, two, numbered(3, 1))[taken:]
		got := make([]byte, len(rest))
		if _, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, rest) {
			t.Errorf("the next backend got % x and %v, want the rest", got, err)
		}
	} else if got, err := io.ReadAll(io.LimitReader(client, 4)); err != nil || !bytes.Equal(got, []byte{0x88, 14, 0x03, 0xf4}) {
		t.Errorf("the client got % x and %v, want Close 1012", got, err)
	}
	client.Close()
	s := <-done
	next.Close()
	if redialled != redial {
		t.Errorf("redialled: %v, want %v", redialled, redial)
	}
	if want := int64(3); redial && s.Counts.FromClient.Messages != want {
		t.Errorf("%d messages from the client, want %d", s.Counts.FromClient.Messages, want)
	}
}

// numbered is a client's message with a number in it, of at least that size.
func numbered(i, size int) []byte {
	payload := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(payload, uint32(i))
	return wsproto.AppendFrame(nil, wsproto.OpBinary, payload, &[4]byte{1, 2, 3, 4})
}

// TestRedialAtRandom has a client count up through a tunnel to echoing servers that
// go, or are left, at random. Whatever the moments: what servers get is whole and in
// order and nothing twice, and so are echoes; and where every server was left in peace
// nothing is missing.
func TestRedialAtRandom(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newShuffle(t, seed).run() })
	}
}

// shuffle is one run.
type shuffle struct {
	t     *testing.T
	seed  uint64
	rnd   *rand.Rand // trouble's
	peace bool       // servers are left, and never go by themselves
	count uint32     // of messages; the last one is sent until there is an echo

	listener net.Listener
	serving  sync.WaitGroup
	mu       sync.Mutex // guards all below
	received [][]uint32 // by each server
	conns    []net.Conn // their ends
}

func newShuffle(t *testing.T, seed uint64) *shuffle {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &shuffle{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 8)), peace: seed%2 == 0, count: 200, listener: l}
}

func (s *shuffle) run() {
	clientEnd, inside := s.pair()
	done := make(chan tunnel.Summary, 1)
	tun := tunnel.Portable().Open(tunnel.Spec{
		Client: tunnel.Endpoint{Conn: inside}, Backend: s.serve().Backend, WebSocket: true,
		Redial: func(context.Context, tunnel.Reason) (tunnel.Next, error) { return s.serve(), nil },
		Done:   func(sum tunnel.Summary) { done <- sum },
	})
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { s.trouble(tun.(tunnel.Mover), stop) })
	others.Go(func() { s.talk(clientEnd, stop) })
	echoed, code := s.listen(clientEnd)
	close(stop)
	clientEnd.Close()
	others.Wait()
	<-done
	s.serving.Wait()
	s.judge(echoed, code)
}

func (s *shuffle) pair() (outside, inside net.Conn) {
	outside, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		s.t.Error(err)
		return nil, nil
	}
	if inside, err = s.listener.Accept(); err != nil {
		s.t.Error(err)
	}
	_ = outside.SetDeadline(time.Now().Add(time.Minute))
	return outside, inside
}

// serve is one more echoing server.
func (s *shuffle) serve() tunnel.Next {
	outside, inside := s.pair()
	s.mu.Lock()
	nth := len(s.conns)
	s.conns, s.received = append(s.conns, outside), append(s.received, nil)
	s.mu.Unlock()
	s.serving.Go(func() {
		defer outside.Close()
		for r := (messages{r: outside}); ; {
			op, message, err := r.next()
			switch {
			case err != nil:
				return
			case op == wsproto.OpPing:
				continue
			case op == wsproto.OpClose:
				outside.Write(wsproto.AppendClose(nil, 1000, "", nil))
				return
			}
			s.mu.Lock()
			s.received[nth] = append(s.received[nth], binary.BigEndian.Uint32(message))
			s.mu.Unlock()
			if _, err := outside.Write(wsproto.AppendFrame(nil, op, message, nil)); err != nil {
				return
			}
		}
	})
	return tunnel.Next{Backend: tunnel.Endpoint{Conn: inside}}
}

// trouble has servers go, or be left, every so often.
func (s *shuffle) trouble(m tunnel.Mover, stop chan struct{}) {
	for range 12 {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(s.rnd.IntN(2000)) * time.Microsecond): // any moment will do
		}
		s.mu.Lock()
		nth, conn := len(s.conns)-1, s.conns[len(s.conns)-1]
		s.mu.Unlock()
		switch {
		case s.peace:
			m.Move(nth, 1012, "", tunnel.ReasonDrain)
			continue
		case s.rnd.IntN(2) == 0:
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
}

// talk counts up, in messages of some fragments with pings in between.
func (s *shuffle) talk(c net.Conn, stop chan struct{}) {
	rnd := rand.New(rand.NewPCG(s.seed, 9))
	var key = &[4]byte{9, 8, 7, 6}
	for i := range s.count {
		message := append(binary.BigEndian.AppendUint32(nil, i), make([]byte, rnd.IntN(3)*rnd.IntN(9000))...)
		var wire []byte
		op := wsproto.OpBinary
		for rnd.IntN(3) == 0 {
			cut := rnd.IntN(len(message))
			begin := len(wire)
			wire = wsproto.AppendFrame(wire, op, message[:cut], key)
			wire[begin] &= 0x7f
			wire = wsproto.AppendFrame(wire, wsproto.OpPing, nil, key)
			op, message = wsproto.OpContinuation, message[cut:]
			if len(message) == 0 {
				break
			}
		}
		c.Write(wsproto.AppendFrame(wire, op, message, key)) // who listens finds out
	}
	for { // it may be lost with a server, as any other
		c.Write(wsproto.AppendFrame(nil, wsproto.OpBinary, binary.BigEndian.AppendUint32(nil, s.count), key))
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listen reads echoes until that of the last message, or a Close frame and its code;
// 1006 for none.
func (s *shuffle) listen(c net.Conn) (echoed []uint32, code uint16) {
	for r := (messages{r: c}); ; {
		op, message, err := r.next()
		switch {
		case err != nil:
			return echoed, 1006
		case op == wsproto.OpClose:
			return echoed, binary.BigEndian.Uint16(message)
		}
		n := binary.BigEndian.Uint32(message)
		if n == s.count {
			return echoed, 0
		}
		echoed = append(echoed, n)
	}
}

func (s *shuffle) judge(echoed []uint32, code uint16) {
	received := slices.DeleteFunc(slices.Concat(s.received...), func(n uint32) bool { return n == s.count })
	for name, list := range map[string][]uint32{"received": received, "echoed": echoed} {
		for i := 1; i < len(list); i++ {
			if list[i] <= list[i-1] {
				s.t.Fatalf("%s: %d after %d", name, list[i], list[i-1])
			}
		}
		if s.peace && len(list) != int(s.count) {
			s.t.Errorf("%s %d messages of %d, and then %d", name, len(list), s.count, code)
		}
	}
	if code != 0 && (s.peace || code != 1012 && code != 1006) {
		s.t.Errorf("ended with %d", code)
	}
}

// messages reads the messages and control frames that a peer sends, plainly.
type messages struct {
	r     io.Reader
	op    wsproto.Opcode
	parts []byte
}

func (m *messages) next() (wsproto.Opcode, []byte, error) {
	for {
		fin, op, payload, err := m.frame()
		switch {
		case err != nil:
			return 0, nil, err
		case op >= wsproto.OpClose:
			return op, payload, nil
		case op != wsproto.OpContinuation:
			m.op, m.parts = op, nil
		}
		if m.parts = append(m.parts, payload...); fin {
			return m.op, m.parts, nil
		}
	}
}

func (m *messages) frame() (fin bool, op wsproto.Opcode, payload []byte, err error) {
	head := m.fill(2, &err)
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(m.fill(2, &err)))
	case 127:
		length = binary.BigEndian.Uint64(m.fill(8, &err))
	}
	key := make([]byte, 4)
	if head[1]&0x80 != 0 {
		key = m.fill(4, &err)
	}
	payload = m.fill(int(length), &err)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0]&0x80 != 0, wsproto.Opcode(head[0] & 0x0f), payload, err
}

func (m *messages) fill(n int, err *error) []byte {
	p := make([]byte, n)
	if *err == nil {
		_, *err = io.ReadFull(m.r, p)
	}
	return p
}
