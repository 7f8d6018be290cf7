package main

// A fixed rate, kept by a timer of the kernel's: epoll's own waits end on whole
// milliseconds only, and a sleeping goroutine wakes when the scheduler likes.

import (
	"syscall"
	"time"
	"unsafe"
)

// pace says which message is due, and wakes a poller. One goroutine at a time.
type pace struct {
	fd    int
	each  time.Duration
	began time.Time
	sent  int
}

func newPace(perSecond int) (*pace, error) {
	const monotonic = 1
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, errno
	}
	return &pace{fd: int(fd), each: time.Second / time.Duration(perSecond)}, nil
}

func (p *pace) start(poll *poller) error {
	p.began = time.Now()
	every := syscall.NsecToTimespec(p.each.Nanoseconds())
	spec := [2]syscall.Timespec{every, every} // the interval, and the first time
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(p.fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return poll.add(p.fd)
}

// due is when the next message should be sent.
func (p *pace) due() time.Time { return p.began.Add(time.Duration(p.sent) * p.each) }

// clear reads the timer, so that it is reported again.
func (p *pace) clear() {
	var count [8]byte
	_, _ = syscall.Read(p.fd, count[:])
}

func (p *pace) close() { syscall.Close(p.fd) }
