package tunnel

// Connections as mere descriptors: out of net and back, and read and written without
// waiting. They are non-blocking, so Go's scheduler need not hear of these calls.

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Descriptor is a connection that has left Go's net and its poller. Its owner calls one of
// Conn, Close and Loop.Watch, once.
type Descriptor struct {
	fd  int32
	tls *tlsSide // nil: plain
}

// Detach takes a connection out of net: a bare *net.TCPConn or *net.UnixConn, or a
// *tls.Conn over what Under returned. If it returns false, it has done nothing.
func Detach(c net.Conn) (Descriptor, bool) {
	side := tlsSideOf(c)
	if side != nil {
		c = side.raw.Conn
	}
	fd, ok := duplicate(c)
	if ok {
		c.Close()
	} else if raw := rawOf(c); raw != nil { // perhaps there is no descriptor left
		reserve.lend(func() {
			if fd, ok = duplicate(c); ok {
				c.Close()
			}
		})
	}
	if !ok {
		return Descriptor{}, false
	}
	if side != nil {
		side.raw.taken, side.raw.fd = true, fd
	}
	return Descriptor{fd, side}, true
}

// TLS is the state of the connection's TLS; nil if it is plain.
func (d Descriptor) TLS() *tls.ConnectionState {
	if d.tls == nil {
		return nil
	}
	state := d.tls.conn.ConnectionState()
	return &state
}

// Close closes the connection.
func (d Descriptor) Close() { unix.Close(int(d.fd)) }

// Conn makes it a connection of net again; if there is an error, it is closed. That
// takes a second descriptor for a moment: should there be none left, the reserve is one.
func (d Descriptor) Conn() (net.Conn, error) {
	f := os.NewFile(uintptr(d.fd), "")
	conn, err := net.FileConn(f)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		reserve.lend(func() {
			conn, err = net.FileConn(f)
			f.Close()
		})
	} else {
		f.Close()
	}
	if err != nil || d.tls == nil {
		return conn, err
	}
	d.tls.raw.Conn, d.tls.raw.taken = conn, false
	return d.tls.conn, nil
}

// reserve is a descriptor that is kept for Conn and Detach: a client that was let in is
// not to be sent away because of how it is served.
var reserve spareDescriptor

type spareDescriptor struct {
	mu   sync.Mutex
	file *os.File // nil: there was none to be had
}

// keep opens it, if it is not open.
func (s *spareDescriptor) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLocked()
}

func (s *spareDescriptor) keepLocked() {
	if s.file == nil {
		s.file, _ = os.Open(os.DevNull)
	}
}

// lend gives it up for as long as f runs, which frees as many descriptors as it takes.
func (s *spareDescriptor) lend(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	f()
	s.keepLocked()
}

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
