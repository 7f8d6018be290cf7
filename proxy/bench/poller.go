package main

// epoll without Go's own poller: a goroutine for each of a thousand connections
// would make the load dearer than the proxies that it measures.

import (
	"errors"
	"syscall"
	"time"
	"unsafe"
)

// poller reports which descriptors are ready. add may be called by any
// goroutine, the rest by one.
type poller struct {
	fd     int
	events [256]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { syscall.Close(p.fd) }

// add reports fd, by its own number, when it can be read or written: once for
// each change, so a reader that is told goes on until the kernel has no more.
func (p *poller) add(fd int) error {
	const edge = 1 << 31 // EPOLLET; syscall's own constant is negative
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edge, Fd: int32(fd)}
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &e)
}

// wait returns what is ready, at once or within the time. Valid until the next call.
func (p *poller) wait(atMost time.Duration) ([]syscall.EpollEvent, error) {
	n, err := syscall.EpollWait(p.fd, p.events[:], int(atMost.Milliseconds()))
	if errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return p.events[:max(n, 0)], err
}

// errAgain says that the kernel has nothing, or takes nothing, now.
var errAgain = syscall.EAGAIN

// receive and send never wait, whatever mode the descriptor is in. A stream's end
// is 0 bytes without an error.
func receive(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
	return result(n, errno)
}

func send(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
