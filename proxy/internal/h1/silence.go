// How long a client may be silent in the middle of a message: while its body is
// read, and while an answer is written that it does not take.

package h1

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// DefaultSilence holds until LimitSilence says something else.
const DefaultSilence = time.Minute

var (
	errBodySilent = &Violation{http.StatusRequestTimeout, "the request's body has been silent for too long"}
	errSendSilent = &Violation{0, "the client has taken nothing of the answer for too long"}
)

// LimitSilence sets how long the client may be silent between two bytes of a
// body, which is refused with 408 then, and how long it may take nothing of what
// is written, before the connection is cut. Not positive is without end.
func (c *Conn) LimitSilence(body, send time.Duration) {
	c.mu.Lock()
	c.bodySilence = body
	c.mu.Unlock()
	c.send.limitTo(send)
}

// startSilence limits the wait for the body's next byte.
func (c *Conn) startSilence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bodySilence <= 0 || !c.inBodyLocked() {
		return
	}
	c.silentBy = time.Now().Add(c.bodySilence)
	c.setReadDeadlineLocked()
}

// SendTimedOut says that the connection was cut because the client took nothing.
func (c *Conn) SendTimedOut() bool { return c.send.TimedOut() }

// SendWatch cuts a connection whose peer takes nothing of what is written. It
// belongs to one connection, or one stream of one; it does nothing until it has a
// limit.
type SendWatch struct {
	conn net.Conn // its queue shows progress within a Write; nil: only a Write's end does
	cut  func()

	mu     sync.Mutex // guards all below
	limit  time.Duration
	timer  *time.Timer
	depth  int       // of Begin without End
	since  time.Time // the last sign of progress
	unsent int       // bytes in the system's queue then; -1 is not known
	late   bool
}

// NewSendWatch returns one that calls cut, once, when a Write has made no progress
// for limit.
func NewSendWatch(limit time.Duration, cut func()) *SendWatch {
	return &SendWatch{cut: cut, limit: limit}
}

func (w *SendWatch) limitTo(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = limit
}

// TimedOut says that cut was called.
func (w *SendWatch) TimedOut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// reset forgets the answers before, at the head of the next request.
func (w *SendWatch) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.depth == 0 {
		w.since = time.Time{}
	}
}

// quiet reports that the answer to the current request has begun, and that nothing was
// written for a minute since then.
func (w *SendWatch) quiet(since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || w.depth > 0 {
		return false
	}
	if w.since.After(since) {
		since = w.since
	}
	return time.Since(since) >= DefaultSilence
}

// InWrite says that a Write is under way.
func (w *SendWatch) InWrite() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.depth > 0
}

// looks is how often a Write is looked at within its limit.
const looks = 4

// Begin is called before a Write.
func (w *SendWatch) Begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.depth++; w.depth > 1 || w.limit <= 0 || w.late {
		return
	}
	w.since, w.unsent = time.Now(), -1
	if w.timer == nil {
		w.timer = time.AfterFunc(w.limit/looks, w.look)
	} else {
		w.timer.Reset(w.limit / looks)
	}
}

// End is called after it.
func (w *SendWatch) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.depth--; w.depth == 0 && w.timer != nil {
		w.timer.Stop()
	}
}

// look finds out whether the peer has taken something since the last look. A Write
// that waits does not tell: the system lets it go on only when a good part of its
// queue is free.
func (w *SendWatch) look() {
	w.mu.Lock()
	if w.depth == 0 || w.late {
		w.mu.Unlock()
		return
	}
	now := time.Now()
	n := -1
	if w.conn != nil {
		n = tunnel.Unsent(w.conn)
	}
	if n != w.unsent {
		if w.unsent >= 0 {
			w.since = now
		}
		w.unsent = n
	}
	if now.Sub(w.since) < w.limit {
		w.timer.Reset(w.limit / looks)
		w.mu.Unlock()
		return
	}
	w.late = true
	w.mu.Unlock()
	w.cut()
}

// Cut closes a connection at once, with what is still to be sent by it: a peer that
// takes nothing would leave that to the system for minutes.
func Cut(conn net.Conn) {
	if tcp, ok := beneath(conn).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// beneath is the connection at the bottom.
func beneath(conn net.Conn) net.Conn {
	for {
		covered, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = covered.NetConn()
	}
}
