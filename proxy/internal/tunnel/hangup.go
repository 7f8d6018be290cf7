package tunnel

// Hanging up: the system knows that a peer has gone before its last bytes have been read.
// What would be sent to it from then on is lost, and is better kept for another.

import (
	"crypto/tls"
	"net"
)

// hangup tells whether a connection's peer has hung up: its end of file or reset is here,
// whatever is still to be read in front of it. One goroutine at a time. nil where that
// cannot be told.
type hangup interface{ peerHungUp() bool }

// newHangup listens to what is beneath c: the end of a TLS connection that says so
// first is followed by that of its connection.
func newHangup(c net.Conn) hangup {
	if t, ok := c.(*tls.Conn); ok {
		c = bare(t.NetConn())
	}
	return hangupOf(c)
}
