package tunnel

// How the portable engine waits for bytes. Most tunnels are idle most of the time, so
// what matters is the memory that a waiting one holds.

import (
	"net"
	"sync"
)

const (
	bufferSize = 32 << 10
	// smallSize is the buffer that is held while waiting on a connection that cannot
	// tell when it is readable.
	smallSize = 2 << 10
)

// buffers are taken while bytes are being moved only.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// reader reads from one connection. One goroutine at a time.
type reader interface {
	// read waits for bytes and returns the first n of a buffer: the held ones, of
	// which there are fewer than smallSize, and what it has read behind them. It
	// returns bytes and the error that came after them together.
	read(held []byte) (buf []byte, n int, err error)
	// release ends the use of the buffer that read has returned.
	release()
}

// plainReader is a reader of any connection. It waits with a small buffer of
// its own, and with a large one while what it reads does not fit the small one.
type plainReader struct {
	conn  net.Conn
	small []byte
	large *[bufferSize]byte // nil while small will do
	n     int               // what the last read filled
}

func newPlainReader(c net.Conn) *plainReader {
	return &plainReader{conn: c, small: make([]byte, smallSize)}
}

func (r *plainReader) read(held []byte) ([]byte, int, error) {
	buf := r.small
	if r.large != nil {
		buf = r.large[:]
	}
	n := copy(buf, held)
	m, err := r.conn.Read(buf[n:])
	r.n = n + m
	return buf, r.n, err
}

// release takes the large buffer for the next read when this one has filled the
// small one, and gives it back after a read that would have fit.
func (r *plainReader) release() {
	switch {
	case r.large == nil && r.n == smallSize:
		r.large = buffers.Get().(*[bufferSize]byte)
	case r.large != nil && r.n < smallSize:
		buffers.Put(r.large)
		r.large = nil
	}
}
