package tunnel

// TLS without a goroutine: crypto/tls is given a connection whose Read says "not
// now" instead of waiting. An error that is a temporary net.Error leaves a
// *tls.Conn as it was, halves of records included (crypto/tls, readRecordOrCCS),
// so it is read again when epoll says so. There is no such way out of Write, since
// a record that was begun must be finished: what the socket does not take is kept
// behind the connection, and counts as bytes that the peer does not take.

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Under returns what to lay beneath crypto/tls, as in
//
//	tls.Server(tunnel.Under(conn), config)
//
// so that a tunnel over the *tls.Conn costs no goroutine. Until a tunnel takes it
// over it does what c does. What is not a bare TCP or Unix connection is
// returned as it is.
func Under(c net.Conn) net.Conn {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return &nonblockingConn{Conn: c}
	}
	return c
}

// nonblockingConn is any net.Conn's equal until a loop takes it over; then its calls do
// not wait, and only the loop makes them.
type nonblockingConn struct {
	net.Conn
	taken   bool
	dry     bool // a read was short: there is nothing until epoll says so
	hup     bool // never dry: the end of file is to be read
	fd      int32
	backlog []byte // records that the socket has not taken; nil while it takes all
	owed    int    // how much of that answers what was read, at most
	failed  bool   // the socket takes nothing any more
}

// NetConn is the connection that it covers.
func (u *nonblockingConn) NetConn() net.Conn { return u.Conn }

// again is what Read says instead of waiting.
type again struct{}

func (again) Error() string   { return "not readable now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{}

// CloseWrite half-closes the connection that has not been taken over.
func (u *nonblockingConn) CloseWrite() error {
	return u.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// SetWriteDeadline: crypto/tls sets one for its last alert; a loop never waits.
func (u *nonblockingConn) SetWriteDeadline(t time.Time) error {
	if u.taken {
		return nil
	}
	return u.Conn.SetWriteDeadline(t)
}

func (u *nonblockingConn) Read(p []byte) (int, error) {
	if !u.taken {
		return u.Conn.Read(p)
	}
	if u.dry {
		return 0, errAgain
	}
	n, errno := readFD(u.fd, p)
	switch {
	case errno == unix.EAGAIN:
		u.dry = !u.hup
		return 0, errAgain
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	u.dry = n < len(p) && !u.hup
	return n, nil
}

// Write takes all of p, or fails.
func (u *nonblockingConn) Write(p []byte) (n int, err error) {
	if !u.taken {
		return u.Conn.Write(p)
	}
	if u.failed {
		return 0, os.NewSyscallError("write", unix.EPIPE)
	}
	if len(u.backlog) == 0 {
		m, errno := writeFD(u.fd, p)
		if errno != 0 {
			u.fail()
			return m, os.NewSyscallError("write", errno)
		}
		n = m
	}
	u.backlog = append(u.backlog, p[n:]...)
	return len(p), nil
}

// flush writes what has been kept. It returns how much of it the socket took, and
// whether it did not fail.
func (u *nonblockingConn) flush() (n int, ok bool) {
	n, errno := writeFD(u.fd, u.backlog)
	if errno != 0 {
		u.fail()
		return n, false
	}
	u.backlog = u.backlog[:copy(u.backlog, u.backlog[n:])]
	u.owed = min(u.owed, len(u.backlog))
	if len(u.backlog) == 0 {
		u.backlog = nil
	}
	return n, true
}

// fail forgets what has been kept: a backlog that can never be flushed would
// keep the side waiting for room for ever.
func (u *nonblockingConn) fail() { u.failed, u.backlog, u.owed = true, nil, 0 }

// tlsConns are the TLS connections of a tunnel's sides; nil where there is none.
type tlsConns [2]*tlsSide

type tlsSide struct {
	conn *tls.Conn
	raw  *nonblockingConn
}

// tlsSideOf returns c as a side, if c is a TLS connection that a loop can read.
func tlsSideOf(c net.Conn) *tlsSide {
	conn, ok := c.(*tls.Conn)
	if !ok || !conn.ConnectionState().HandshakeComplete {
		return nil
	}
	u, ok := conn.NetConn().(*nonblockingConn)
	if !ok || u.taken {
		return nil
	}
	return &tlsSide{conn: conn, raw: u}
}

// side is the TLS connection that d comes from; nil if it is plain.
func (l *loop) side(t *slot, d *loopDirection) *tlsSide {
	if !t.hasTLS {
		return nil
	}
	return l.slab.ref(t).tls[d.index]
}

// decrypt reads decrypted bytes, with the meaning of readFD: 0 and no error is the
// end of file that was announced. (An end of file that was not is an error: it may
// be somebody else's than the peer's.)
func (l *loop) decrypt(t *slot, d *loopDirection, s *tlsSide, p []byte) (int, syscall.Errno) {
	s.raw.hup = d.hup
	n, errno := s.read(p)
	s.note(t, t.other(d))
	return n, errno
}

// read reads decrypted bytes, with the meaning of readFD.
func (s *tlsSide) read(p []byte) (int, syscall.Errno) {
	waited := len(s.raw.backlog)
	n, err := s.conn.Read(p)
	s.raw.owed += max(0, len(s.raw.backlog)-waited) // reading may answer: a new key, an alert
	switch {
	case n > 0:
		return n, 0
	case err == errAgain:
		return 0, unix.EAGAIN
	case err == io.EOF:
		return 0, 0
	}
	return 0, unix.EPROTO
}

// note notes what waits behind the side, which d goes to: bytes of all kinds, and how
// many of them answer what was read from it.
func (s *tlsSide) note(t *slot, d *loopDirection) {
	if len(s.raw.backlog) > 0 {
		t.state(d).setWaiting(true)
	}
	t.setOwed(int(t.other(d).index), s.raw.owed)
}

// encrypt writes p encrypted, with the meaning of writeFD: all is taken, and waits if that
// was more than the socket took.
func (l *loop) encrypt(t *slot, d *loopDirection, s *tlsSide, p []byte) (int, syscall.Errno) {
	n, err := s.conn.Write(p)
	s.note(t, d)
	if err != nil {
		return n, unix.EPROTO
	}
	return n, 0
}
