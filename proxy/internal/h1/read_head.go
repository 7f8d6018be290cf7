// A request head is read, judged, and let through or refused.

package h1

import (
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// readHead reads until a head is complete and judged. Mostly it comes with one
// Read, straight into p, and stays there.
func (c *Conn) readHead(p []byte) (int, error) {
	if c.heads == 0 {
		c.startHeadClock()
	}
	if c.early == nil {
		n, err := c.Conn.Read(p)
		if n == 0 {
			return 0, c.headError(err)
		}
		return c.judgeFirst(p[:n])
	}
	c.startHeadClock()
	defer c.stopHeadClock()
	for {
		if end, err := c.judge(c.early.bytes()); end > 0 || err != nil {
			c.ready = end
			return 0, err
		}
		if c.early == nil { // there were empty lines only
			return 0, nil
		}
		if err := c.fill(nil, c.limits.HeadBytes+2*maxBlank+1); err != nil {
			return 0, c.headError(err)
		}
	}
}

// judgeFirst judges the bytes of a first Read. What is not delivered with them
// is kept.
func (c *Conn) judgeFirst(b []byte) (int, error) {
	if b[0] == '\r' { // rare: judge drops empty lines from early only
		c.keep(b)
		return 0, nil
	}
	end, err := c.judge(b)
	if err != nil {
		return 0, err
	}
	if end > 0 {
		c.stopHeadClock()
	}
	c.keep(b[end:])
	return end, nil
}

// maxBlank is how many empty lines may come before a request line: RFC 9112
// section 2.2 asks for one, for the sake of old clients. net/http never sees
// them.
const maxBlank = 4

// judge looks at the bytes of a head and returns the head's length once it is
// complete and accepted. The state is then that behind the head.
func (c *Conn) judge(b []byte) (int, error) {
	for c.scan.pos == 0 && len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		if c.blank++; c.blank > maxBlank {
			return 0, c.refuse(errEmptyLine)
		}
		c.take(2)
		b = b[2:]
	}
	end, err := c.scan.scan(b, c.limits.HeadBytes, c.limits.Fields)
	if err == ErrIncomplete {
		return 0, nil
	}
	if err == nil {
		err = c.accept(b[:end])
	}
	if err != nil {
		return 0, c.refuse(err.(*Violation))
	}
	return end, nil
}

// fieldSlices are scratch for parsing.
var fieldSlices = sync.Pool{New: func() any { return new([]Field) }}

// accept judges a complete head and prepares for what is behind it.
func (c *Conn) accept(b []byte) error {
	scratch := fieldSlices.Get().(*[]Field)
	defer fieldSlices.Put(scratch)
	h, err := parseHead(b, *scratch)
	if err != nil {
		return err
	}
	names := h.names()
	*scratch = h.Fields[:0]
	clear(h.Fields)
	c.heads++
	c.send.reset()
	c.blank, c.scan, c.chunks, c.left = 0, headScan{}, chunks{}, h.Length
	c.begin(h, names)
	return nil
}

// names is how the names of the fields are spelled. Where a name stands twice the
// first counts, which may be spelled as net/http does it.
func (h *Head) names() (names spelling.Names) {
	for i, f := range h.Fields {
		if spelling.IsCanonical(f.Name) {
			continue
		}
		if !slices.ContainsFunc(h.Fields[:i], func(before Field) bool { return httpsyntax.EqualFold(before.Name, f.Name) }) {
			names.Note(f.Name)
		}
	}
	return names
}

// Names is how the names in the header of the request being served are spelled.
func (c *Conn) Names() spelling.Names {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names
}

func (c *Conn) begin(h Head, names spelling.Names) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upgrade, c.awaited, c.names = h.Upgrade, false, names
	c.begun = true
	if !c.endBy.IsZero() {
		c.endBy = time.Time{}
		_ = c.setReadDeadlineLocked()
	}
	switch {
	case h.Length == Chunked:
		c.state = inChunks
	case h.Length > 0:
		c.state = inLength
	default:
		c.endMessageLocked()
	}
}

// endMessageLocked is called behind the last byte of a request.
func (c *Conn) endMessageLocked() {
	c.stopBodyClockLocked()
	c.state = inHead
	if c.upgrade {
		c.state = holding
	}
}

func (c *Conn) endMessage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endMessageLocked()
}

// headError sorts out why a Read failed before a head was complete. The bytes
// of an unfinished head were not delivered: net/http sees a connection that
// ends between requests, and is silent.
func (c *Conn) headError(err error) error {
	if !c.headTimedOut(err) {
		return err
	}
	if c.early.len() == 0 {
		c.stopHeadClock()
		return err // a client that never said anything is not answered
	}
	return c.refuse(errHeadTime)
}
