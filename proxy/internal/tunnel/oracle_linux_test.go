package tunnel_test

// The event loops against the portable engine: the same streams, split and paused
// at random and ended in every way that a peer or the proxy can, must come out
// the same, and be told the same way.

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const patience = 30 * time.Second

func TestLoopsAgainstPortable(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	loops, restless := tunnel.New(), tunnel.Restless(t)
	for seed := range seeds {
		want := newPlay(t, seed).run(tunnel.Portable())
		for _, e := range []tunnel.Engine{loops, restless} {
			if got := newPlay(t, seed).run(e); got != want {
				t.Errorf("seed %d, loops:\n%s\nportable:\n%s", seed, got, want)
			}
		}
	}
}

// play is one tunnel's whole story: it follows from the seed alone.
type play struct {
	t     *testing.T
	rnd   *rand.Rand
	spec  tunnel.Spec
	peers [2]*actor // client, backend
	done  chan tunnel.Summary
	end   int
}

// actor is a peer. It sends its stream, and when that is through (or another one
// has ended the tunnel) it answers a Close with a Close and an end with an end.
type actor struct {
	t      *testing.T
	conn   net.Conn
	masks  bool
	rnd    *rand.Rand
	stream []byte
	mu     sync.Mutex // guards what follows
	got    []byte
	more   *sync.Cond
	closed bool // has sent a Close
	over   bool // has read to the end
}

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), done: make(chan tunnel.Summary, 1)}
	p.spec = tunnel.Spec{WebSocket: p.rnd.IntN(6) > 0, Done: func(s tunnel.Summary) { p.done <- s }}
	p.spec.Limits = tunnel.Limits{CloseTimeout: patience, Strict: p.rnd.IntN(4) == 0}
	unix := p.rnd.IntN(3) == 0
	for i := range p.peers {
		inside, outside := connect(t, unix)
		a := &actor{t: t, conn: outside, masks: i == 0, rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
		a.more = sync.NewCond(&a.mu)
		a.compose()
		e := tunnel.Endpoint{Conn: inside}
		if n := p.rnd.IntN(4); n == 0 {
			early := p.rnd.IntN(min(len(a.stream)+1, 300))
			e.Early, a.stream = a.stream[:early:early], a.stream[early:]
		}
		p.peers[i] = a
		if i == 0 {
			p.spec.Client = e
		} else {
			p.spec.Backend = e
		}
	}
	p.end = p.rnd.IntN(len(ends))
	return p
}

// connect returns both ends of a TCP connection; or of a Unix one with so small a
// buffer that every large frame fills it. (TCP with small buffers waits for timers.)
func connect(t *testing.T, unix bool) (inside, outside net.Conn) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if unix {
		network, address = "unix", filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if outside, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if inside, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inside.Close(); outside.Close() })
	outside.SetDeadline(time.Now().Add(patience))
	if unix {
		inside.(*net.UnixConn).SetWriteBuffer(8 << 10)
	}
	return inside, outside
}

// compose makes a stream of whole frames.
func (a *actor) compose() {
	sizes := []int{0, 1, 20, 125, 126, 4000, 70_000, 300_000}
	for range a.rnd.IntN(12) {
		size := sizes[a.rnd.IntN(len(sizes))]
		if size > 5000 && a.rnd.IntN(3) > 0 {
			size = 50
		}
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(a.rnd.Uint32())
		}
		switch a.rnd.IntN(5) {
		case 0:
			a.add(wsproto.OpPing, payload[:min(size, 125)])
		case 1:
			first := len(a.stream)
			a.add(wsproto.OpText, payload)
			a.stream[first] &= 0x7f
			a.add(wsproto.OpPong, nil)
			a.add(wsproto.OpContinuation, payload[:size/2])
		default:
			a.add(wsproto.OpBinary, payload)
		}
	}
}

func (a *actor) add(op wsproto.Opcode, payload []byte) {
	a.stream = append(a.stream, a.frame(op, payload)...)
}

func (a *actor) frame(op wsproto.Opcode, payload []byte) []byte {
	if !a.masks {
		return wsproto.AppendFrame(nil, op, payload, nil)
	}
	return wsproto.AppendFrame(nil, op, payload, &[4]byte{1, 2, 3, 4})
}

func (a *actor) close(code uint16) []byte {
	return a.frame(wsproto.OpClose, []byte{byte(code >> 8), byte(code)})
}

// run plays it and returns what came of it.
func (p *play) run(e tunnel.Engine) string {
	all := [2][]byte{}
	for i, early := range [][]byte{p.spec.Client.Early, p.spec.Backend.Early} {
		all[i] = append(bytes.Clone(early), p.peers[i].stream...)
	}
	tun := e.Open(p.spec)
	var parts sync.WaitGroup
	for i, a := range p.peers {
		parts.Go(a.read)
		parts.Go(func() { a.sendAll(p.peers[1-i]) })
	}
	for i, a := range p.peers {
		a.await(len(all[1-i]))
	}
	ends[p.end].do(p, tun)
	parts.Wait()
	select {
	case s := <-p.done:
		s.Duration = 0
		return fmt.Sprintf("%s, websocket %v: %+v\n client got %s\nbackend got %s", ends[p.end].name, p.spec.WebSocket, s, p.peers[0].story(), p.peers[1].story())
	case <-time.After(patience):
		p.t.Fatalf("%s: the tunnel has not ended", ends[p.end].name)
		return ""
	}
}

// sendAll sends the stream in pieces, and pauses at times until the other side
// has as much as it can have.
func (a *actor) sendAll(to *actor) {
	for at := 0; at < len(a.stream); {
		n := min(len(a.stream)-at, 1+a.rnd.IntN(1<<a.rnd.IntN(18)))
		a.send(a.stream[at : at+n])
		at += n
		if a.rnd.IntN(8) == 0 && at > wsproto.MaxHeld {
			to.await(at - wsproto.MaxHeld)
		}
	}
}

func (a *actor) send(b []byte) { a.conn.Write(b) } // fails when the tunnel has ended

// await waits until so many bytes have been read, or the end.
func (a *actor) await(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.got) < n && !a.over {
		a.more.Wait()
	}
}

// read reads to the end, answers a Close, and goes.
func (a *actor) read() {
	buf := make([]byte, 16<<10)
	for {
		n, err := a.conn.Read(buf)
		a.mu.Lock()
		a.got = append(a.got, buf[:n]...)
		answer := n > 0 && !a.closed && a.sawClose()
		a.closed = a.closed || answer
		a.over = err != nil
		a.more.Broadcast()
		a.mu.Unlock()
		if answer {
			a.send(a.close(1000))
		}
		if err != nil {
			a.half()
			return
		}
	}
}

// sawClose reports whether what was read ends with a Close frame.
func (a *actor) sawClose() bool {
	walker := wsproto.NewWalker(wsproto.Rules{Masked: !a.masks})
	for rest := a.got; ; {
		n, ev := walker.Next(rest)
		switch ev.Step {
		case wsproto.StepClose:
			return true
		case wsproto.StepMore, wsproto.StepViolation:
			return false
		}
		rest = rest[n:]
	}
}

// story is what a peer read: frames with their payloads, whatever their keys.
func (a *actor) story() string {
	var b strings.Builder
	walker := wsproto.NewWalker(wsproto.Rules{Masked: !a.masks})
	rest := a.got
	for {
		n, ev := walker.Next(rest)
		if ev.Step == wsproto.StepMore || ev.Step == wsproto.StepViolation {
			break
		}
		if ev.Step == wsproto.StepClose {
			fmt.Fprintf(&b, "Close %x, ", wsproto.ControlPayload(nil, rest[:n]))
		} else {
			fmt.Fprintf(&b, "%d bytes %x, ", n, sha256.Sum256(rest[:n]))
		}
		rest = rest[n:]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(&b, "then % x", rest)
	return b.String()
}

// ends are the ways to end it, once both streams have arrived.
var ends = []struct {
	name string
	do   func(*play, tunnel.Tunnel)
}{
	{"the client closes", func(p *play, _ tunnel.Tunnel) { p.peers[0].bye(4000) }},
	{"the backend closes", func(p *play, _ tunnel.Tunnel) { p.peers[1].bye(4001) }},
	{"the client half-closes", func(p *play, _ tunnel.Tunnel) { p.peers[0].half() }},
	{"the backend half-closes", func(p *play, _ tunnel.Tunnel) { p.peers[1].half() }},
	{"the client goes in a frame", func(p *play, _ tunnel.Tunnel) { p.goesInFrame(0) }},
	{"the backend goes in a frame", func(p *play, _ tunnel.Tunnel) { p.goesInFrame(1) }},
	{"the client goes in a header", func(p *play, _ tunnel.Tunnel) { p.peers[0].cutShort(1) }},
	{"the backend goes in a large header", func(p *play, _ tunnel.Tunnel) { p.peers[1].cutShort(9) }},
	{"the client resets", func(p *play, _ tunnel.Tunnel) { p.peers[0].abort() }},
	{"the backend resets", func(p *play, _ tunnel.Tunnel) { p.peers[1].abort() }},
	{"a drain", func(_ *play, t tunnel.Tunnel) { t.Close(1012, "drained", tunnel.ReasonDrain) }},
	{"a drain in a frame", drainInFrame},
	{"the client breaks the rules", func(p *play, _ tunnel.Tunnel) { p.breaks(0) }},
	{"the backend breaks the rules", func(p *play, _ tunnel.Tunnel) { p.breaks(1) }},
	{"a cut", func(_ *play, t tunnel.Tunnel) { t.Cut(tunnel.ReasonShutdown) }},
}

func (a *actor) bye(code uint16) {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.send(a.close(code))
	a.half()
}

func (a *actor) half() { a.conn.(interface{ CloseWrite() error }).CloseWrite() }

func (a *actor) cutShort(n int) {
	a.send(a.frame(wsproto.OpBinary, make([]byte, 100_000))[:n])
	a.half()
}

// goesInFrame has a peer go when a part of a frame's payload has arrived.
func (p *play) goesInFrame(who int) {
	a, b := p.peers[who], p.peers[1-who]
	part := a.frame(wsproto.OpBinary, make([]byte, 200_000))[:150_000]
	b.mu.Lock()
	had := len(b.got)
	b.mu.Unlock()
	a.send(part)
	b.await(had + len(part))
	a.half()
}

func (a *actor) abort() {
	if c, ok := a.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	a.conn.Close()
}

func (p *play) breaks(who int) {
	a := p.peers[who]
	a.send(a.frame(wsproto.Opcode(7), []byte("what is this?")))
	a.half()
}

func drainInFrame(p *play, t tunnel.Tunnel) {
	a, b := p.peers[0], p.peers[1]
	frame := a.frame(wsproto.OpBinary, make([]byte, 200_000))
	b.mu.Lock()
	had := len(b.got)
	b.mu.Unlock()
	a.mu.Lock()
	a.closed = true // not in the middle of its frame
	a.mu.Unlock()
	a.send(frame[:100_000])
	b.await(had + 100_000)
	t.Close(1001, "in a frame", tunnel.ReasonDrain)
	a.awaitEnd(p.spec.WebSocket)
	a.send(frame[100_000:])
	a.send(a.close(1001))
}

// awaitEnd waits for a Close frame, where there are frames, or else the end.
func (a *actor) awaitEnd(framed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.over && !(framed && a.sawClose()) {
		a.more.Wait()
	}
}
