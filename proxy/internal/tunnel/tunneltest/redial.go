package tunneltest

// Redials: where a tunnel may go on with another backend, what waits meanwhile, and
// how it ends where it may not.

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

var redialling = []scenario{
	{"redial", redial},
	{"redial after a reset", redialAfterReset},
	{"redial several times", redialSeveral},
	{"redial, with bytes behind the handshake", redialEarly},
	{"redial inside a header", redialInHeader},
	{"no redial inside a message", noRedialInMessage},
	{"no redial of a raw tunnel", noRedialRaw},
	{"no redial after the backend's Close", noRedialAfterClose},
	{"no backend to redial to", redialNone},
	{"client closes during the redial", redialClientCloses},
	{"client goes during the redial", redialClientGoes},
	{"drain during the redial", redialDrained},
	{"cut during the redial", redialCut},
	{"too big a message during the redial", redialTooBig},
	{"move", move},
	{"move waits for the message", moveWaits},
	{"move, and the backend goes instead", moveBackendGoes},
	{"move, and the client closes", moveClientCloses},
	{"move too late, and early", moveNth},
	{"move without redial", moveWithout},
}

// redialTimed are the scenarios in which a limit runs out.
var redialTimed = []scenario{
	{"move without an answer", moveUnanswered},
	{"move inside a message", moveInMessage},
	{"redial after a missed pong", redialPong},
	{"no redial after a missed pong inside a message", noRedialPong},
	{"lifetime over during the redial", redialLifetime},
	{"client missing its pong during the redial", redialClientSilent},
}

// dialling is a rig whose tunnel asks the test for its next backend.
type dialling struct {
	*rig
	env    env
	asked  chan tunnel.Reason // each redial
	answer chan tunnel.Next   // a nil Backend.Conn is none
	ended  chan struct{}      // each redial that was not answered
}

func (e env) openDialling(t *testing.T, change func(*tunnel.Spec)) *dialling {
	t.Helper()
	d := &dialling{env: e, asked: make(chan tunnel.Reason, 1), answer: make(chan tunnel.Next), ended: make(chan struct{}, 1)}
	d.rig = e.open(t, func(s *tunnel.Spec) {
		s.Redial = d.dial
		if change != nil {
			change(s)
		}
	})
	return d
}

func (d *dialling) dial(ctx context.Context, why tunnel.Reason) (tunnel.Next, error) {
	d.asked <- why
	select {
	case next := <-d.answer:
		if next.Backend.Conn == nil {
			return tunnel.Next{}, errors.New("no backend")
		}
		return next, nil
	case <-ctx.Done():
		d.ended <- struct{}{}
		return tunnel.Next{}, ctx.Err()
	}
}

// asks waits for the tunnel to redial, for that reason.
func (d *dialling) asks(why tunnel.Reason) {
	d.t.Helper()
	select {
	case got := <-d.asked:
		if got != why {
			d.t.Fatalf("redials for %q, want %q", got, why)
		}
	case s := <-d.done:
		d.t.Fatalf("no redial, the tunnel has ended: %+v", s)
	case <-time.After(patience):
		d.t.Fatal("no redial")
	}
}

// nextBackend is another backend, and the connection to it.
func (e env) nextBackend(t *testing.T) (*peer, tunnel.Next) {
	inside, outside := e.net.pair(t)
	return newPeer(t, "next backend", outside, false), tunnel.Next{Backend: tunnel.Endpoint{Conn: inside}}
}

// gives answers a redial, with a backend that is the rig's from then on.
func (d *dialling) gives(change func(*tunnel.Next)) {
	next, answer := d.env.nextBackend(d.t)
	if change != nil {
		change(&answer)
	}
	d.answer <- answer
	d.backend, d.inside[1] = next, answer.Backend.Conn
}

// abandons waits for an unanswered redial to end.
func (d *dialling) abandons() {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatal("the redial goes on")
	}
}

// neverAsked checks at the end that no backend was asked for.
func (d *dialling) neverAsked() {
	d.t.Helper()
	select {
	case why := <-d.asked:
		d.t.Errorf("redialled for %q", why)
	default:
	}
}

// works has a message go each way.
func (d *dialling) works() {
	d.t.Helper()
	there, back := d.client.frame(wsproto.OpText, "there"), d.backend.frame(wsproto.OpText, "and back")
	d.client.send(there)
	d.backend.gets(there)
	d.backend.send(back)
	d.client.gets(back)
}

// farewell ends the tunnel properly.
func (d *dialling) farewell() tunnel.Summary {
	d.t.Helper()
	d.client.send(d.client.closeFrame(1000, "bye"))
	d.backend.answersClose(1000, "bye")
	d.client.getsClose(1000, "")
	d.client.leaves()
	d.backend.leaves()
	return d.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "bye")
}

func redial(t *testing.T, e env) {
	var first, second tunnel.Meter
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Meter = &first })
	d.works()
	last := d.backend.frame(wsproto.OpText, "last words")
	d.backend.send(last)
	d.backend.conn.Close()
	d.client.gets(last)
	d.asks(tunnel.ReasonLost)
	waits := d.client.frame(wsproto.OpText, "waits")
	ping := d.client.frame(wsproto.OpPing, "and so does this")
	d.client.send(waits, ping)
	d.gives(func(n *tunnel.Next) { n.Meter = &second })
	d.backend.gets(waits)
	d.backend.gets(ping)
	d.works()
	s := d.farewell()
	total := s.Counts.FromClient.Bytes
	if got := first.FromClient.Load() + second.FromClient.Load(); got != total || second.FromClient.Load() < int64(len(waits)+len(ping)) {
		t.Errorf("meters of %d and %d bytes from the client, of %d", first.FromClient.Load(), second.FromClient.Load(), total)
	}
	if got := first.FromBackend.Load() + second.FromBackend.Load(); got != s.Counts.FromBackend.Bytes || second.FromBackend.Load() == 0 {
		t.Errorf("meters of %d and %d bytes from the backend, of %d", first.FromBackend.Load(), second.FromBackend.Load(), s.Counts.FromBackend.Bytes)
	}
	if s.Counts.FromClient.Messages != 3 || s.Counts.FromBackend.Messages != 3 {
		t.Errorf("counted %+v, want 3 messages each way", s.Counts)
	}
}

func redialAfterReset(t *testing.T, e env) {
	if !e.net.abrupt {
		t.Skip("only plain TCP is reset")
	}
	d := e.openDialling(t, nil)
	d.works()
	d.backend.resets()
	d.asks(tunnel.ReasonLost)
	d.gives(nil)
	d.works()
	d.farewell()
}

func redialSeveral(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	for range 5 {
		d.works()
		d.backend.conn.Close()
		d.asks(tunnel.ReasonLost)
		d.gives(nil)
	}
	d.works()
	d.farewell()
}

func redialEarly(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	hello := d.backend.frame(wsproto.OpText, "hello again")
	d.gives(func(n *tunnel.Next) { n.Backend.Early = hello })
	d.client.gets(hello)
	d.works()
	d.farewell()
}

// redialInHeader loses the backend where both directions have sent the beginning of a
// header: what the backend began is forgotten, what the client began is for the next.
func redialInHeader(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.works()
	f := d.client.frame(wsproto.OpText, "a message that takes its time")
	d.client.send(f[:4])
	d.backend.send([]byte{0x82, 127, 0, 0})
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	d.gives(nil)
	d.client.send(f[4:])
	d.backend.gets(f)
	d.works()
	d.farewell()
}

// noRedialInMessage loses the backend where one direction is inside a message, with
// a ping in it perhaps.
func noRedialInMessage(t *testing.T, e env) {
	begun := func(p *peer) map[string][][]byte {
		whole := p.frame(wsproto.OpText, "half of it is missing")
		return map[string][][]byte{
			"frame":              {whole[:len(whole)-5]},
			"fragments":          {p.fragment(wsproto.OpText, "one,")},
			"fragments and ping": {p.fragment(wsproto.OpText, "one,"), p.frame(wsproto.OpPing, "?")},
			"second fragment":    {p.fragment(wsproto.OpText, "one,"), p.fragment(wsproto.OpContinuation, "two,")},
		}
	}
	for name := range begun(&peer{}) {
		for _, from := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
			d := e.openDialling(t, nil)
			speaker, listener := d.client, d.backend
			if from == tunnel.ByBackend {
				speaker, listener = listener, speaker
			}
			d.works()
			for _, part := range begun(speaker)[name] {
				speaker.send(part)
				listener.gets(part)
			}
			d.backend.goes()
			if from == tunnel.ByBackend && name == "frame" {
				d.client.leaves() // nothing can be sent inside a frame
				d.ends(tunnel.ByBackend, tunnel.ReasonLost, 1006, "")
			} else {
				d.client.getsClose(1012, "backend lost")
				d.client.conn.Close()
				d.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
			}
			d.neverAsked()
		}
	}
}

func noRedialRaw(t *testing.T, e env) {
	d := e.openDialling(t, raw)
	d.backend.goes()
	d.client.leaves()
	d.endsAnyhow()
	d.neverAsked()
}

func noRedialAfterClose(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.backend.send(d.backend.closeFrame(1001, "my own"))
	d.backend.goes()
	d.client.answersClose(1001, "my own")
	d.client.leaves()
	d.ends(tunnel.ByBackend, tunnel.ReasonClosed, 1001, "my own")
	d.neverAsked()
}

func redialNone(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.works()
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	d.client.send(d.client.frame(wsproto.OpText, "to no backend"))
	d.answer <- tunnel.Next{}
	d.client.answersClose(1012, "backend lost")
	d.client.leaves()
	s := d.ends(tunnel.ByBackend, tunnel.ReasonLost, 1012, "backend lost")
	if s.Counts.FromClient.Messages != 1 {
		t.Errorf("%d messages from the client, want the first alone", s.Counts.FromClient.Messages)
	}
}

func redialClientCloses(t *testing.T, e env) {
	for _, sent := range []struct{ code, answered, logged uint16 }{{4001, 4001, 4001}, {0, 1005, 1005}, {1006, 1002, 1006}} {
		d := e.openDialling(t, nil)
		d.backend.conn.Close()
		d.asks(tunnel.ReasonLost)
		d.client.send(d.client.frame(wsproto.OpText, "waits"), d.client.closeFrame(sent.code, ""))
		if sent.answered == 1005 {
			d.client.gets([]byte{0x88, 0})
		} else {
			d.client.getsClose(sent.answered, "")
		}
		d.abandons()
		d.client.leaves()
		d.ends(tunnel.ByClient, tunnel.ReasonClosed, sent.logged, "")
	}
}

func redialClientGoes(t *testing.T, e env) {
	for _, goes := range []func(*peer){(*peer).goes, (*peer).resets} {
		d := e.openDialling(t, nil)
		d.backend.conn.Close()
		d.asks(tunnel.ReasonLost)
		if !e.net.abrupt {
			goes = (*peer).goes
		}
		goes(d.client)
		d.abandons()
		d.ends(tunnel.ByClient, tunnel.ReasonLost, 1006, "")
	}
}

func redialDrained(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	d.tunnel.Close(1001, "shutting down", tunnel.ReasonShutdown)
	d.client.answersClose(1001, "shutting down")
	d.abandons()
	d.client.leaves()
	d.ends(tunnel.ByProxy, tunnel.ReasonShutdown, 1001, "shutting down")
}

// redialCut cuts a tunnel whose next backend is found in the same moment: it is closed.
func redialCut(t *testing.T, e env) {
	late, answer := e.nextBackend(t)
	asked := make(chan struct{})
	d := e.openDialling(t, func(s *tunnel.Spec) {
		s.Redial = func(ctx context.Context, _ tunnel.Reason) (tunnel.Next, error) {
			close(asked)
			<-ctx.Done()
			return answer, nil
		}
	})
	d.backend.conn.Close()
	<-asked
	d.tunnel.Cut(tunnel.ReasonShutdown)
	d.ends(tunnel.ByProxy, tunnel.ReasonShutdown, 1006, "")
	late.getsEOF()
}

func redialTooBig(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.MessageSize = 10 })
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	d.client.send(d.client.frame(wsproto.OpText, "eleven long"))
	d.client.answersClose(1009, "message too big")
	d.abandons()
	d.client.leaves()
	d.ends(tunnel.ByProxy, tunnel.ReasonTooBig, 1009, "message too big")
}

// move leaves a backend that has something to say yet.
func move(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.works()
	d.tunnel.(tunnel.Mover).Move(0, 1012, "moving house", tunnel.ReasonDrain)
	d.backend.getsClose(1012, "moving house")
	late := d.client.frame(wsproto.OpText, "for the next one")
	d.client.send(late)
	answer := d.backend.frame(wsproto.OpText, "one more answer")
	d.backend.send(answer, d.backend.closeFrame(1012, ""))
	d.client.gets(answer)
	d.asks(tunnel.ReasonDrain)
	d.backend.getsEOF()
	d.gives(nil)
	d.backend.gets(late)
	d.works()
	d.farewell()
}

// moveWaits has the client finish its message before its backend is left.
func moveWaits(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	one, two := d.client.fragment(wsproto.OpText, "one,"), d.client.frame(wsproto.OpContinuation, "two.")
	d.client.send(one)
	d.backend.gets(one)
	d.tunnel.(tunnel.Mover).Move(0, 1012, "", tunnel.ReasonDrain)
	ping := d.client.frame(wsproto.OpPing, "between")
	d.client.send(ping)
	d.backend.gets(ping)
	d.client.send(two, d.client.frame(wsproto.OpText, "next"))
	d.backend.gets(two)
	d.backend.answersClose(1012, "")
	d.asks(tunnel.ReasonDrain)
	d.gives(nil)
	d.backend.gets(d.client.frame(wsproto.OpText, "next"))
	d.works()
	d.farewell()
}

func moveBackendGoes(t *testing.T, e env) {
	for _, goes := range []func(*dialling){
		func(d *dialling) { d.backend.goes() },
		func(d *dialling) { d.backend.conn.Close() },
	} {
		d := e.openDialling(t, nil)
		d.tunnel.(tunnel.Mover).Move(0, 1012, "", tunnel.ReasonDrain)
		d.backend.getsClose(1012, "")
		goes(d)
		d.asks(tunnel.ReasonDrain)
		d.answer <- tunnel.Next{}
		d.client.answersClose(1012, "")
		d.client.leaves()
		d.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
	}
}

func moveClientCloses(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	d.tunnel.(tunnel.Mover).Move(0, 1012, "", tunnel.ReasonDrain)
	d.backend.getsClose(1012, "")
	d.client.send(d.client.closeFrame(4001, "me too"))
	d.client.getsClose(4001, "")
	d.backend.send(d.backend.closeFrame(1012, ""))
	d.client.leaves()
	d.backend.leaves()
	d.ends(tunnel.ByClient, tunnel.ReasonClosed, 4001, "me too")
	d.neverAsked()
}

// moveNth has a Move come for a backend that is lost already, which does nothing,
// and one for the backend that is being dialled.
func moveNth(t *testing.T, e env) {
	d := e.openDialling(t, nil)
	m := d.tunnel.(tunnel.Mover)
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	m.Move(0, 1012, "too late", tunnel.ReasonDrain)
	d.gives(nil)
	d.works()
	m.Move(0, 1012, "too late", tunnel.ReasonDrain)
	d.works()
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	m.Move(2, 1012, "at once", tunnel.ReasonDrain)
	d.gives(nil)
	d.backend.answersClose(1012, "at once")
	d.asks(tunnel.ReasonDrain)
	d.gives(nil)
	d.works()
	d.farewell()
}

func moveWithout(t *testing.T, e env) {
	r := e.open(t, nil)
	if m, ok := r.tunnel.(tunnel.Mover); ok {
		m.Move(0, 1012, "", tunnel.ReasonDrain)
	} else {
		r.tunnel.Close(1012, "", tunnel.ReasonDrain) // what its user does
	}
	r.client.answersClose(1012, "")
	r.backend.answersClose(1012, "")
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
}

func moveUnanswered(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	d.tunnel.(tunnel.Mover).Move(0, 1012, "", tunnel.ReasonDrain)
	d.backend.getsClose(1012, "")
	d.asks(tunnel.ReasonDrain)
	d.gives(nil)
	d.works()
	d.tunnel.Cut(tunnel.ReasonShutdown)
	d.endsAnyhow()
}

func moveInMessage(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.CloseTimeout = awhile })
	d.client.send(d.client.fragment(wsproto.OpText, "never finished"))
	d.backend.gets(d.client.fragment(wsproto.OpText, "never finished"))
	d.tunnel.(tunnel.Mover).Move(0, 1012, "", tunnel.ReasonDrain)
	d.client.answersClose(1012, "")
	d.backend.answersClose(1012, "")
	d.client.leaves()
	d.backend.leaves()
	d.ends(tunnel.ByProxy, tunnel.ReasonDrain, 1012, "")
	d.neverAsked()
}

// redialPong leaves a backend that is there and does nothing.
func redialPong(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.PingBackend, s.Limits.Pong = soon, soon })
	d.asks(tunnel.ReasonPongTimeout)
	late := d.client.frame(wsproto.OpText, "late")
	d.client.send(late)
	d.gives(nil)
	d.backend.gets(late)
	if op, _ := d.backend.getsFrame(); op != wsproto.OpPing {
		t.Errorf("the next backend got a frame with opcode %x, want a ping", op)
	}
	d.tunnel.Cut(tunnel.ReasonShutdown)
	d.endsAnyhow()
}

func noRedialPong(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.PingBackend, s.Limits.Pong = soon, soon })
	d.client.send(d.client.fragment(wsproto.OpText, "half"))
	d.client.answersClose(1012, "pong_timeout")
	d.client.leaves()
	if s := d.endsAnyhow(); s.Reason != tunnel.ReasonPongTimeout { // its code is that of the first Close frame
		t.Errorf("ended for %q, want %q", s.Reason, tunnel.ReasonPongTimeout)
	}
	d.neverAsked()
}

func redialLifetime(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) { s.Limits.Lifetime = awhile })
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	d.client.answersClose(1001, "lifetime")
	d.abandons()
	d.client.leaves()
	d.ends(tunnel.ByProxy, tunnel.ReasonLifetime, 1001, "lifetime")
}

func redialClientSilent(t *testing.T, e env) {
	d := e.openDialling(t, func(s *tunnel.Spec) {
		s.Limits.PingClient, s.Limits.Pong, s.Limits.CloseTimeout = soon, soon, awhile
	})
	d.backend.conn.Close()
	d.asks(tunnel.ReasonLost)
	if op, _ := d.client.getsFrame(); op != wsproto.OpPing {
		t.Errorf("the client got a frame with opcode %x, want a ping", op)
	}
	d.abandons()
	if s := d.endsAnyhow(); s.Reason != tunnel.ReasonPongTimeout {
		t.Errorf("ended for %q, want %q", s.Reason, tunnel.ReasonPongTimeout)
	}
}
