// The clocks on one connection: net/http's read deadline (idle, or none), and the
// gate's own for a request head, for a body behind its answer, and for the first head of
// a connection whose listener has closed.

package h1

import (
	"errors"
	"net"
	"os"
	"time"
)

// SetDeadline sets both deadlines, see [Conn.SetReadDeadline].
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}

// SetReadDeadline ends a Read under way, too, also one that waits behind an
// upgrade request. While a head is being read the gate's own deadline holds
// instead of one that was set before, and the earlier one of it and t.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.wakeLocked()
	return c.setReadDeadlineLocked()
}

func (c *Conn) setReadDeadlineLocked() error {
	return c.Conn.SetReadDeadline(earlier(earlier(c.deadline, c.endBy), earlier(c.headBy, earlier(c.bodyBy, c.silentBy))))
}

// EndBy ends the connection, without an answer, if its first head has not come by then.
func (c *Conn) EndBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.endBy = t
		_ = c.setReadDeadlineLocked()
	}
}

// earlier treats the zero time as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// startHeadClock limits the time for the rest of a head.
func (c *Conn) startHeadClock() {
	timeout := c.limits.HeadTimeout
	if timeout <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.headBy.IsZero() {
		c.headBy = time.Now().Add(timeout)
		c.Conn.SetReadDeadline(earlier(c.headBy, c.endBy))
	}
}

// stopHeadClock puts net/http's deadline back.
func (c *Conn) stopHeadClock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.headBy.IsZero() {
		c.headBy = time.Time{}
		c.Conn.SetReadDeadline(c.deadline)
	}
}

// headTimedOut reports whether err is the gate's own deadline.
func (c *Conn) headTimedOut(err error) bool {
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.headBy.IsZero() && !time.Now().Before(c.headBy)
}

// DrainBody says that the request is answered, and limits the time for what is left of
// its body; past that time every Read fails. It returns false if nothing is left.
func (c *Conn) DrainBody(within time.Duration) (pending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inBodyLocked() {
		return false
	}
	c.bodyBy = time.Now().Add(within)
	c.setReadDeadlineLocked()
	return true
}

// stopBodyClockLocked puts net/http's deadline back.
func (c *Conn) stopBodyClockLocked() {
	if !c.bodyBy.IsZero() || !c.silentBy.IsZero() {
		c.bodyBy, c.silentBy = time.Time{}, time.Time{}
		c.Conn.SetReadDeadline(c.deadline)
	}
}

// bodyError makes the end of DrainBody's time, and of the client's silence, final:
// net/http takes an error of the body alone for its end, and what comes behind it for
// the next request.
func (c *Conn) bodyError(err error) error {
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		return err
	}
	c.mu.Lock()
	now := time.Now()
	late := !c.bodyBy.IsZero() && !now.Before(c.bodyBy)
	silent := !c.silentBy.IsZero() && !now.Before(c.silentBy)
	c.mu.Unlock()
	switch {
	case late:
		c.err = c.readError(errBodyTime)
	case silent:
		return c.failBody(errBodySilent)
	}
	return err
}

// pause waits for wake, see wakeChanLocked. It returns an error when a Read
// must end.
func (c *Conn) pause(wake <-chan struct{}) error { return c.pauseFor(wake, 0) }

// pauseFor is pause that ends after that time, too; 0 is never.
func (c *Conn) pauseFor(wake <-chan struct{}, most time.Duration) error {
	c.mu.Lock()
	deadline, closed := c.deadline, c.closed
	c.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	var late, enough <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-wake:
	case <-enough:
	case <-late:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wakeChanLocked returns a channel that is closed at the next change of what a
// pause depends on: a deadline, the state, or that the connection is closed. It
// is taken under the same lock as the decision to wait, so that no change is
// missed.
func (c *Conn) wakeChanLocked() <-chan struct{} {
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

// wakeLocked ends a pause.
func (c *Conn) wakeLocked() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}
