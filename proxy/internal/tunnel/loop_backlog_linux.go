package tunnel

// The backlog: bytes that a loop has read and cannot pass on now. Of a stalled
// tunnel that is what one read brought, at most; of others nothing, but for the
// beginning of a header or control frame now and then.

import "sync"

// backlog is a direction's bytes. buf[off:walked] have been walked, and wait for dst to
// take them; buf[walked:] have not, and wait for those, or for the rest of their
// header.
type backlog struct {
	buf         []byte
	off, walked int
	messages    int64 // that end in buf[off:walked]
	own         bool  // buf[off:walked] is a frame of the proxy's
}

// backlogs holds what a loop's directions keep, by number; 0 is nothing. Its zero value
// is empty.
type backlogs struct {
	all  []*backlog
	free []uint32
}

func (b *backlogs) at(i uint32) *backlog { return b.all[i-1] }

// add keeps waiting bytes with rest behind them.
func (b *backlogs) add(waiting, rest []byte) (uint32, *backlog) {
	if len(b.free) == 0 {
		b.all = append(b.all, new(backlog))
		b.free = append(b.free, uint32(len(b.all)))
	}
	i := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	one := b.at(i)
	buf := getBuffer(len(waiting) + len(rest))
	*one = backlog{buf: append(append(buf, waiting...), rest...), walked: len(waiting)}
	return i, one
}

// rest is what is kept under a number and not walked.
func (b *backlogs) rest(i uint32) []byte {
	one := b.at(i)
	return one.buf[one.walked:]
}

// drop forgets what is kept under a number.
func (b *backlogs) drop(i uint32) {
	one := b.at(i)
	putBuffer(one.buf)
	*one = backlog{}
	b.free = append(b.free, i)
}

// Buffers come in three sizes: for the beginning of a frame, a few small
// messages, and a whole read.
const (
	tinyBuffer  = 256
	smallBuffer = 4 << 10
	largeBuffer = readSize + tinyBuffer
)

var (
	tinyBuffers  = sync.Pool{New: func() any { return new([tinyBuffer]byte) }}
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) []byte {
	switch {
	case n <= tinyBuffer:
		return tinyBuffers.Get().(*[tinyBuffer]byte)[:0]
	case n <= smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:0]
	case n <= largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:0]
	}
	return make([]byte, 0, n)
}

func putBuffer(b []byte) {
	switch cap(b) {
	case tinyBuffer:
		tinyBuffers.Put((*[tinyBuffer]byte)(b[:tinyBuffer]))
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

// keep keeps bytes of src's, or a frame of ours, that dst has not taken: they are waited
// for from here on. What was held goes behind.
func (l *loop) keep(t *slot, d *loopDirection, waiting []byte, messages int64, own bool) {
	var one *backlog
	old := d.backlog
	d.backlog, one = l.backlogs.add(waiting, l.held(d))
	one.messages, one.own = messages, own
	t.state(d).setWaiting(true)
	if old != 0 {
		l.backlogs.drop(old)
	}
}

// keepBuffer keeps a buffer of src's bytes that dst has not taken, where nothing
// is kept.
func (l *loop) keepBuffer(t *slot, d *loopDirection, waiting []byte, messages int64) {
	var one *backlog
	d.backlog, one = l.backlogs.add(nil, nil)
	putBuffer(one.buf)
	*one = backlog{buf: waiting, walked: len(waiting), messages: messages}
	t.state(d).setWaiting(true)
}

// hold keeps bytes that are not to be walked yet, behind what is kept already.
func (l *loop) hold(d *loopDirection, rest []byte) {
	if len(rest) == 0 {
		return
	}
	if d.backlog == 0 {
		d.backlog, _ = l.backlogs.add(nil, rest)
		return
	}
	one := l.backlogs.at(d.backlog)
	if len(one.buf)+len(rest) > cap(one.buf) {
		grown := append(getBuffer(len(one.buf)+len(rest)), one.buf...)
		putBuffer(one.buf)
		one.buf = grown
	}
	one.buf = append(one.buf, rest...)
}

// held is what is kept of src's bytes and not walked.
func (l *loop) held(d *loopDirection) []byte {
	if d.backlog == 0 {
		return nil
	}
	return l.backlogs.rest(d.backlog)
}

// dropBacklog forgets all that is kept.
func (l *loop) dropBacklog(t *slot, d *loopDirection) {
	if d.backlog != 0 {
		l.backlogs.drop(d.backlog)
		d.backlog = 0
	}
	t.state(d).setWaiting(false)
}
