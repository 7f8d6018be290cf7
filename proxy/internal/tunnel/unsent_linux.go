package tunnel

import (
	"net"

	"golang.org/x/sys/unix"
)

// Unsent returns how many bytes that were written to c its peer has not acknowledged;
// -1 if that is not known. Of a TLS connection it is asked of the connection beneath.
func Unsent(c net.Conn) int {
	for {
		covered, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = covered.NetConn()
	}
	raw := rawOf(c)
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
