// A request's body on its way through: counted, or in chunks with trailers.

package h1

func (c *Conn) readBody(s state, p []byte) (int, error) {
	switch s {
	case inLength:
		return c.readLength(p)
	case inChunks:
		return c.readChunks(p)
	}
	return 0, c.readTrailers()
}

// readLength passes a counted body on.
func (c *Conn) readLength(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := copy(p, c.early.bytes()), error(nil)
	if n > 0 {
		c.take(n)
	} else if n, err = c.Conn.Read(p); err != nil && n == 0 {
		return 0, err
	}
	if c.left -= int64(n); c.left == 0 {
		c.endMessage()
	}
	return n, nil
}

// readChunks passes chunks on and stops behind the last one's line.
func (c *Conn) readChunks(p []byte) (int, error) {
	if b := c.early.bytes(); len(b) > 0 {
		n, err := c.scanChunks(b[:min(len(b), len(p))])
		copy(p, b[:n])
		c.take(n)
		return n, err
	}
	if ahead := c.chunks.readAhead(); uint64(len(p)) > ahead {
		p = p[:ahead]
	}
	got, err := c.Conn.Read(p)
	if got == 0 {
		return 0, err
	}
	n, err := c.scanChunks(p[:got])
	c.keep(p[n:got])
	return n, err
}

func (c *Conn) scanChunks(b []byte) (int, error) {
	n, done, err := c.chunks.scan(b)
	if err != nil {
		return 0, c.failBody(err.(*Violation))
	}
	if done {
		c.scan = headScan{lines: 1}
		c.setState(inTrailers)
	}
	return n, nil
}

// readTrailers reads until the lines behind the last chunk are complete and
// judged; mostly that is the empty one.
func (c *Conn) readTrailers() error {
	for {
		end, err := c.scan.scan(c.early.bytes(), maxTrailerBytes, c.limits.Fields)
		if err == nil {
			err = checkTrailers(c.early.bytes()[:end], nil)
		}
		switch {
		case err == nil:
			c.ready, c.scan = end, headScan{}
			c.endMessage()
			return nil
		case err == errHeadSize:
			return c.failBody(errTrailerSize)
		case err != ErrIncomplete:
			return c.failBody(err.(*Violation))
		}
		var scratch [64]byte
		if err := c.fill(scratch[:], maxTrailerBytes+1); err != nil {
			return err
		}
	}
}
