package main

// A plaintext tunnel as a bare descriptor.

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// raw is a plaintext tunnel outside Go's poller. Read and Write wait, and give up
// after patience.
type raw struct{ fd int }

func newRaw(conn *net.TCPConn) (*raw, error) {
	fd, err := detach(conn)
	if err != nil {
		return nil, err
	}
	wait := syscall.NsecToTimeval(patience.Nanoseconds())
	err = errors.Join(syscall.SetNonblock(fd, false),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &wait))
	return &raw{fd}, err
}

func (r *raw) Read(b []byte) (int, error) {
	n, err := syscall.Read(r.fd, b)
	for err == syscall.EINTR { // a wait with a time limit is not taken up again
		n, err = syscall.Read(r.fd, b)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (r *raw) Write(b []byte) (n int, err error) {
	for n < len(b) && (err == nil || err == syscall.EINTR) {
		var m int
		m, err = syscall.Write(r.fd, b[n:])
		n += max(m, 0)
	}
	return n, err
}

// Close resets the connection: no TIME_WAIT, as ports are few.
func (r *raw) Close() error { return closeNow(r.fd) }

func closeNow(fd int) error {
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	return syscall.Close(fd)
}

// detach takes a connection out of Go's poller: the descriptor is the caller's,
// the net.Conn is closed.
func detach(conn *net.TCPConn) (fd int, err error) {
	defer conn.Close()
	control, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var errno syscall.Errno
	err = control.Control(func(old uintptr) {
		var n uintptr
		n, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(n)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return fd, err
}
