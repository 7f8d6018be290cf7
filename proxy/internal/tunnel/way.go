package tunnel

// A way is one direction of a tunnel: its bytes and its frames. put.go has what
// the proxy puts in between them.

import (
	"crypto/rand"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// way is one direction. Only its pump reads src. Whoever has its turn may write
// to dst: the pump while it passes bytes on, or a goroutine that puts a frame in
// while the pump waits for bytes.
type way struct {
	t      *tunnel
	from   Party
	masked bool // frames towards dst must be masked: it is the backend

	// A redial replaces the backend's, with t.mu held besides what is said above.
	src, dst net.Conn
	meter    *atomic.Int64 // of who writes to dst; nil: none

	bytes, messages atomic.Int64
	heard           atomic.Int64 // when src was last heard, since t.start
	moved           atomic.Int64 // when dst last took bytes of src
	passing         atomic.Bool  // the pump is passing bytes on, and not reading
	wants           atomic.Uint32

	turn   chan struct{}  // holds one token while somebody has the turn
	walker wsproto.Walker // by turn
	token  [8]byte        // payload of our pings to src, whose pongs come this way; set at init
	held   []byte         // the pump's: an unfinished header or control frame
	stand  *stand         // nil where the tunnel has no redialer
	line   hangup         // on dst; set where it is a backend that can be replaced

	// Written with both the turn and t.mu held, so that either is enough to read.
	told    bool // a Close frame has gone to dst
	telling bool // and is still on its way there
	mute    bool // nothing more of src's goes to dst
	stopped bool // mute, and what went before ended between two frames
	fin     bool // dst has been half-closed
	deaf    bool // dst takes nothing any more
	away    bool // there is no dst to speak of: bytes for it wait (waiting.go)
	blind   bool // src's frames cannot be told apart

	// For t.mu alone.
	closeSeen bool   // src has sent a Close frame
	ended     bool   // src has ended
	gone      bool   // src is not waited for
	closeCode uint16 // of the Close frame that is wanted
	closeText string
	pingedAt  time.Duration // when dst was last pinged, or should have been
}

func (w *way) init(t *tunnel, from Party, s Spec) {
	w.t, w.from = t, from
	w.src, w.dst = s.Client.Conn, s.Backend.Conn
	if from == ByBackend {
		w.src, w.dst = w.dst, w.src
	}
	w.masked = from == ByClient
	w.setMeter(s.Meter)
	w.turn = make(chan struct{}, 1)
	w.walker = wsproto.NewWalker(wsproto.Rules{
		Masked:     w.masked, // what the backend must get is what a client must send
		RSV:        s.RSV,
		MaxFrame:   s.Limits.FrameSize,
		MaxMessage: s.Limits.MessageSize,
	})
	if t.redialer != nil {
		w.stand = &stand{walker: w.walker}
		w.watchLine()
	}
	if t.limits.PingClient > 0 || t.limits.PingBackend > 0 {
		rand.Read(w.token[:])
	}
}

func (w *way) count() Direction {
	return Direction{Bytes: w.bytes.Load(), Messages: w.messages.Load()}
}

func (w *way) movedAt() time.Duration { return time.Duration(w.moved.Load()) }

// heardAt is when src was last heard. A way that waits for dst does not listen,
// and cannot say that src is silent.
func (w *way) heardAt(now time.Duration) time.Duration {
	if w.passing.Load() {
		return now
	}
	return time.Duration(max(w.heard.Load(), w.moved.Load()))
}

func (w *way) setMeter(m *Meter) {
	w.meter = nil
	if m != nil {
		w.meter = m.of(w.from)
	}
}

// pump passes on src's bytes until src ends, and those of who takes its place. It is
// the way's goroutine.
func (w *way) pump(early []byte, eof bool) {
	defer w.t.exit()
	for {
		err := w.copy(early, eof)
		next, ok := w.redial()
		if !ok {
			w.end(err)
			return
		}
		early, eof = next.Early, next.EOF
	}
}

// copy passes on what was read early and what it reads until there is an error.
func (w *way) copy(early []byte, eof bool) error {
	if len(early) > 0 {
		w.pass(early)
	}
	if eof {
		return io.EOF
	}
	r := newReader(w.src)
	for {
		if w.pause() {
			return io.EOF
		}
		buf, n, err := r.read(w.held)
		if n > len(w.held) {
			w.heard.Store(int64(w.t.since()))
			w.held = w.held[:0]
			w.pass(buf[:n])
		}
		r.release()
		if err != nil {
			return err
		}
	}
}

// take takes the turn.
func (w *way) take() { w.turn <- struct{}{} }

// give gives it back.
func (w *way) give() { <-w.turn }

// pass passes on bytes that were read from src, held ones in front.
func (w *way) pass(p []byte) {
	w.passing.Store(true)
	w.take()
	w.awaitLoss()
	defer func() {
		w.noteRoom()
		w.give()
		w.passing.Store(false)
	}()
	if !w.t.websocket {
		w.write(p, 0)
		return
	}
	if w.wants.Load() != 0 {
		w.put()
	}
	w.walk(p)
}

// walk writes p in as few pieces as the frames in it allow: it is cut where
// something is to be put in between, or left out.
func (w *way) walk(p []byte) {
	var begin, end int // p[begin:end] is still to be written
	var messages int64 // that end in there
	flush := func() {
		w.write(p[begin:end], messages)
		begin, messages = end, 0
	}
	for {
		n, ev := w.walker.Next(p[end:])
		switch ev.Step {
		case wsproto.StepMore:
			flush()
			w.held = append(w.held[:0], p[end:]...)
			return
		case wsproto.StepMessage:
			messages++
		case wsproto.StepPong:
			if w.answersPing(p[end : end+n]) {
				flush()
				begin += n
			}
		case wsproto.StepClose:
			if w.leaveAnswered() {
				flush()
				return
			}
			w.closed(p[end : end+n])
			end, n = end+n, 0
			flush()
			w.t.handedOver(w)
		case wsproto.StepTooBig:
			flush()
			w.walker.Unlimit() // to find the peer's reply behind it
			w.refuse(ReasonTooBig, wsproto.CloseMessageTooBig, "message too big")
		case wsproto.StepViolation:
			flush()
			n = w.violation(ev, p[end:])
			begin += n
		}
		end += n
		if w.wants.Load() != 0 {
			flush()
			w.put()
		}
	}
}

// write gives dst bytes of src's, with so many messages ending in them, unless
// the way is mute.
func (w *way) write(p []byte, messages int64) {
	switch {
	case len(p) == 0 || w.mute:
		return
	case w.away:
		w.keep(p, messages)
		return
	}
	n, err := w.dst.Write(p)
	if n > 0 {
		w.moved.Store(int64(w.t.since()))
	}
	w.counted(int64(n))
	if err != nil {
		w.refused(p, n, messages)
		return
	}
	w.messages.Add(messages)
	if w.stand != nil {
		w.stand.walker = w.walker
	}
}

func (w *way) counted(n int64) {
	w.bytes.Add(n)
	if w.meter != nil {
		w.meter.Add(n)
	}
}

// answersPing reports whether a pong answers a ping of ours.
func (w *way) answersPing(frame []byte) bool {
	var buf [125]byte
	return w.t.pings(w.from) && string(wsproto.ControlPayload(buf[:0], frame)) == string(w.token[:])
}

// pings reports whether the tunnel pings that side.
func (t *tunnel) pings(side Party) bool {
	if side == ByClient {
		return t.limits.PingClient > 0
	}
	return t.limits.PingBackend > 0
}

// closed notes a Close frame of src's, before it is passed on: the answer may
// be here before the write returns.
func (w *way) closed(frame []byte) {
	var buf [125]byte
	code, text, _ := wsproto.ParseClosePayload(wsproto.ControlPayload(buf[:0], frame))
	w.t.peerClosed(w, code, text)
}

// refuse ends the tunnel before a frame that may not pass. (On one that is being
// closed it only ends the way: who has said Close has no more to say.)
func (w *way) refuse(why Reason, code uint16, text string) {
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	w.mute, w.stopped = true, true
	if !t.endLocked(bothTold(why, code, text)) {
		t.wantLocked(w, wantFIN)
	}
}

// violation ends the tunnel, if it is strict, or else the way's frame-awareness.
// A limit on sizes is strict too: otherwise one bad bit would lift it. It
// returns how many bytes of rest it has passed on itself: a Close frame that is
// wrong in its payload only is still the peer's Close.
func (w *way) violation(ev wsproto.Event, rest []byte) int {
	t := w.t
	t.mu.Lock()
	w.blind = true
	t.mu.Unlock()
	if l := t.limits; l.Strict || l.FrameSize > 0 || l.MessageSize > 0 {
		w.refuse(ReasonProtocol, wsproto.CloseProtocolError, ev.Fault.String())
		return 0
	}
	if ev.Op != wsproto.OpClose {
		return 0
	}
	frame := rest[:wsproto.ControlLen(rest)]
	w.closed(frame)
	w.write(frame, 0)
	w.t.handedOver(w)
	return len(frame)
}

// end passes on the end of src. What is held then, the beginning of a header or
// control frame, goes nowhere: dst could do nothing with it, and so still stands
// between two frames.
func (w *way) end(err error) {
	w.take()
	defer w.give()
	w.t.sourceEnded(w, err)
	w.put()
}
