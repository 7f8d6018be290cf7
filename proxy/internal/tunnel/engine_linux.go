package tunnel

// The event-loop engine: one loop a processor, each with an epoll of its own. A
// tunnel's two descriptors are always on one loop; loop_migration_linux.go says on which.
// This file is what the engine's users see: Open, and the handle that Open
// returns; the loop itself is in loop_linux.go.

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// New returns the best engine for this system: event loops, for tunnels between
// two connections that are a bare *net.TCPConn or *net.UnixConn each, or a
// *tls.Conn over what Under returned; any other tunnel, and every one that may
// redial, is served by the portable engine.
//
// The first call raises GOMAXPROCS by two. A loop that has work does not give its
// processor back while it waits, for some 20 ms, because handing it over and
// taking it again costs more than a message does; the other goroutines get the
// same share of the machine by having processors of their own.
//
// An engine without tunnels has no goroutines.
func New() Engine {
	e := &loops{loops: make([]*loop, processors()), rest: Portable()}
	base := time.Now()
	for i := range e.loops {
		e.loops[i] = newLoop(base, e.loops, i)
	}
	return e
}

// processors is how many the process began with (which heeds cgroup limits).
var processors = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 2)
	return n
})

// loops is the engine. Safe for concurrent use.
type loops struct {
	loops []*loop
	rest  Engine // for what no loop can serve
}

// Open implements Engine. A connection is taken over by a second descriptor of
// its socket, and closed: so Go's own poller, and all that it keeps for a
// connection, let go of it. Where no descriptor is left for that, the tunnel is a
// portable one.
func (e *loops) Open(s Spec) Tunnel {
	if s.Redial != nil {
		return e.rest.Open(s)
	}
	l := e.place()
	if l.prepare() != nil {
		return e.rest.Open(s)
	}
	both := takeOver([2]net.Conn{s.Client.Conn, s.Backend.Conn})
	if both == nil {
		return e.rest.Open(s)
	}
	t := &loopTunnel{}
	t.loop.Store(l)
	l.load.Add(1)
	l.post(command{do: cmdOpen, tunnel: t, spec: &s, taken: both})
	return t
}

func (e *loops) lightest() *loop {
	best := e.loops[0]
	for _, l := range e.loops[1:] {
		if l.load.Load() < best.load.Load() {
			best = l
		}
	}
	return best
}

// taken is what a loop gets of two connections.
type taken struct {
	both    [2]Descriptor
	watched bool // the loop's epoll has them
}

// tls is the TLS of both sides; nil if both are plain.
func (t *taken) tls() *tlsConns {
	if t.both[0].tls == nil && t.both[1].tls == nil {
		return nil
	}
	return &tlsConns{t.both[0].tls, t.both[1].tls}
}

// takeOver is Detach for both connections, or does neither and returns nil.
func takeOver(conns [2]net.Conn) *taken {
	t := &taken{}
	for i, c := range conns {
		if s := tlsSideOf(c); s != nil {
			c, t.both[i].tls = s.raw.Conn, s
		}
		fd, ok := duplicate(c)
		if !ok {
			if i > 0 {
				t.both[0].Close()
			}
			return nil
		}
		conns[i], t.both[i].fd = c, fd
	}
	for i, d := range t.both {
		conns[i].Close()
		if d.tls != nil {
			d.tls.raw.taken, d.tls.raw.fd = true, d.fd
		}
	}
	return t
}

// duplicate returns another descriptor of c's socket, if c is one of the types
// that are nothing but a socket.
func duplicate(c net.Conn) (fd int32, ok bool) {
	raw := rawOf(c)
	if raw == nil {
		return 0, false
	}
	dup, err := -1, error(nil)
	// Not by File, which would make the socket a blocking one, for both.
	if raw.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }) != nil || err != nil {
		return 0, false
	}
	return int32(dup), true
}

// loopTunnel is a tunnel on a loop, as others hold it.
type loopTunnel struct {
	loop  atomic.Pointer[loop]
	slot  atomic.Pointer[slot]   // nil while it has none: at first, between loops, and when it is over
	last  atomic.Pointer[Counts] // when it last left a slot
	left  atomic.Int64           // how many slots
	ended atomic.Bool
}

// leave notes the last counts in a slot, before that becomes another tunnel's.
func (t *loopTunnel) leave(last Counts) {
	t.last.Store(&last)
	t.slot.Store(nil)
	t.left.Add(1)
}

// Close implements Tunnel.
func (t *loopTunnel) Close(code uint16, reason string, why Reason) {
	t.report(evEnd, proxyEnds(why, code, reason))
}

// Cut implements Tunnel.
func (t *loopTunnel) Cut(why Reason) { t.report(evCut, ending{why: why}) }

func (t *loopTunnel) report(kind eventKind, v ending) {
	if !t.ended.Load() {
		t.loop.Load().post(command{do: cmdReport, tunnel: t, kind: kind, ending: v})
	}
}

// Counts implements Tunnel. A slot that was left while it was read may be
// another tunnel's by now, and says nothing.
func (t *loopTunnel) Counts() Counts {
	for {
		left := t.left.Load()
		if c := t.counted(); t.left.Load() == left {
			return c
		}
	}
}

func (t *loopTunnel) counted() Counts {
	if s := t.slot.Load(); s != nil {
		return s.counts()
	}
	if last := t.last.Load(); last != nil {
		return *last
	}
	return Counts{}
}

func (t *slot) counts() Counts {
	return Counts{FromClient: t.tallies[fromClient].count(), FromBackend: t.tallies[fromBackend].count()}
}

func (w *tally) count() Direction {
	return Direction{Bytes: w.bytes.Load(), Messages: w.messages.Load()}
}
