package tunnel

// Keeping: bytes that a loop has read and cannot pass on now. Of a stalled
// tunnel that is what one read brought, at most; of others nothing, but for the
// beginning of a header or control frame now and then.

import "sync"

// kept is a lane's bytes. buf[off:walked] have been walked, and wait for dst to
// take them; buf[walked:] have not, and wait for those, or for the rest of their
// header.
type kept struct {
	buf         []byte
	off, walked int
	messages    int64 // that end in buf[off:walked]
	own         bool  // buf[off:walked] is a frame of the proxy's
}

// keeper holds what a loop's lanes keep, by number; 0 is nothing. Its zero value
// is empty.
type keeper struct {
	all  []*kept
	free []uint32
}

func (k *keeper) at(i uint32) *kept { return k.all[i-1] }

// add keeps waiting bytes with rest behind them.
func (k *keeper) add(waiting, rest []byte) (uint32, *kept) {
	if len(k.free) == 0 {
		k.all = append(k.all, new(kept))
		k.free = append(k.free, uint32(len(k.all)))
	}
	i := k.free[len(k.free)-1]
	k.free = k.free[:len(k.free)-1]
	one := k.at(i)
	buf := getBuffer(len(waiting) + len(rest))
	*one = kept{buf: append(append(buf, waiting...), rest...), walked: len(waiting)}
	return i, one
}

// rest is what is kept under a number and not walked.
func (k *keeper) rest(i uint32) []byte {
	one := k.at(i)
	return one.buf[one.walked:]
}

// drop forgets what is kept under a number.
func (k *keeper) drop(i uint32) {
	one := k.at(i)
	putBuffer(one.buf)
	*one = kept{}
	k.free = append(k.free, i)
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

// keep keeps bytes of src's, or a frame of ours, that dst has not taken: w is
// blocked from here on. What was held goes behind.
func (l *loop) keep(w *lane, waiting []byte, messages int64, own bool) {
	var one *kept
	old := w.kept
	w.kept, one = l.keeper.add(waiting, l.held(w))
	one.messages, one.own = messages, own
	w.blocked = true
	if old != 0 {
		l.keeper.drop(old)
	}
}

// keepBuffer keeps a buffer of src's bytes that dst has not taken, where nothing
// is kept.
func (l *loop) keepBuffer(w *lane, waiting []byte, messages int64) {
	var one *kept
	w.kept, one = l.keeper.add(nil, nil)
	putBuffer(one.buf)
	*one = kept{buf: waiting, walked: len(waiting), messages: messages}
	w.blocked = true
}

// hold keeps bytes that are not to be walked yet, behind what is kept already.
func (l *loop) hold(w *lane, rest []byte) {
	if len(rest) == 0 {
		return
	}
	if w.kept == 0 {
		w.kept, _ = l.keeper.add(nil, rest)
		return
	}
	one := l.keeper.at(w.kept)
	if len(one.buf)+len(rest) > cap(one.buf) {
		grown := append(getBuffer(len(one.buf)+len(rest)), one.buf...)
		putBuffer(one.buf)
		one.buf = grown
	}
	one.buf = append(one.buf, rest...)
}

// held is what is kept of src's bytes and not walked.
func (l *loop) held(w *lane) []byte {
	if w.kept == 0 {
		return nil
	}
	return l.keeper.rest(w.kept)
}

// unkeep forgets all that is kept.
func (l *loop) unkeep(w *lane) {
	if w.kept != 0 {
		l.keeper.drop(w.kept)
		w.kept = 0
	}
	w.blocked = false
}
