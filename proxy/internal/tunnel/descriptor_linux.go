package tunnel

// Descriptors, read and written without waiting. They are non-blocking, so Go's
// scheduler need not hear of these calls.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readFD reads once from a socket: EAGAIN if there is nothing. (On a socket, recv
// is a fiftieth cheaper than read for small messages, there and back.)
func readFD(fd int32, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}

// writeFD writes as much of p as is taken. It goes on until EAGAIN, and not just
// to a short write, since only EAGAIN promises that epoll will tell of room. That
// is no error: less than len(p) and 0 says it.
func writeFD(fd int32, p []byte) (written int, errno syscall.Errno) {
	for written < len(p) {
		rest := p[written:]
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(rest))),
			uintptr(len(rest)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			written += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return written, 0
		default:
			return written, errno
		}
	}
	return written, 0
}
