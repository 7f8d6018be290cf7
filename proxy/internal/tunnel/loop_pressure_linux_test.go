package tunnel

// What the loops do under pressure, and the pitfalls of edge-triggered epoll, at
// sizes for every day.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const patience = 30 * time.Second

// loopRig is a tunnel on a loop, between two TCP connections.
type loopRig struct {
	t               *testing.T
	client, backend *net.TCPConn
	tunnel          *loopTunnel
	done            chan Summary
}

func onLoop(t *testing.T, e Engine, change func(*Spec)) *loopRig {
	t.Helper()
	r := &loopRig{t: t, done: make(chan Summary, 1)}
	inClient, client := loopback(t)
	inBackend, backend := loopback(t)
	r.client, r.backend = client.(*net.TCPConn), backend.(*net.TCPConn)
	for _, c := range []net.Conn{client, backend} {
		c.SetDeadline(time.Now().Add(patience))
	}
	s := Spec{Client: Endpoint{Conn: inClient}, Backend: Endpoint{Conn: inBackend}, WebSocket: true, Done: func(s Summary) { r.done <- s }}
	if change != nil {
		change(&s)
	}
	tun, ok := e.Open(s).(*loopTunnel)
	if !ok {
		t.Fatal("the tunnel is not on a loop")
	}
	r.tunnel = tun
	t.Cleanup(func() { tun.Cut(ReasonShutdown) })
	return r
}

func (r *loopRig) passes(from, to net.Conn, frame []byte) {
	r.t.Helper()
	if _, err := from.Write(frame); err != nil {
		r.t.Fatal(err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, frame) {
		r.t.Fatalf("%d bytes came out changed, %v", len(frame), err)
	}
}

func (r *loopRig) ends() Summary {
	r.t.Helper()
	select {
	case s := <-r.done:
		return s
	case <-time.After(patience):
		r.t.Fatal("the tunnel has not ended")
		panic("unreachable")
	}
}

// look runs f on the tunnel's loop, with the client's side if that is TLS.
func (r *loopRig) look(f func(l *loop, t *slot, s *tlsSide)) {
	done := make(chan struct{})
	l := r.tunnel.loop.Load()
	l.post(command{do: cmdRun, run: func() {
		defer close(done)
		// A busy loop may have given the tunnel away meanwhile.
		if t := r.tunnel.slot.Load(); t != nil && r.tunnel.loop.Load() == l {
			f(l, t, l.side(t, &t.io[fromClient]))
		}
	}})
	<-done
}

// TestLoopNotesData: of the times for idle limits, one leaves out control frames.
func TestLoopNotesData(t *testing.T) {
	r := onLoop(t, New(), nil)
	ping, text := fromClientFrame(wsproto.OpPing, []byte("p")), fromClientFrame(wsproto.OpText, []byte("t"))
	begun := fromClientFrame(wsproto.OpText, nil)
	begun[0] &^= 0x80 // its message goes on
	big := fromClientFrame(wsproto.OpBinary, make([]byte, 8<<20))
	for _, tt := range []struct {
		name  string
		bytes []byte
		data  bool
	}{
		{"message", text, true},
		{"ping", ping, false},
		{"pong", fromClientFrame(wsproto.OpPong, nil), false},
		{"message and ping", slices.Concat(text, ping), true},
		{"another ping", ping, false},
		{"frame of a message", begun, true},
		{"ping in between", ping, false},
		{"end of the message", fromClientFrame(wsproto.OpContinuation, nil), true},
		{"part of a frame", big[:100], true},
		{"all of it but the end, through the pipe and the backlog", big[100 : len(big)-1], true},
		{"the end", big[len(big)-1:], true},
		{"a last ping", ping, false},
		{"nothing known", []byte{0xff, 0xff, 0xff}, true},
	} {
		go r.client.Write(tt.bytes)
		if _, err := io.ReadFull(r.backend, make([]byte, len(tt.bytes))); err != nil {
			t.Fatal(err)
		}
		r.look(func(_ *loop, s *slot, _ *tlsSide) {
			d := &s.dirs[fromClient]
			if got := d.active(&Limits{IdleCountsData: true}) == d.moved; got != tt.data {
				t.Errorf("%s: noted as data: %t, want %t", tt.name, got, tt.data)
			}
		})
	}
}

// A message that passes allocates nothing.
func TestLoopAllocatesNothing(t *testing.T) {
	r := onLoop(t, New(), func(s *Spec) { s.Meter = new(Meter) })
	frame, got := fromClientFrame(wsproto.OpBinary, make([]byte, 1000)), make([]byte, 1008)
	const messages = 2000
	var before, after runtime.MemStats
	for n := range messages + 100 {
		if n == 100 { // what is made once has been made
			runtime.ReadMemStats(&before)
		}
		r.client.Write(frame)
		io.ReadFull(r.backend, got)
	}
	runtime.ReadMemStats(&after)
	if allocs := after.Mallocs - before.Mallocs; allocs > messages/10 {
		t.Errorf("%d allocations for %d messages", allocs, messages)
	}
}

// The end of file may come with the last bytes, in one event.
func TestLoopSeesAnEndThatComesWithBytes(t *testing.T) {
	e := New()
	frame := fromClientFrame(wsproto.OpText, []byte("last words"))
	for range 200 {
		r := onLoop(t, e, nil)
		r.client.Write(frame)
		r.client.CloseWrite()
		got, err := io.ReadAll(r.backend)
		if err != nil || !bytes.Equal(got, frame) {
			t.Fatalf("read %q, %v", got, err)
		}
		r.backend.Close()
		r.ends()
	}
}

// A descriptor's number is used again as soon as it is closed: no event of the old
// connection may reach the new one, and none be lost.
func TestLoopTellsOldDescriptorsFromNew(t *testing.T) {
	e := New()
	frame := fromClientFrame(wsproto.OpText, []byte("mine"))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				r := onLoop(t, e, nil)
				r.passes(r.client, r.backend, frame)
				r.client.SetLinger(0)
				r.client.Close()
				r.backend.Close()
				if s := r.ends(); s.Counts.FromClient.Messages != 1 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	group.Wait()
}

// Commands are many times more than 255, and none is lost.
func TestLoopTakesAnyNumberOfCommands(t *testing.T) {
	r := onLoop(t, New(), nil)
	for range 2000 {
		r.tunnel.Close(1012, "again", ReasonDrain)
		runtime.Gosched()
	}
	r.tunnel.Cut(ReasonShutdown)
	r.ends()
}

// An event for a use of a slot that is over finds nothing.
func TestSlabKnowsUsesApart(t *testing.T) {
	var s slab
	a := s.take()
	d := &a.io[fromBackend]
	d.init(fromBackend, 0, &Spec{})
	k := a.key(d)
	if found, f := s.find(k); found != a || f != d {
		t.Fatal("a direction is not found by its key")
	}
	s.give(a)
	if b := s.take(); b != a {
		t.Fatal("the slot is not used again")
	}
	if found, _ := s.find(k); found != nil {
		t.Error("a key of an earlier use finds the slot")
	}
	if found, _ := s.find(directionKey{gen: 1, io: 1 << 30}); found != nil {
		t.Error("a key beyond the slab finds something")
	}
}

// A reset in the middle of a splice ends the tunnel, and leaves the loop's pipe
// empty for the others.
func TestLoopResetInASplice(t *testing.T) {
	e := New()
	for _, resets := range []Party{ByClient, ByBackend} {
		victim := onLoop(t, e, func(s *Spec) { s.Limits.CloseTimeout = 100 * time.Millisecond })
		other := onLoop(t, e, nil)
		frame := fromClientFrame(wsproto.OpBinary, make([]byte, 8<<20))
		go victim.client.Write(frame)
		if _, err := io.ReadFull(victim.backend, make([]byte, 2<<20)); err != nil {
			t.Fatal(err)
		}
		gone, stays := victim.client, victim.backend
		if resets == ByBackend {
			gone, stays = stays, gone
		}
		gone.SetLinger(0)
		gone.Close()
		go io.Copy(io.Discard, stays)
		if s := victim.ends(); s.Reason != ReasonLost || s.ClosedBy != resets {
			t.Errorf("%+v", s)
		}
		stays.Close()
		large := fromBackendFrame(wsproto.OpBinary, bytes.Repeat([]byte("abcdefg"), 100_000))
		go other.backend.Write(large)
		got := make([]byte, len(large))
		if _, err := io.ReadFull(other.client, got); err != nil || !bytes.Equal(got, large) {
			t.Errorf("another tunnel's bytes are not right any more: %v", err)
		}
	}
}

// While one tunnel floods, the others get their turns, and the same goes for one
// whose reader has stopped.
func TestLoopIsFair(t *testing.T) {
	e := New()
	flood, stuck := onLoop(t, e, nil), onLoop(t, e, nil)
	var group sync.WaitGroup
	for _, c := range []*net.TCPConn{flood.client, stuck.client} {
		group.Go(func() {
			frame := fromClientFrame(wsproto.OpBinary, make([]byte, 1<<20))
			for {
				if _, err := c.Write(frame); err != nil {
					return
				}
			}
		})
	}
	group.Go(func() { io.Copy(io.Discard, flood.backend) })
	for range 50 {
		r := onLoop(t, e, nil)
		for range 20 {
			r.passes(r.client, r.backend, fromClientFrame(wsproto.OpText, []byte("small")))
			r.passes(r.backend, r.client, fromBackendFrame(wsproto.OpText, []byte("small")))
		}
		r.tunnel.Cut(ReasonDrain)
		r.ends()
	}
	if moved := flood.tunnel.Counts().FromClient.Messages; moved == 0 {
		t.Error("the flood has not moved")
	}
	flood.tunnel.Cut(ReasonDrain)
	stuck.tunnel.Cut(ReasonDrain)
	group.Wait()
}

// For readers that have stopped after much traffic, the kernel holds no more than
// is named here, and when they read on, bytes flow again.
func TestLoopStalledReaderIsBounded(t *testing.T) {
	r := onLoop(t, New(), nil)
	const much = 64 << 20 // buffers grow with what is moved
	ways := []*stall{
		{from: r.client, to: r.backend, frame: fromClientFrame(wsproto.OpBinary, make([]byte, 1<<20))},
		{from: r.backend, to: r.client, frame: fromBackendFrame(wsproto.OpBinary, make([]byte, 1<<20))},
	}
	for _, w := range ways {
		w.start()
		w.reads(t, much)
	}
	for _, w := range ways { // it writes until nothing is taken for a while: now, or a little later
		w.from.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	}
	for _, w := range ways {
		<-w.stopped
	}
	for i := range ways {
		// The descriptors are set before the slot is stored, and constant.
		in, out := meminfo(t, r.tunnel.slot.Load().io[i].fd)
		t.Logf("stalled: %d KiB received, %d KiB to be sent", in>>10, out>>10)
		if in > maxReceive+256<<10 || out > 1<<20 {
			t.Errorf("the kernel holds %d bytes received and %d to be sent", in, out)
		}
	}
	for _, w := range ways {
		w.from.SetWriteDeadline(time.Now().Add(patience))
		w.start()
		w.reads(t, much)
	}
	r.tunnel.Cut(ReasonDrain)
	r.ends()
	for _, w := range ways {
		<-w.stopped
	}
}

// stall is a direction whose sender always has more, frame by frame, until it cannot.
type stall struct {
	from, to *net.TCPConn
	frame    []byte
	at       int // in the frame
	stopped  chan struct{}
}

func (w *stall) start() {
	w.stopped = make(chan struct{})
	go func() {
		defer close(w.stopped)
		for {
			n, err := w.from.Write(w.frame[w.at:])
			if w.at = (w.at + n) % len(w.frame); err != nil {
				return
			}
		}
	}()
}

func (w *stall) reads(t *testing.T, n int64) {
	t.Helper()
	if _, err := io.CopyN(io.Discard, w.to, n); err != nil {
		t.Fatal(err)
	}
}

// meminfo is what the kernel has allocated for a socket's bytes.
func meminfo(t *testing.T, fd int32) (received, unsent int) {
	t.Helper()
	var info [9]uint32 // SK_MEMINFO_RMEM_ALLOC is the first, SK_MEMINFO_WMEM_QUEUED the sixth
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return int(info[0]), int(info[5])
}

// Without descriptors for its own use, the engine serves tunnels all the same.
func TestLoopWithoutDescriptors(t *testing.T) {
	inClient, client := loopback(t)
	inBackend, backend := loopback(t)
	e := New()
	done := make(chan Summary, 1)
	restore := exhaust(t)
	tun := e.Open(Spec{Client: Endpoint{Conn: inClient}, Backend: Endpoint{Conn: inBackend}, Done: func(s Summary) { done <- s }})
	restore()
	client.Write([]byte("hello"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(backend, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	tun.Cut(ReasonShutdown)
	<-done
	r := onLoop(t, e, nil) // and the loops are there when they can be
	r.passes(r.client, r.backend, fromClientFrame(wsproto.OpText, []byte("hello")))
}

// exhaust lets no descriptor be opened, whichever are closed meanwhile: what an earlier
// test has left may be closed at any time.
func exhaust(t *testing.T) (restore func()) {
	t.Helper()
	return limitDescriptors(t, 0)
}

// exhaustBelow lets only those be opened that have a number below limit, and uses them up.
func exhaustBelow(t *testing.T, limit uintptr) (restore func()) {
	t.Helper()
	lift := limitDescriptors(t, uint64(limit))
	var used []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			if !errors.Is(err, unix.EMFILE) {
				t.Error(err)
			}
			break
		}
		used = append(used, f)
	}
	return func() {
		lift()
		for _, f := range used {
			f.Close()
		}
	}
}

func limitDescriptors(t *testing.T, limit uint64) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}
}

// Tunnels that come and go leave nothing behind.
func TestLoopMemoryReturns(t *testing.T) {
	const rounds, tunnels = 5, 100
	e := New()
	var held []int64
	for range rounds {
		var rigs []*loopRig
		for range tunnels {
			rigs = append(rigs, onLoop(t, e, nil))
		}
		for _, r := range rigs {
			r.passes(r.client, r.backend, fromClientFrame(wsproto.OpText, make([]byte, 300)))
		}
		for _, r := range rigs {
			r.tunnel.Cut(ReasonDrain)
			r.ends()
			r.client.Close()
			r.backend.Close()
		}
		for _, l := range e.(*loops).loops {
			if n := l.load.Load(); n != 0 {
				t.Fatalf("%d tunnels left", n)
			}
		}
		held = append(held, int64(slotsOf(e)))
	}
	if most := slices.Max(held); most > 2*chunkSize {
		t.Errorf("slots held: %v, want %d at most", held, 2*chunkSize)
	}
}

// slotsOf is how many slots an engine without tunnels holds.
func slotsOf(e Engine) (n int) {
	for _, l := range e.(*loops).loops {
		l.mu.Lock() // after the loop's goroutine, which has retired with it
		n += len(l.slab.chunks) * chunkSize
		l.mu.Unlock()
	}
	return n
}

// A loop that waits does not hold up a garbage collection.
func TestLoopLetsTheCollectorRun(t *testing.T) {
	r := onLoop(t, New(), nil)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 2000 {
			r.passes(r.client, r.backend, fromClientFrame(wsproto.OpText, []byte("x")))
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-stop:
			if n == 0 {
				t.Error("no collection has ended while messages passed")
			}
			return
		default:
			runtime.GC()
		}
	}
}

// New chooses a loop for each pair that it can serve so.
func TestNewChoosesTheEngine(t *testing.T) {
	e := New()
	for _, opaque := range []bool{false, true} {
		inClient, _ := loopback(t)
		inBackend, _ := loopback(t)
		done := make(chan Summary, 1)
		if opaque {
			inBackend = struct{ net.Conn }{inBackend}
		}
		tun := e.Open(Spec{Client: Endpoint{Conn: inClient}, Backend: Endpoint{Conn: inBackend}, Done: func(s Summary) { done <- s }})
		if _, onLoop := tun.(*loopTunnel); onLoop == opaque {
			t.Errorf("opaque %v: a %s", opaque, fmt.Sprintf("%T", tun))
		}
		tun.Cut(ReasonShutdown)
		<-done
	}
}

// A thousand idle TLS tunnels would be two thousand goroutines elsewhere.
func TestLoopServesTLSWithoutGoroutines(t *testing.T) {
	e := New()
	config := selfSigned(t)
	var tunnels []Tunnel
	done := make(chan Summary, 20)
	before := runtime.NumGoroutine()
	for range cap(done) {
		inClient, client := loopback(t)
		inBackend, backend := loopback(t)
		sealed, outer := tls.Server(Under(inClient), config), tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		shaken := make(chan error, 1)
		go func() { shaken <- outer.Handshake() }()
		if err := errors.Join(sealed.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		tun := e.Open(Spec{Client: Endpoint{Conn: sealed}, Backend: Endpoint{Conn: inBackend}, WebSocket: true, Done: func(s Summary) { done <- s }})
		if _, ok := tun.(*loopTunnel); !ok {
			t.Fatalf("a %T", tun)
		}
		tunnels = append(tunnels, tun)
		frame := fromClientFrame(wsproto.OpBinary, make([]byte, 100_000)) // several records
		go outer.Write(frame)
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(backend, got); err != nil || !bytes.Equal(got, frame) {
			t.Fatalf("the frame has changed, %v", err)
		}
	}
	if more := runtime.NumGoroutine() - before; more > len(e.(*loops).loops)+2 {
		t.Errorf("%d goroutines for %d tunnels", more, len(tunnels))
	}
	for _, tun := range tunnels {
		tun.Cut(ReasonDrain)
		<-done
	}
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// A record that the socket does not take at once is finished before anything else,
// and what follows it waits.
func TestUnderKeepsRecordsWhole(t *testing.T) {
	inside, outside := loopback(t)
	fd, ok := duplicate(inside)
	if !ok {
		t.Fatal("no descriptor")
	}
	defer unix.Close(int(fd))
	u := &nonblockingConn{Conn: inside, taken: true, fd: fd}
	piece := bytes.Repeat([]byte("0123456789"), 100_000)
	var want []byte
	for len(u.backlog) == 0 || len(want) < 3*len(piece) {
		if n, err := u.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		want = append(want, piece...)
	}
	if _, err := u.Read(make([]byte, 1)); err != errAgain {
		t.Errorf("reading nothing is %v", err)
	}
	got := make([]byte, len(want))
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(outside, got)
		read <- err
	}()
	for len(u.backlog) > 0 {
		if _, ok := u.flush(); !ok {
			t.Fatal("the peer is there")
		}
		runtime.Gosched()
	}
	if err := <-read; err != nil || !bytes.Equal(got, want) {
		t.Errorf("the bytes have changed, %v", err)
	}
}
