//go:build unix

package tunnel

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawOf is how to reach the descriptor of a connection that is nothing but a socket;
// nil for any other, and for one that is closed.
func rawOf(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}

// newReader returns the reader that suits c. Only the two types themselves are
// read by their descriptor: what wraps one may change its bytes.
func newReader(c net.Conn) reader {
	raw := rawOf(c)
	if raw == nil {
		return newPlainReader(c)
	}
	r := &lazyReader{raw: raw}
	r.attempt = r.tryRead
	return r
}

// lazyReader holds no buffer while it waits: it takes one for each attempt to
// read, and gives it back before it parks.
type lazyReader struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // tryRead, bound once
	held    []byte
	buf     *[bufferSize]byte
	n       int
	err     error
}

func (r *lazyReader) read(held []byte) ([]byte, int, error) {
	r.held, r.n, r.err = held, len(held), nil
	if err := r.raw.Read(r.attempt); err != nil {
		return nil, r.n, err
	}
	return r.buf[:], r.n, r.err
}

// tryRead reads once without blocking, and reports whether that was an answer.
func (r *lazyReader) tryRead(fd uintptr) bool {
	r.buf = buffers.Get().(*[bufferSize]byte)
	n, err := readNonblock(int(fd), r.buf[copy(r.buf[:], r.held):])
	if err == syscall.EAGAIN {
		r.release()
		return false
	}
	switch {
	case err != nil:
		r.err = os.NewSyscallError("read", err)
	case n == 0:
		r.err = io.EOF
	default:
		r.n += n
	}
	return true
}

func readNonblock(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func (r *lazyReader) release() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}
