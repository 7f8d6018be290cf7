package tunnel

// How the portable engine moves one direction's bytes, and what it does at the frames
// in them. portable_inject.go has what the proxy puts in between.

import (
	"crypto/rand"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// portableDirection is one direction. Only its own goroutine reads src. With its write
// lock held, dst is written to: by that goroutine while it passes bytes on, or by one
// that puts a frame in while it waits for bytes.
type portableDirection struct {
	t     *tunnel
	index int // of tunnel.dirs and session.dirs: fromClient or fromBackend

	// A redial replaces the backend's, with t.mu held besides what is said above.
	src, dst net.Conn
	meter    *atomic.Int64 // of the backend's; nil: none

	bytes, messages atomic.Int64
	heard           atomic.Int64  // when src was last heard, since t.start
	moved           atomic.Int64  // when dst last took bytes of src
	data            atomic.Int64  // when bytes of a data frame were among those
	passing         atomic.Bool   // bytes are being passed on, and src is not read
	pending         atomic.Uint32 // the session's

	writeLock chan struct{}  // full while it is held: a lock that can be waited for along with the cut
	walker    wsproto.Walker // guarded by writeLock
	token     [8]byte        // payload of our pings to src, whose pongs come this way; set at init
	held      []byte         // an unfinished header or control frame of src's
	delivered *delivered     // nil where the tunnel has no redialer
	hangup    hangup         // of dst; set where it is a backend that can be replaced
}

func (d *portableDirection) init(t *tunnel, index int, s *Spec) {
	d.t, d.index = t, index
	d.src, d.dst = s.Client.Conn, s.Backend.Conn
	if index == fromBackend {
		d.src, d.dst = d.dst, d.src
	}
	d.setMeter(s.Meter)
	d.writeLock = make(chan struct{}, 1)
	d.walker = newWalker(index, s)
	if t.redialer != nil {
		d.delivered = &delivered{walker: d.walker}
		d.watchHangup()
	}
	if s.Limits.PingClient > 0 || s.Limits.PingBackend > 0 {
		rand.Read(d.token[:])
	}
}

// newWalker walks the frames of a direction: what the backend must get is what a client
// must send.
func newWalker(dir int, s *Spec) wsproto.Walker {
	return wsproto.NewWalker(wsproto.Rules{
		Masked:     dir == fromClient,
		RSV:        s.RSV,
		MaxFrame:   s.Limits.FrameSize,
		MaxMessage: s.Limits.MessageSize,
	})
}

// state is the session's view of the direction. Its write and opaque may be read
// with the write lock, all else needs t.mu.
func (d *portableDirection) state() *direction { return &d.t.session.dirs[d.index] }

// other is the direction that comes from where d goes to.
func (d *portableDirection) other() *portableDirection { return &d.t.dirs[1-d.index] }

// report reports an event of this direction, whose write lock is held.
func (d *portableDirection) report(ev event) {
	ev.dir = d.index
	d.t.apply(ev)
}

// stampLocked brings the session's view up to date.
func (d *portableDirection) stampLocked() {
	s := d.state()
	s.heard = max(s.heard, time.Duration(d.heard.Load()))
	s.moved = time.Duration(d.moved.Load())
	s.data = time.Duration(d.data.Load())
	s.setWaiting(d.passing.Load())
}

func (d *portableDirection) count() Direction {
	return Direction{Bytes: d.bytes.Load(), Messages: d.messages.Load()}
}

func (d *portableDirection) setMeter(m *Meter) {
	d.meter = nil
	if m != nil {
		d.meter = m.of(from(d.index))
	}
}

// run copies from src until it ends, and after a redial from the next backend. It is
// the direction's goroutine.
func (d *portableDirection) run(early []byte, eof bool) {
	defer d.t.exit()
	for {
		err := d.copy(early, eof)
		next, ok := d.redial()
		if !ok {
			d.end(err)
			return
		}
		early, eof = next.Early, next.EOF
	}
}

// copy passes on what was read early and what it reads until there is an error.
func (d *portableDirection) copy(early []byte, eof bool) error {
	if len(early) > 0 {
		d.pass(early)
	}
	if eof {
		return io.EOF
	}
	r := newReader(d.src)
	for {
		if d.pause() {
			return io.EOF
		}
		buf, n, err := r.read(d.held)
		if n > len(d.held) {
			d.heard.Store(int64(d.t.since()))
			d.held = d.held[:0]
			d.pass(buf[:n])
		}
		r.release()
		if err != nil {
			return err
		}
	}
}

// lock takes the write lock.
func (d *portableDirection) lock() { d.writeLock <- struct{}{} }

// unlock releases it.
func (d *portableDirection) unlock() { <-d.writeLock }

// pass passes on bytes that were read from src, held ones in front.
func (d *portableDirection) pass(p []byte) {
	d.passing.Store(true)
	d.lock()
	d.awaitLoss()
	defer func() {
		d.noteRoom()
		d.unlock()
		d.passing.Store(false)
	}()
	if !d.t.session.webSocket {
		d.write(p, 0, true)
		return
	}
	if d.pending.Load() != 0 {
		d.inject()
	}
	d.walk(p)
}

// walk writes p in as few pieces as the frames in it allow: it is cut where
// something is to be put in between, or left out.
func (d *portableDirection) walk(p []byte) {
	var begin, end int // p[begin:end] is still to be written
	var messages int64 // that end in there
	var data bool      // there are bytes of data frames in there
	flush := func() {
		d.write(p[begin:end], messages, data)
		begin, messages, data = end, 0, false
	}
	for {
		n, ev := d.walker.Next(p[end:])
		switch ev.Step {
		case wsproto.StepMore:
			flush()
			d.held = append(d.held[:0], p[end:]...)
			return
		case wsproto.StepPart, wsproto.StepFrame:
			data = true
		case wsproto.StepMessage:
			messages, data = messages+1, true
			if !d.state().write.discards() {
				d.t.tally.onPortable(func(c *Carried) { c.message(d.index, d.walker.Kind(), ev.Size) })
			}
		case wsproto.StepPong:
			if d.t.limits.pings(from(d.index)) > 0 && answersPing(p[end:end+n], &d.token) {
				d.t.ponged(d.index)
				flush()
				begin += n
			}
		case wsproto.StepClose:
			if d.leaveAnswered() {
				flush()
				return
			}
			d.t.apply(closeEvent(d.index, p[end:end+n]))
			end, n = end+n, 0
			flush()
			d.handed()
		case wsproto.StepTooBig:
			flush()
			d.walker.Unlimit() // to find the peer's reply behind it
			d.refuse(ReasonTooBig, wsproto.CloseMessageTooBig, "message too big")
		case wsproto.StepViolation:
			flush()
			n = d.violation(ev, p[end:])
			begin += n
		}
		end += n
		if d.pending.Load() != 0 {
			flush()
			d.inject()
		}
	}
}

// write gives dst bytes of src's, with so many messages ending in them and perhaps data
// frames among them, unless the direction discards them.
func (d *portableDirection) write(p []byte, messages int64, data bool) {
	switch {
	case len(p) == 0 || d.state().write.discards():
		return
	case d.state().write.detached():
		d.keep(p, messages)
		return
	}
	n, err := d.dst.Write(p)
	if n > 0 {
		now := int64(d.t.since())
		d.moved.Store(now)
		if data {
			d.data.Store(now)
		}
	}
	d.counted(int64(n))
	if err != nil {
		d.refused(p, n, messages)
		return
	}
	d.messages.Add(messages)
	if d.delivered != nil {
		d.delivered.walker = d.walker
	}
}

func (d *portableDirection) counted(n int64) {
	d.bytes.Add(n)
	if d.meter != nil {
		d.meter.Add(n)
	}
	d.t.tally.onPortable(func(c *Carried) { c.Bytes[d.index] += n })
}

// refuse reports a frame that may not pass.
func (d *portableDirection) refuse(why Reason, code uint16, text string) {
	d.report(event{kind: evRefuse, ending: proxyEnds(why, code, text)})
}

// violation ends the tunnel, if it is strict, or else the direction's frame-awareness.
// It returns how many bytes of rest it has passed on itself: a Close frame that is
// wrong in its payload only is still the peer's Close.
func (d *portableDirection) violation(ev wsproto.Event, rest []byte) int {
	d.report(event{kind: evOpaque})
	if d.t.limits.strict() {
		d.refuse(ReasonProtocol, wsproto.CloseProtocolError, ev.Fault.String())
		return 0
	}
	if ev.Op != wsproto.OpClose {
		return 0
	}
	frame := rest[:wsproto.ControlLen(rest)]
	d.t.apply(closeEvent(d.index, frame))
	d.write(frame, 0, false)
	d.handed()
	return len(frame)
}

// handed reports that dst has taken a Close frame of src's, unless it has failed.
func (d *portableDirection) handed() {
	if d.state().write.onItsWay() {
		d.report(event{kind: evHanded})
	}
}

// strict reports whether a violation ends the tunnel. A limit on sizes is strict too:
// otherwise one bad bit would lift it.
func (l *Limits) strict() bool { return l.Strict || l.FrameSize > 0 || l.MessageSize > 0 }

// end passes on the end of src. What is held then, the beginning of a header or
// control frame, goes nowhere: dst could do nothing with it, and so still stands
// between two frames.
func (d *portableDirection) end(err error) {
	d.lock()
	defer d.unlock()
	d.report(event{kind: evEOF, clean: err == io.EOF})
	d.inject()
}
