package tunnel

// What the kernel may hold of a tunnel whose reader has stopped: bytes that cannot
// be sent on one side, and on the other those that its sender sends and that are
// not read. Both buffers grow with what is moved, the second to tcp_rmem's maximum,
// 6 MiB on most systems and more on some.
//
// A receive buffer that is full already cannot be taken back, nor can a window
// that has been announced. TCP_WINDOW_CLAMP bounds nothing: growing buffers take
// it along. So growth is stopped in time, once, and never has to be allowed again:
// what is left is enough for a megabyte on its way.

import "golang.org/x/sys/unix"

const (
	// maxUnsent is how many bytes the kernel takes of a connection that it cannot
	// send yet.
	maxUnsent = 128 << 10
	// maxReceive is how large a receive buffer may become, as the kernel counts:
	// about twice the bytes in it.
	maxReceive = 2 << 20
	// lookEvery is how many bytes pass between two looks at a buffer that grows. One
	// that has not had as many at once is smaller.
	lookEvery = 256 << 10

	soBufLock     = 72 // SO_BUF_LOCK, since Linux 5.15: which buffers keep their size
	lockedReceive = 2  // SOCK_RCVBUF_LOCK
)

// boundUnsent bounds what waits to be sent. It fails on what is not TCP, which
// has small buffers anyway.
func boundUnsent(fd int32) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
}

// boundReceive stops a receive buffer's growth, if it is half as large as it may
// be, and reports whether it did. One that has grown beyond is made smaller, to
// what net.core.rmem_max allows at least.
func boundReceive(fd int32) bool {
	size, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil || size < maxReceive/2 {
		return false
	}
	if size <= maxReceive && unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, soBufLock, lockedReceive) == nil {
		return true
	}
	// The kernel doubles what it is told.
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, maxReceive/2) == nil
}
