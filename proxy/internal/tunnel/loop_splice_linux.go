package tunnel

// Splicing: inside a frame that is large the payload goes from socket to socket
// through a pipe of the loop's, without being copied into the process. The pipe
// is empty between two uses: what dst does not take is read back out of it, and
// kept like any other bytes.
//
// For less than spliceMin it does not pay: two calls where a read and a write
// would do, and pages that are handed over one by one.

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const (
	spliceMin = 64 << 10
	// spliceMax is what is moved at once, which is what may have to be read back
	// when dst takes none of it.
	spliceMax = 256 << 10
	pipeSize  = 1 << 20
)

// pipe is a loop's; its zero value is not open yet.
type pipe struct {
	r, w int32
	none bool // it could not be opened
}

// openPipe opens the loop's pipe at its first use, and reports whether there is one.
func (l *loop) openPipe() bool {
	if l.pipe.w != 0 || l.pipe.none {
		return !l.pipe.none
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		l.pipe.none = true // copying works without descriptors
		return false
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // a smaller one does too
	l.pipe = pipe{r: int32(fds[0]), w: int32(fds[1])}
	runtime.AddCleanup(l, closeDescriptors, fds)
	return true
}

// unseen is how many of the bytes that come next may pass without being looked
// at: 0, or more than it pays to copy.
func (l *loop) unseen(t *slot, d *loopDirection) int64 {
	switch {
	case t.hasTLS || t.state(d).write.discards() || t.state(d).pending != 0 || d.backlog != 0:
		return 0
	case t.state(d).opaque:
		if !d.full {
			return 0
		}
		return spliceMax
	}
	if left := d.walker.Remaining(); left >= spliceMin {
		return min(left, spliceMax)
	}
	return 0
}

// spliceOnce moves up to most bytes. Unlike a read, it says nothing about the
// socket by moving less: only EAGAIN does.
func (l *loop) spliceOnce(t *slot, d *loopDirection, most int64) {
	n, errno := splice(d.fd, l.pipe.w, most)
	switch {
	case errno == unix.EAGAIN:
		d.readable, d.full = false, false
	case errno == unix.EINVAL: // a socket that cannot
		l.readOnce(t, d)
	case errno != 0:
		l.ended(t, d, false)
	case n == 0:
		l.ended(t, d, true)
	default:
		t.state(d).heard = time.Duration(l.now)
		l.spliceOut(t, d, n)
	}
}

// spliceOut gives dst the n bytes in the pipe, and keeps what it does not take.
func (l *loop) spliceOut(t *slot, d *loopDirection, n int64) {
	var messages int64
	if d.walker.Remaining() > 0 {
		if ev := d.walker.Skip(n); ev.Step == wsproto.StepMessage {
			messages = 1
			l.messageEnds(t, d, ev.Size)
		}
	}
	t.state(d).data = time.Duration(l.now)
	left := n
	var errno syscall.Errno
	for left > 0 && errno == 0 {
		var m int64
		m, errno = splice(l.pipe.r, t.other(d).fd, left)
		left -= m
	}
	l.count(t, d, int(n-left))
	if errno != 0 && errno != unix.EAGAIN {
		l.writeFailed(t, d)
	}
	switch {
	case left > 0:
		l.spliceBack(t, d, left, messages)
	case !t.state(d).write.discards():
		l.countMessages(t, d, messages)
	}
}

// spliceBack empties the pipe into what is kept; for a dst that has gone, into
// nothing.
func (l *loop) spliceBack(t *slot, d *loopDirection, left int64, messages int64) {
	back := getBuffer(int(left))[:left]
	for rest := back; len(rest) > 0; {
		n, err := unix.Read(int(l.pipe.r), rest) // does not wait, nor is interrupted: they are there
		if n <= 0 {
			panic(fmt.Sprintf("tunnel: %d, %v from a pipe where bytes were left", n, err))
		}
		rest = rest[n:]
	}
	if t.state(d).write.discards() {
		putBuffer(back)
		return
	}
	l.keepBuffer(t, d, back, messages)
}

// splice moves bytes between a socket and a pipe: EAGAIN if there are none, or no
// room.
func splice(from, to int32, most int64) (int64, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0,
			uintptr(most), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch errno {
		case 0:
			return int64(n), 0
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}
