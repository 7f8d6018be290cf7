package tunneltest

// Limits: of time, of size, of form; and the pings that find dead peers.

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

var limits = []scenario{
	{"idle", idle},
	{"idle from one side", idleFrom},
	{"idle where data counts", idleCountsData},
	{"lifetime", lifetime},
	{"idle, raw", idleRaw},
	{"ping and pong", pingPong},
	{"pings are no activity", pingsAreNoActivity},
	{"peers' own pings pass", peersPings},
	{"pong missed by the client", func(t *testing.T, e env) { pongMissed(t, e, tunnel.ByClient, 1001, 1001) }},
	{"pong missed by the backend", func(t *testing.T, e env) { pongMissed(t, e, tunnel.ByBackend, 1012, 1001) }},
	{"frame too big", frameTooBig},
	{"message too big", messageTooBig},
	{"too big behind a close", tooBigBehindClose},
	{"strict", strict},
	{"limits are strict", limitsAreStrict},
}

// bothClose plays two peers that answer a Close as they should.
func (r *rig) bothClose(code uint16, reason string) {
	r.t.Helper()
	r.client.answersClose(code, reason)
	r.backend.answersClose(code, reason)
	r.client.leaves()
	r.backend.leaves()
}

func idle(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.Idle = soon })
	r.bothClose(1001, "idle")
	s := r.ends(tunnel.ByProxy, tunnel.ReasonIdle, 1001, "idle")
	if s.Duration < soon {
		t.Errorf("idle after %v, want %v at least", s.Duration, soon)
	}
}

// idleFrom keeps one side busy while the other's limit runs out.
func idleFrom(t *testing.T, e env) {
	for _, quiet := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
		r := e.open(t, func(s *tunnel.Spec) {
			s.Limits.IdleFromClient, s.Limits.IdleFromBackend = soon, 0
			if quiet == tunnel.ByBackend {
				s.Limits.IdleFromClient, s.Limits.IdleFromBackend = 0, soon
			}
		})
		busy, listener := r.backend, r.client
		if quiet == tunnel.ByBackend {
			busy, listener = listener, busy
		}
		f := busy.frame(wsproto.OpText, "busy")
		for op := wsproto.OpText; op != wsproto.OpClose; {
			busy.send(f)
			op, _ = listener.getsFrame()
		}
		listener.send(listener.closeFrame(1001, ""))
		busy.answersClose(1001, "idle")
		r.client.leaves()
		r.backend.leaves()
		r.ends(tunnel.ByProxy, tunnel.ReasonIdle, 1001, "idle")
	}
}

// idleCountsData keeps a tunnel busy with frames, none of which is data.
func idleCountsData(t *testing.T, e env) {
	for name, limit := range map[string]tunnel.Limits{
		"either":       {Idle: soon, IdleCountsData: true},
		"from client":  {IdleFromClient: soon, IdleCountsData: true},
		"from backend": {IdleFromBackend: soon, IdleCountsData: true},
	} {
		r := e.open(t, func(s *tunnel.Spec) { s.Limits = limit })
		busy, listener := r.client, r.backend
		if name == "from backend" {
			busy, listener = listener, busy
		}
		for op := wsproto.OpText; op != wsproto.OpClose; {
			busy.send(busy.frame(wsproto.OpPing, "I am here"), busy.frame(wsproto.OpPong, "and say so unasked"))
			if op, _ = listener.getsFrame(); op != wsproto.OpClose {
				op, _ = listener.getsFrame()
			}
		}
		listener.send(listener.closeFrame(1001, ""))
		busy.answersClose(1001, "idle")
		r.client.leaves()
		r.backend.leaves()
		r.ends(tunnel.ByProxy, tunnel.ReasonIdle, 1001, "idle")
	}
}

func lifetime(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.Lifetime = soon })
	r.bothClose(1001, "lifetime")
	if s := r.ends(tunnel.ByProxy, tunnel.ReasonLifetime, 1001, "lifetime"); s.Duration < soon {
		t.Errorf("ended after %v, want %v at least", s.Duration, soon)
	}
}

func idleRaw(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) {
		s.WebSocket = false
		s.Limits.Idle, s.Limits.PingClient, s.Limits.PingBackend = soon, soon/10, soon/10
	})
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonIdle, 0, "")
}

// pingPong answers some pings on each side; the other side sees nothing of it.
func pingPong(t *testing.T, e env) {
	for _, pinged := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
		r := e.open(t, func(s *tunnel.Spec) {
			s.Limits.Pong = patience
			if pinged == tunnel.ByClient {
				s.Limits.PingClient = soon / 5
			} else {
				s.Limits.PingBackend = soon / 5
			}
		})
		p, other := r.client, r.backend
		if pinged == tunnel.ByBackend {
			p, other = other, p
		}
		for i := range 3 {
			op, token := p.getsFrame()
			if op != wsproto.OpPing || token == "" {
				t.Fatalf("opcode %x with payload %q, want a ping", op, token)
			}
			pong := p.frame(wsproto.OpPong, token)
			p.send(pong[:i+1]) // in two reads, perhaps
			p.send(pong[i+1:])
		}
		f := p.frame(wsproto.OpText, "nothing before this")
		p.send(f)
		other.gets(f)
		r.tunnel.Cut(tunnel.ReasonDrain)
		s := r.endsAnyhow()
		counts := s.Counts.FromClient
		if pinged == tunnel.ByBackend {
			counts = s.Counts.FromBackend
		}
		passed(t, "from the pinged side", counts, int64(len(f)), 1)
	}
}

func pingsAreNoActivity(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) {
		s.Limits.Idle, s.Limits.PingClient, s.Limits.Pong = 4*soon, soon/2, patience
	})
	for {
		op, payload := r.client.getsFrame()
		if op == wsproto.OpClose {
			break
		}
		r.client.send(r.client.frame(wsproto.OpPong, payload))
	}
	r.client.send(r.client.closeFrame(1001, ""))
	r.backend.answersClose(1001, "idle")
	r.client.leaves()
	r.backend.leaves()
	r.ends(tunnel.ByProxy, tunnel.ReasonIdle, 1001, "idle")
}

func peersPings(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.PingClient, s.Limits.PingBackend = patience, patience })
	for _, pair := range [][2]*peer{{r.client, r.backend}, {r.backend, r.client}} {
		for _, f := range [][]byte{
			pair[0].frame(wsproto.OpPing, "are you there"),
			pair[0].frame(wsproto.OpPong, "I am"),
			pair[0].frame(wsproto.OpPong, ""),
			pair[0].frame(wsproto.OpPong, "8 bytes."),
		} {
			pair[0].send(f)
			pair[1].gets(f)
		}
	}
}

// pongMissed has a peer that reads, and says nothing.
func pongMissed(t *testing.T, e env, by tunnel.Party, toClient, toBackend uint16) {
	r := e.open(t, func(s *tunnel.Spec) {
		s.Limits.Pong = awhile
		if by == tunnel.ByClient {
			s.Limits.PingClient = soon
		} else {
			s.Limits.PingBackend = soon
		}
	})
	dead, alive, toDead, toAlive := r.client, r.backend, toClient, toBackend
	if by == tunnel.ByBackend {
		dead, alive, toDead, toAlive = alive, dead, toAlive, toDead
	}
	if op, _ := dead.getsFrame(); op != wsproto.OpPing {
		t.Fatalf("opcode %x, want a ping", op)
	}
	alive.answersClose(toAlive, "pong_timeout")
	alive.leaves()
	dead.getsClose(toDead, "pong_timeout")
	dead.getsEOF() // it is not waited for
	s := r.endsAnyhow()
	if s.ClosedBy != tunnel.ByProxy || s.Reason != tunnel.ReasonPongTimeout {
		t.Errorf("ended by %d, %s; want %s by the proxy", s.ClosedBy, s.Reason, tunnel.ReasonPongTimeout)
	}
}

func frameTooBig(t *testing.T, e env) {
	for _, by := range []tunnel.Party{tunnel.ByClient, tunnel.ByBackend} {
		r := e.open(t, func(s *tunnel.Spec) { s.Limits.FrameSize = 100 })
		sender, receiver := r.client, r.backend
		if by == tunnel.ByBackend {
			sender, receiver = receiver, sender
		}
		f := sender.frame(wsproto.OpText, string(make([]byte, 100)))
		sender.send(f, f)
		receiver.gets(f)
		receiver.gets(f)
		sender.send(sender.frame(wsproto.OpText, string(make([]byte, 101))))
		r.bothClose(1009, "message too big") // nothing of the frame comes before
		s := r.ends(tunnel.ByProxy, tunnel.ReasonTooBig, 1009, "message too big")
		counts := s.Counts.FromClient
		if by == tunnel.ByBackend {
			counts = s.Counts.FromBackend
		}
		passed(t, "from the sender", counts, int64(2*len(f)), 2)
	}
}

func messageTooBig(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.MessageSize = 100 })
	part := r.client.fragment(wsproto.OpText, string(make([]byte, 60)))
	r.client.send(part)
	r.backend.gets(part)
	r.client.send(r.client.frame(wsproto.OpContinuation, string(make([]byte, 41))))
	r.bothClose(1009, "message too big")
	s := r.ends(tunnel.ByProxy, tunnel.ReasonTooBig, 1009, "message too big")
	passed(t, "from the client", s.Counts.FromClient, int64(len(part)), 0)
}

// tooBigBehindClose must not get around a limit by saying Close first.
func tooBigBehindClose(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.MessageSize = 10 })
	r.client.send(r.client.closeFrame(1000, ""), r.client.frame(wsproto.OpText, "more than ten bytes"))
	r.backend.getsClose(1000, "")
	r.backend.getsEOF()
	r.backend.send(r.backend.closeFrame(1000, ""))
	r.backend.goes()
	r.client.getsClose(1000, "")
	r.client.leaves()
	r.ends(tunnel.ByClient, tunnel.ReasonClosed, 1000, "")
}

func strict(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.Strict = true })
	f := r.client.frame(wsproto.OpText, "fine")
	r.client.send(f, []byte{0x83, 0x80, 0, 0, 0, 0}, f)
	r.backend.gets(f)
	r.bothClose(1002, "reserved opcode")
	s := r.ends(tunnel.ByProxy, tunnel.ReasonProtocol, 1002, "reserved opcode")
	passed(t, "from the client", s.Counts.FromClient, int64(len(f)), 1)
}

// limitsAreStrict: otherwise a bad bit would get any size past them.
func limitsAreStrict(t *testing.T, e env) {
	r := e.open(t, func(s *tunnel.Spec) { s.Limits.MessageSize = 1000 })
	r.backend.send([]byte{0x89, 126, 0, 126})
	r.bothClose(1002, "control frame over 125 bytes")
	r.ends(tunnel.ByProxy, tunnel.ReasonProtocol, 1002, "control frame over 125 bytes")
}
