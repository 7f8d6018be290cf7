package tunnel

import (
	"net"

	"golang.org/x/sys/unix"
)

// Unsent returns how many bytes that were written to c its peer has not acknowledged;
// -1 if that is not known. Of a TLS connection it is asked of the connection beneath.
func Unsent(c net.Conn) int {
	raw := rawOf(lowest(c))
	if raw == nil {
		return -1
	}
	n := -1
	_ = raw.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err == nil {
			n = queued
		}
	})
	return n
}

// Gone reports whether c's peer has reset it; with half, also whether it has sent its
// end of file, whatever is still to be read in front of that.
func Gone(c net.Conn, half bool) bool {
	raw := rawOf(lowest(c))
	if raw == nil {
		return false
	}
	set := []unix.PollFd{{}}
	if half {
		set[0].Events = unix.POLLRDHUP
	}
	err := raw.Control(func(fd uintptr) {
		set[0].Fd = int32(fd)
		if _, err := unix.Poll(set, 0); err != nil {
			set[0].Revents = 0
		}
	})
	return err != nil || set[0].Revents != 0 // an error: it is closed here
}

// lowest is the connection at the bottom of c.
func lowest(c net.Conn) net.Conn {
	for {
		covered, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = covered.NetConn()
	}
}
