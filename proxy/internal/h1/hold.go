// What happens behind a request while it is being served: HTTP that came too
// soon, or, behind an upgrade request, bytes of a protocol to come.

package h1

import (
	"bytes"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// maxPipelined bounds what is read ahead of the next request: enough to notice
// that a client has gone, no more.
const maxPipelined = bufferSize

// watch is net/http's background Read. It keeps what comes, bounded, and ends
// only with an error: that the client has gone, or a deadline, with which
// net/http stops it.
//
// An end of file is kept: a client may half-close right behind its request and
// wait for the answer. From then on only a reset tells that it has gone, or a minute
// in which nothing was to be sent to it (an answer that streams and has nothing to
// say). Once all that may be kept is there, nothing is read any more: the client must
// wait, and that it has gone shows when the answer is written. Once a handler has called
// Await, the end of file behind an upgrade request, too, says that the client has gone.
func (c *Conn) watch(p []byte) error {
	var since time.Time // of the end of file
	for {
		limit, wait, ended := c.watchLimit()
		if ended && since.IsZero() {
			since = time.Now()
		}
		var err error
		switch {
		case (ended || wait != nil) && c.isAwaited():
			if ended || tunnel.Gone(c.Conn, true) {
				return io.EOF
			}
			err = c.pauseFor(wait, lookForReset)
		case ended && c.send.quiet(since):
			return io.EOF
		case ended && tunnel.Gone(c.Conn, false):
			return syscall.ECONNRESET
		case ended:
			err = c.pauseFor(wait, lookForReset)
		case wait != nil:
			err = c.pause(wait)
		default:
			err = c.watchOnce(p, limit)
		}
		if err != nil {
			return err
		}
	}
}

// lookForReset is how often a connection is checked that may not be read from.
const lookForReset = 200 * time.Millisecond

// watchLimit returns how many bytes may be kept, or what to wait for when
// nothing may be read now; ended says that nothing more will come.
func (c *Conn) watchLimit() (limit int, wait <-chan struct{}, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit = maxPipelined
	if c.state == holding {
		limit = maxEarly
	}
	switch {
	case c.eof || c.early.len() >= limit:
		return 0, c.wakeChanLocked(), c.eof
	}
	return limit, nil, false
}

// Await says that the upgrade request being served waits for its tunnel: from now
// on a client that goes, with an end of file or a reset, ends a Read of one byte,
// whatever it has sent before. Resume, Detach and the next request undo it.
func (c *Conn) Await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaited = c.state == holding
	c.wakeLocked()
}

func (c *Conn) isAwaited() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaited
}

func (c *Conn) watchOnce(p []byte, limit int) error {
	err := c.fill(p, limit)
	if !isEOF(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eof = true
	return nil
}

// Write passes an answer on. The first bytes of a final one settle an upgrade
// request for which Resume was not called: later is too late, since a client
// may send its next request as soon as it has them.
func (c *Conn) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, interim) {
		c.mu.Lock()
		c.resumeLocked()
		c.mu.Unlock()
	}
	c.send.Begin()
	defer c.send.End()
	n, err := c.Conn.Write(p)
	if err != nil && c.send.TimedOut() {
		err = &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errSendSilent}
	}
	return n, err
}

// interim begins what is no final answer: 100, 103, and the 101 itself.
var interim = []byte("HTTP/1.1 1")

// dropHeld is the end of an upgrade request that was answered as HTTP while
// bytes were held: they are no request, and the connection ends here.
func (c *Conn) dropHeld() error {
	c.err = c.readError(errHeld)
	return c.err
}

// Held reports whether bytes are held behind the upgrade request being served.
// An answer other than 101 must then carry Connection: close. To ask and decide
// in one step, use [Conn.Resume].
func (c *Conn) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == holding && c.early != nil
}

// Resume says that the request being served is no upgrade: HTTP goes on behind
// it. Call it before the answer's header is written. It returns false when bytes
// are held already: they are dropped with the connection, and the answer must
// carry Connection: close. On a plain request it does nothing and returns true.
//
// A handler may call it as soon as it has decided, so that a client that leaves
// is noticed like any other. Without a call the answer decides: bytes
// that came before it are dropped with the connection, and otherwise HTTP goes
// on.
func (c *Conn) Resume() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resumeLocked()
}

func (c *Conn) resumeLocked() bool {
	switch {
	case c.state == detached:
		return false
	case c.state == holding && c.early != nil:
		c.linger, c.awaited = true, false
		return false
	case c.state == holding:
		c.state = inHead
		c.wakeLocked()
	}
	c.upgrade, c.awaited = false, false
	return true
}

// Detach takes the gate out, after Hijack: it returns the connection beneath
// with the bytes that were read from it and never delivered, and whether the
// client's end of file was read behind them. Bytes still in the reader that
// Hijack returned come before early; there are none unless the request's body
// was not read to its end. From then on Read fails, and the caller
// owns conn; it has no deadlines (Hijack cleared them).
func (c *Conn) Detach() (conn net.Conn, early []byte, eof bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.early != nil {
		early = slices.Clone(c.early.bytes())
		c.early.release()
		c.early = nil
	}
	c.ready = 0
	c.awaited = false
	c.state = detached
	if c.attached != nil {
		_ = c.attached.Close()
	}
	return c.Conn, early, c.eof
}
