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
func (l *loop) unseen(t *slot, w *lane) int64 {
	switch {
	case t.sealed || w.mute || w.wants != 0 || w.kept != 0:
		return 0
	case !t.websocket || w.blind:
		if !w.full {
			return 0
		}
		return spliceMax
	}
	if left := w.walker.Remaining(); left >= spliceMin {
		return min(left, spliceMax)
	}
	return 0
}

// spliceOnce moves up to most bytes. Unlike a read, it says nothing about the
// socket by moving less: only EAGAIN does.
func (l *loop) spliceOnce(t *slot, w *lane, most int64) {
	n, errno := splice(w.fd, l.pipe.w, most)
	switch {
	case errno == unix.EAGAIN:
		w.readable, w.full = false, false
	case errno == unix.EINVAL: // a socket that cannot
		l.readOnce(t, w)
	case errno != 0:
		l.sourceEnded(t, w, false)
	case n == 0:
		l.sourceEnded(t, w, true)
	default:
		w.heard = l.now
		l.spliceOut(t, w, n)
	}
}

// spliceOut gives dst the n bytes in the pipe, and keeps what it does not take.
func (l *loop) spliceOut(t *slot, w *lane, n int64) {
	var messages int64
	if w.walker.Remaining() > 0 && w.walker.Skip(n).Step == wsproto.StepMessage {
		messages = 1
	}
	left := n
	var errno syscall.Errno
	for left > 0 && errno == 0 {
		var m int64
		m, errno = splice(l.pipe.r, t.other(w).fd, left)
		left -= m
	}
	l.count(t, w, int(n-left))
	if errno != 0 && errno != unix.EAGAIN {
		l.writeFailed(t, w)
	}
	switch {
	case left > 0:
		l.spliceBack(w, left, messages)
	case !w.mute:
		l.countMessages(t, w, messages)
	}
}

// spliceBack empties the pipe into what is kept; for a dst that has gone, into
// nothing.
func (l *loop) spliceBack(w *lane, left int64, messages int64) {
	back := getBuffer(int(left))[:left]
	for rest := back; len(rest) > 0; {
		n, err := unix.Read(int(l.pipe.r), rest) // does not wait, nor is interrupted: they are there
		if n <= 0 {
			panic(fmt.Sprintf("tunnel: %d, %v from a pipe where bytes were left", n, err))
		}
		rest = rest[n:]
	}
	if w.mute {
		putBuffer(back)
		return
	}
	l.keepBuffer(w, back, messages)
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
