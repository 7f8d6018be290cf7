package tunneltest

// Ends: which side ends a tunnel, what each side is sent, and that nothing waits for ever.

import (
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

var ending = []scenario{
	{"client closes", func(t *testing.T, e env) { peerCloses(t, e, tunnel.ByClient) }},
	{"backend closes", func(t *testing.T, e env) { peerCloses(t, e, tunnel.ByBackend) }},
	{"close without a code", closeWithoutCode},
	{"close with a bad code", closeWithBadCode},
	{"close, then end of file instead of the answer", closeThenEOF},
	{"backend lost", backendLost},
	{"backend lost in a frame", backendLostInFrame},
	{"backend lost in a header", backendLostInHeader},
	{"backend resets", backendResets},
	{"client resets", clientResets},
	{"client is reset while the backend only writes", clientIsReset},
	{"backend goes while the client only writes", backendGoes},
	{"drain", drain},
	{"drain, raw", drainRaw},
	{"drain waits for the boundary", drainWaits},
	{"drain discards what follows", drainDiscards},
	{"drain while a peer closes", drainWhileClosing},
	{"drain after the client's end of file", drainHalfClosed},
	{"drain twice", drainTwice},
	{"cut", cut},
	{"everybody ends it at once", endsAtOnce},
	{"chaos", chaos},
}

// unanswered are the scenarios in which a limit runs out.
var unanswered = []scenario{
	{"client goes while the backend only writes", clientGoes},
	{"client goes after its end of file", clientGoesHalfClosed},
	{"closed, and never goes", neverGoes},
	{"drained, and never goes", drainedNeverGoes},
	{"close without an answer", closeUnanswered},
	{"close, and then pongs for ever", closeThenPongs},
	{"close that the other side ignores", closeIgnored},
	{"half-closed client that takes nothing", halfClosedStalls},
	{"drain without an answer", drainUnanswered},
	{"drain of a blocked tunnel", drainBlocked},
}

func peerCloses(t *testing.T, e env, by tunnel.Party) {
	r := e.open(t, nil)
	first, second := r.client, r.backend
	if by == tunnel.ByBackend {
		first, second = second, first
	}
	first.send(first.closeFrame(4001, "enough"))
	second.getsClose(4001, "enough")
	late := second.frame(wsproto.OpText, "still going")
	second.send(late, second.closeFrame(4002, "me too"))
	first.gets(late)
	first.getsClose(4002, "me too")
	first.leaves()
	second.leaves()
	r.ends(by, tunnel.ReasonClosed, 4001, "enough")
}

// neverGoes has both sides say Close and then do nothing more. Nobody has to be
// waited for then.
func neverGoes(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = time.Hour })
	r.client.send(r.client.closeFrame(1000, ""))
	r.backend.answersClose(1000, "")
	r.client.getsClose(1000, "")
	r.client.getsEOF()
	r.backend.getsEOF()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
}

// drainedNeverGoes is the same for an end that the proxy has made: as a server it
// need not wait for a client that has answered (RFC 6455 section 7.1.1).
func drainedNeverGoes(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = time.Hour })
	r.tunnel.Close(1012, "", tunnel.ReasonDrain)
	r.client.answersClose(1012, "")
	r.backend.answersClose(1012, "")
	r.client.getsEOF()
	r.backend.getsEOF()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
}

func closeUnanswered(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	r.client.send(r.client.closeFrame(1000, ""))
	r.backend.getsClose(1000, "")
	r.client.getsEOF()
	r.backend.getsEOF()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
}

// writes has a peer send frame after frame, and nothing else, until it cannot.
func (p *peer) writes() {
	f := p.frame(wsproto.OpBinary, string(make([]byte, 600)))
	for {
		if _, err := p.conn.Write(f); err != nil {
			return
		}
		time.Sleep(time.Millisecond) // a feed, no flood
	}
}

// clientGoes has the client's process end: its system sends FIN, and a reset to
// whatever comes after. The backend finds out by its own failing write.
func clientGoes(t *testing.T, e env) {
	for _, change := range []func(*tunnel.Spec){nil, raw} {
		r := e.open(t, change)
		go r.backend.writes()
		r.client.getsSome()
		r.client.conn.Close()
		if s := r.endsAnyhow(); s.ClosedBy != tunnel.ByClient {
			t.Errorf("ended %+v", s)
		}
	}
}

func clientIsReset(t *testing.T, e env) {
	if !e.net.abrupt {
		t.Skip("only plain TCP is reset")
	}
	for _, change := range []func(*tunnel.Spec){nil, raw} {
		r := e.open(t, change)
		go r.backend.writes()
		r.client.resets()
		if s := r.endsAnyhow(); s.ClosedBy != tunnel.ByClient || s.Reason != tunnel.ReasonLost {
			t.Errorf("ended %+v", s)
		}
	}
}

// clientGoesHalfClosed has the end of file found before the client goes.
func clientGoesHalfClosed(t *testing.T, e env) {
	for _, change := range []func(*tunnel.Spec){nil, raw} {
		r := e.open(t, change)
		r.client.goes()
		r.backend.getsEOF()
		go r.backend.writes()
		r.client.getsSome()
		r.client.conn.Close()
		if s := r.endsAnyhow(); s.ClosedBy != tunnel.ByClient {
			t.Errorf("ended %+v", s)
		}
	}
}

func backendGoes(t *testing.T, e env) {
	r := e.open(t, nil)
	go r.client.writes()
	r.backend.getsSome()
	r.backend.conn.Close()
	r.client.answersClose(1012, "backend lost")
	r.client.conn.Close()
	r.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
}

func closeThenPongs(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	go io.Copy(io.Discard, r.backend.conn)
	r.client.send(r.client.closeFrame(1000, ""))
	for pong := r.client.frame(wsproto.OpPong, ""); len(r.done) == 0; time.Sleep(soon / 5) {
		r.client.conn.Write(pong) // fails at last
	}
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
}

func closeIgnored(t *testing.T, e env) {
	for _, by := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
		r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = soon })
		closer, other := r.client, r.backend
		if by == tunnel.ByBackend {
			closer, other = other, closer
		}
		go io.Copy(io.Discard, other.conn)
		go other.writes()
		closer.send(closer.closeFrame(1000, ""))
		go io.Copy(io.Discard, closer.conn)
		r.ends(by, tunnel.ReasonClosed, 1000, "")
	}
}

// halfClosedStalls has a client that has half-closed take nothing of what there is
// for it.
func halfClosedStalls(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) {
		s.Limits.PingClient, s.Limits.Pong, s.Limits.CloseTimeout = awhile, awhile, soon
	})
	r.client.goes()
	r.backend.getsEOF()
	go func() {
		f := r.backend.frame(wsproto.OpBinary, string(make([]byte, 64<<10)))
		for {
			if _, err := r.backend.conn.Write(f); err != nil {
				return
			}
		}
	}()
	r.ends(tunnel.ByClient, tunnel.ReasonLost, 1006, "")
}

func closeWithoutCode(t *testing.T, e env) {
	r := e.open(t, nil)
	r.backend.send([]byte{0x88, 0})
	r.client.gets([]byte{0x88, 0})
	r.client.send(r.client.closeFrame(0, ""))
	r.backend.gets(r.client.closeFrame(0, ""))
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByBackend, tunnel.ReasonClosed, 1005, "")
}

// closeWithBadCode has a peer close with a code that may not be on the wire. It
// is wrong, and still its Close.
func closeWithBadCode(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.client.closeFrame(1006, "wrong")
	r.client.send(f)
	r.backend.gets(f)
	r.backend.send(r.backend.closeFrame(1002, ""))
	r.client.getsClose(1002, "")
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1006, "wrong")
}

func closeThenEOF(t *testing.T, e env) {
	r := e.open(t, nil)
	r.client.send(r.client.closeFrame(1000, ""))
	r.backend.getsClose(1000, "")
	r.backend.goes()
	r.client.leaves()
	r.backend.getsEOF()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
}

func backendLost(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.backend.frame(wsproto.OpText, "last words")
	r.backend.send(f)
	r.backend.goes()
	r.client.gets(f)
	r.client.answersClose(1012, "backend lost")
	r.client.leaves()
	r.backend.gets(r.client.closeFrame(1012, ""))
	r.backend.getsEOF()
	r.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
}

func backendLostInFrame(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.backend.frame(wsproto.OpText, "half of it is missing")
	r.backend.send(f[:10])
	r.backend.goes()
	r.client.gets(f[:10])
	r.client.leaves()
	r.ends(tunnel.ByBackend, tunnel.ReasonLost, 1006, "")
}

func backendLostInHeader(t *testing.T, e env) {
	r := e.open(t, nil)
	r.backend.send([]byte{0x82, 127, 0, 0})
	r.backend.goes()
	r.client.answersClose(1012, "backend lost")
	r.client.leaves()
	r.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
}

func backendResets(t *testing.T, e env) {
	if !e.net.abrupt {
		t.Skip("only plain TCP is reset")
	}
	r := e.open(t, nil)
	r.backend.resets()
	r.client.answersClose(1012, "backend lost")
	r.client.leaves()
	r.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
}

func clientResets(t *testing.T, e env) {
	if !e.net.abrupt {
		t.Skip("only plain TCP is reset")
	}
	for _, change := range []func(*tunnel.Spec){nil, raw} {
		r := e.open(t, change)
		r.client.resets()
		r.backend.leaves()
		code := uint16(1006)
		if change != nil {
			code = 0
		}
		r.ends(tunnel.ByClient, tunnel.ReasonLost, code, "")
	}
}

func drain(t *testing.T, e env) {
	r := e.open(t, nil)
	f := r.client.frame(wsproto.OpText, "before")
	r.client.send(f)
	r.backend.gets(f)
	r.tunnel.Close(1012, "routes changed", tunnel.ReasonDrain)
	r.client.answersClose(1012, "routes changed")
	r.backend.answersClose(1012, "routes changed")
	r.client.leaves()
	r.backend.leaves()
	s := r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "routes changed")
	passed(t, "from the client", s.Counts.FromClient, int64(len(f)), 1)
	passed(t, "from the backend", s.Counts.FromBackend, 0, 0)
}

func drainRaw(t *testing.T, e env) {
	r := e.open(t, raw)
	r.client.send([]byte("before"))
	r.backend.gets([]byte("before"))
	r.tunnel.Close(1012, "routes changed", tunnel.ReasonDrain)
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 0, "")
}

// drainWaits drains a tunnel in the middle of a large message.
func drainWaits(t *testing.T, e env) {
	r := e.open(t, nil)
	const size = 1 << 20
	payload := make([]byte, size)
	r.client.send(largeHeader(r.client, size), payload[:1000])
	r.backend.gets(largeHeader(r.client, size))
	r.backend.gets(payload[:1000])
	r.tunnel.Close(1001, "shutting down", tunnel.ReasonShutdown)
	r.client.getsClose(1001, "shutting down") // that direction is between frames
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.client.send(payload[1000:], r.client.closeFrame(1001, ""))
	}()
	r.backend.gets(payload[1000:])
	<-sent
	r.backend.answersClose(1001, "shutting down")
	r.client.leaves()
	r.backend.leaves()
	s := r.ends(tunnel.ByProxy, tunnel.ReasonShutdown, 1001, "shutting down")
	passed(t, "from the client", s.Counts.FromClient, size+14, 1)
}

func drainDiscards(t *testing.T, e env) {
	r := e.open(t, nil)
	r.tunnel.Close(1012, "", tunnel.ReasonDrain)
	r.client.getsClose(1012, "")
	r.backend.getsClose(1012, "")
	r.client.send(r.client.frame(wsproto.OpText, "too late"), r.client.frame(wsproto.OpPing, ""), r.client.closeFrame(1012, ""))
	r.backend.send(r.backend.frame(wsproto.OpText, "too late"), r.backend.closeFrame(1012, ""))
	r.client.leaves()
	r.backend.leaves()
	s := r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
	passed(t, "from the client", s.Counts.FromClient, 0, 0)
	passed(t, "from the backend", s.Counts.FromBackend, 0, 0)
}

func drainUnanswered(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	r.tunnel.Close(1012, "", tunnel.ReasonDrain)
	for _, p := range []*peer{r.client, r.backend} {
		p.getsClose(1012, "")
		p.getsEOF()
	}
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
}

// drainBlocked drains a tunnel whose backend has stopped reading in the middle
// of a frame: there is no boundary to wait for.
func drainBlocked(t *testing.T, e env) {
	const most = 64 << 20
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		r.client.conn.Write(largeHeader(r.client, most))
		r.client.conn.Write(make([]byte, most)) // fails when the tunnel is cut
	}()
	r.backend.gets(largeHeader(r.client, most))
	r.tunnel.Close(1012, "", tunnel.ReasonDrain)
	r.client.getsClose(1012, "")
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
	<-flooded
}

// drainWhileClosing drains a tunnel whose client has said Close already: the
// answer is the backend's.
func drainWhileClosing(t *testing.T, e env) {
	r := e.open(t, nil)
	r.client.send(r.client.closeFrame(4001, "mine"))
	r.backend.getsClose(4001, "mine")
	r.tunnel.Close(1012, "not this", tunnel.ReasonDrain)
	r.backend.send(r.backend.closeFrame(4001, "yours"))
	r.client.getsClose(4001, "yours")
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 4001, "mine")
}

func drainHalfClosed(t *testing.T, e env) {
	r := e.open(t, nil)
	r.client.goes()
	r.backend.getsEOF()
	r.tunnel.Close(1012, "", tunnel.ReasonDrain)
	r.client.getsClose(1012, "")
	r.client.getsEOF()
	r.backend.goes()
	r.ends(tunnel.ByClient, tunnel.ReasonLost, 1012, "")
}

func drainTwice(t *testing.T, e env) {
	r := e.open(t, nil)
	r.tunnel.Close(1012, "first", tunnel.ReasonDrain)
	r.tunnel.Close(1001, "second", tunnel.ReasonShutdown)
	r.client.answersClose(1012, "first")
	r.backend.answersClose(1012, "first")
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "first")
	r.tunnel.Close(1001, "third", tunnel.ReasonShutdown)
	r.tunnel.Cut(tunnel.ReasonShutdown)
	if len(r.done) != 0 {
		t.Error("Done was called twice")
	}
}

func cut(t *testing.T, e env) {
	r := e.open(t, nil)
	r.tunnel.Cut(tunnel.ReasonShutdown)
	r.ends(tunnel.ByProxy, tunnel.ReasonShutdown, 1006, "")
}

func endsAtOnce(t *testing.T, e env) {
	for range 20 {
		r := e.open(t, nil)
		var callers sync.WaitGroup
		for i := range 6 {
			callers.Go(func() {
				switch i % 3 {
				case 0:
					r.tunnel.Close(1012, "", tunnel.ReasonDrain)
				case 1:
					r.tunnel.Counts()
				default:
					r.tunnel.Cut(tunnel.ReasonShutdown)
				}
			})
		}
		callers.Go(func() { r.client.conn.Close() })
		r.endsAnyhow()
		callers.Wait()
		if len(r.done) != 0 {
			t.Fatal("Done was called twice")
		}
	}
}

// chaos has peers do anything in any order, and go: whatever they do, the tunnel
// ends once they have.
func chaos(t *testing.T, e env) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := e.open(t, func(s *tunnel.Spec) {
			s.WebSocket = rnd.IntN(8) > 0
			s.Limits.Strict = rnd.IntN(4) == 0
			s.Limits.CloseTimeout = soon
			if rnd.IntN(2) == 0 {
				s.Limits.PingClient, s.Limits.PingBackend, s.Limits.Pong = soon/20, soon/20, soon
			}
		})
		var actors sync.WaitGroup
		for i, p := range []*peer{r.client, r.backend} {
			actors.Go(func() { p.acts(rand.New(rand.NewPCG(seed, uint64(2+i)))) })
		}
		if rnd.IntN(2) == 0 {
			r.tunnel.Close(1012, "chaos", tunnel.ReasonDrain)
		}
		actors.Wait()
		if s := r.endsAnyhow(); s.Reason == "" {
			t.Errorf("seed %d: ended for no reason: %+v", seed, s)
		}
		if len(r.done) != 0 {
			t.Errorf("seed %d: Done was called twice", seed)
		}
	}
}

// acts does some things that a peer may do, and closes the connection. Errors
// are to be expected: the other side does the same.
func (p *peer) acts(rnd *rand.Rand) {
	defer p.conn.Close()
	var reading sync.WaitGroup
	some := rnd.Int64N(1 << 16)
	reading.Go(func() { io.CopyN(io.Discard, p.r, some) })
	frames := [][]byte{
		p.frame(wsproto.OpText, "text"), p.frame(wsproto.OpBinary, string(make([]byte, 70000))),
		p.fragment(wsproto.OpText, "part"), p.frame(wsproto.OpContinuation, "end"),
		p.frame(wsproto.OpPing, "ping"), p.frame(wsproto.OpPong, "pong"),
		p.closeFrame(1000, "bye"), {0xff, 0xff, 0xff},
	}
	for range rnd.IntN(12) {
		f := frames[rnd.IntN(len(frames))]
		if rnd.IntN(6) == 0 {
			f = f[:rnd.IntN(len(f))]
		}
		p.conn.Write(f)
	}
	if rnd.IntN(2) == 0 {
		p.conn.(interface{ CloseWrite() error }).CloseWrite()
		reading.Wait()
	}
}
