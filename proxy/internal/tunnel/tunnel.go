// Package tunnel moves bytes between a client and a backend after the 101. On Linux it
// has the sockets and event loops for what comes before that, too: [Listen], [Acceptor],
// [Descriptor], [Dispatch] and [Watch] let a handshake be made on the loop where its tunnel
// will live.
//
// The contract is one small interface, [Engine], with two implementations: the
// portable one ([Portable], a pair of goroutines a tunnel; portable.go) and event
// loops for Linux ([New] chooses; engine_linux.go, loop_*_linux.go). One state machine
// (session.go, and session_time.go for pings, limits and deadlines) decides how and when a
// tunnel ends and what is put between its frames. The engines move the bytes, report
// events and carry out its actions. Both engines pass the same suite (tunneltest), and
// tests compare the event loops with the portable engine. An engine
// is given two connections in a [Spec] and owns them from then on: nothing else reads,
// writes or closes them. It returns a [Tunnel] to steer, and calls Spec.Done exactly
// once, after both connections are closed.
//
// What every engine keeps true:
//
//   - Bytes are passed on untouched and in order; what the peer does not take
//     is not read from the other side (a bounded buffer in between, no more).
//   - Early bytes, read past the handshake on either side, go first.
//   - On a WebSocket tunnel each direction's frame headers are walked, never
//     unmasked or buffered, so that messages are counted and limited and that
//     Ping and Close frames can be put between two frames, never into one.
//     What breaks RFC 6455 ends that direction's frame-awareness, or with
//     Limits.Strict the tunnel (1002); it never stalls.
//   - A half-close is passed on after the bytes before it, and the other
//     direction goes on. On a WebSocket tunnel, where no Close frame came before it, the
//     other direction goes on only while that peer is seen to be there (halfClosedDue).
//   - A peer that refuses bytes, or whose connection was reset, is gone, even if it had
//     half-closed before. Once the client is gone, the tunnel ends within a second.
//   - A backend that goes without having sent a Close frame (reset, or end of
//     file) is a loss: a client whose direction stands between frames is told
//     Close 1012, so that it comes back. A client's end is passed on to the backend as
//     it is.
//   - A limit or a drain ends the tunnel with a Close frame each way at a
//     frame boundary, waits CloseTimeout for the replies, then half-closes, and
//     closes when the peers have, or a moment (at most 1s) later. Where no boundary
//     comes by then, or can ever (on a raw tunnel, behind a violation), the end
//     of file alone is passed on; a side that does not even take the bytes that
//     are on their way is cut.
//   - A Close frame of a peer's own passes, and so does its answer. When both
//     have passed, both sides are half-closed. The answer is waited for until
//     CloseTimeout after the receiver's socket has taken the Close, longer only while
//     the receiver sends and its peer takes that (closeDue). A drain in the
//     meantime sends no Close frame; the answer then has CloseTimeout from the drain.
//   - Pings of ours (and their pongs, which go no further) are no activity: they
//     neither reset idle limits nor count as messages or bytes. Anything heard
//     from a peer that was pinged is a sign of life, not the pong alone; a peer
//     that is not being listened to, because the other side does not take its
//     bytes, is not silent. The peers' own pings and pongs pass like any bytes, and
//     reset idle limits unless Limits.IdleCountsData is set.
//   - Headers and control frames are passed on whole: one that its sender never
//     finishes is not passed on, and the direction is still between two frames.
//   - The Close frame that a limit puts in carries 1001 for time, 1009 for size and
//     1002 for form; where a backend missed its pong, the client gets 1012.
//   - With Spec.Redial a backend that goes, or is to be left, is replaced where
//     both directions stand between two messages: redial.go says how.
//
// Without WebSocket (another protocol's upgrade) a tunnel is raw: the same
// ends, no frames.
//
// The files by what they are about:
//
//   - What users of an engine see: this one; engine_linux.go and engine_other.go choose;
//     figures*.go measure the engine.
//   - How a tunnel ends, and with which Close code: session.go. Pings, pongs, idle limits
//     and all other deadlines: session_time.go. Neither does any I/O.
//   - The portable engine: portable.go from Open to Done, portable_copy.go the bytes,
//     portable_inject.go our own frames between them, reader*.go how it waits for bytes
//     without a buffer.
//   - The event loop: loop_linux.go waits and serves, loop_commands_linux.go is what others
//     ask of it, loop_session_linux.go carries out a session's actions, loop_copy_linux.go
//     moves the bytes and loop_splice_linux.go those of large frames, loop_inject_linux.go
//     puts in our own frames, loop_backlog_linux.go keeps what a peer does not take,
//     loop_tls_linux.go reads and writes TLS. Its memory: loop_slab_linux.go for tunnels,
//     loop_limits_linux.go for their limits, wheel.go for their timers.
//   - Which loop gets a tunnel, and when it moves to another: loop_migration_linux.go.
//   - Before a tunnel: socket_linux.go listens, accepts and dials, loop_watch_linux.go has a
//     loop watch a connection, descriptor_linux.go takes one out of net and puts it back.
//   - Another backend for an open tunnel: redial.go, and redial_waiting.go for the bytes that
//     wait for it.
//   - What the system knows of a connection: hangup*.go that a peer has gone,
//     unsent_linux.go what it has not taken, kernel_buffers_linux.go how much it may keep.
package tunnel

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Engine opens tunnels. Safe for concurrent use.
type Engine interface {
	// Open takes over both connections and returns at once.
	Open(Spec) Tunnel
}

// Tunnel is an open tunnel. Its methods are safe for concurrent use, return at
// once and do nothing on a tunnel that is ending already (Cut still cuts it).
type Tunnel interface {
	// Close ends the tunnel properly: a Close frame with code and reason each
	// way, the replies awaited for Limits.CloseTimeout, then FIN. The code must be
	// one that may be sent (wsproto.ValidOnWire), or 0 for none; of the reason at
	// most 123 bytes of UTF-8 are sent.
	Close(code uint16, reason string, why Reason)
	// Cut closes both connections now.
	Cut(why Reason)
	// Counts is what has passed so far.
	Counts() Counts
}

// Spec is one tunnel to open.
type Spec struct {
	Client  Endpoint
	Backend Endpoint
	// WebSocket says that the bytes are RFC 6455 frames.
	WebSocket bool
	// RSV holds the reserved bits (0x40, 0x20, 0x10) that a negotiated
	// extension owns: RSV1 (0x40) for permessage-deflate.
	RSV    byte
	Limits Limits
	// Meter, when set, is added to as bytes flow; shared by many tunnels.
	Meter *Meter
	// Tally, when set, counts what the tunnel carries; shared by many tunnels.
	Tally *Tally
	// Redial, when set, lets a WebSocket tunnel outlive its backend. Such tunnels
	// are served by the portable engine on every system.
	Redial Redial
	// Done is called once, after both connections are closed, from a goroutine
	// of the engine's: it must not block.
	Done func(Summary)
}

// Redial finds the next backend of a tunnel that is without one, and why says what
// became of the last one. It is called from a goroutine of the engine's, one call at
// a time; Done is not called before it has returned. ctx ends as soon as the answer is
// not wanted any more. With an error the tunnel ends as if it could not redial.
type Redial func(ctx context.Context, why Reason) (Next, error)

// Next is where a tunnel goes on. Both are the engine's from then on, as those of
// a Spec are.
type Next struct {
	Backend Endpoint
	Meter   *Meter // may be nil
}

// Mover is a Tunnel that can leave a backend which has not gone. Move may be called
// concurrently with the methods of Tunnel, and returns at once.
type Mover interface {
	Tunnel
	// Move sends the backend a Close frame between two messages, awaits its reply
	// for Limits.CloseTimeout, and redials. Where there is no Redial, or no such
	// place by then, or no backend to be found, it ends the tunnel as Close does.
	// nth is how often the tunnel has redialled already: a Move that comes when it
	// has left that backend anyhow does nothing.
	Move(nth int, code uint16, reason string, why Reason)
}

// Endpoint is one side's connection.
type Endpoint struct {
	// Conn: best a bare *net.TCPConn or *net.UnixConn, or a *tls.Conn over what
	// [Under] returns, which an engine knows how to wait for cheaply. Any other
	// works, for some memory; one without
	// a CloseWrite method is closed where it would be half-closed.
	Conn  net.Conn
	Early []byte // read from Conn already, not yet passed on
	EOF   bool   // the peer's end of file was read too, behind Early
}

// Limits of one tunnel. Zero is no limit, except where a default is named.
type Limits struct {
	Idle            time.Duration // nothing either way
	IdleFromClient  time.Duration // nothing from the client
	IdleFromBackend time.Duration // nothing from the backend
	IdleCountsData  bool          // these three count data frames, not the peers' control frames
	Lifetime        time.Duration // since Open
	PingClient      time.Duration // nothing heard from the client for so long: ping it
	PingBackend     time.Duration
	Pong            time.Duration // how long a pong may take; default 10s
	CloseTimeout    time.Duration // for Close replies; default 5s
	MessageSize     int64         // payload bytes on the wire, per message -> 1009; implies Strict
	FrameSize       int64         // payload bytes per data frame -> 1009; implies Strict
	Strict          bool          // RFC 6455 violations -> 1002
}

// Counts is what passed through a tunnel.
type Counts struct {
	FromClient, FromBackend Direction
}

// Direction counts one direction of a tunnel.
type Direction struct {
	Bytes    int64 // after the handshake, frame headers included
	Messages int64 // complete data messages; 0 on raw tunnels
}

// Meter sums the bytes of many tunnels, live.
type Meter struct {
	FromClient, FromBackend atomic.Int64
}

func (m *Meter) of(p Party) *atomic.Int64 {
	if p == ByClient {
		return &m.FromClient
	}
	return &m.FromBackend
}

// Party says which side ended a tunnel.
type Party uint8

const (
	ByProxy Party = iota
	ByClient
	ByBackend
)

// Reason says why a tunnel ended, in one word, for logs and metrics.
type Reason string

const (
	ReasonClosed      Reason = "closed"       // a Close frame, or FIN on a raw tunnel, by ClosedBy
	ReasonLost        Reason = "lost"         // reset, or end of file without a Close frame
	ReasonIdle        Reason = "idle"         // an idle limit
	ReasonLifetime    Reason = "lifetime"     // the lifetime limit
	ReasonPongTimeout Reason = "pong_timeout" // the peer did not answer a ping
	ReasonTooBig      Reason = "too_big"      // a message or frame over its limit
	ReasonProtocol    Reason = "protocol"     // RFC 6455 violated, strict
	ReasonDrain       Reason = "drain"        // the routes changed
	ReasonForbidden   Reason = "forbidden"    // its client or Origin is no longer allowed
	ReasonExpired     Reason = "expired"      // its client's credential has expired
	ReasonShutdown    Reason = "shutdown"     // the proxy is stopping
	ReasonOperator    Reason = "operator"     // by hand, through the admin API
)

// Summary is how a tunnel ended.
type Summary struct {
	Counts   Counts
	ClosedBy Party
	Reason   Reason
	Silent   Party // the peer that did not answer a ping, where that is the reason; else ByProxy
	// Code is the close code of the first Close frame, of either side or the proxy: 1005
	// when it carried none, 1006 when there was no Close frame at all, 0 on raw
	// tunnels.
	Code     uint16
	Text     string // the close frame's reason, at most 123 bytes
	Duration time.Duration
}
