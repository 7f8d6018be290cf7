//go:build !linux

package tunnel

import "net"

// Under returns what to lay beneath crypto/tls: here, c itself.
func Under(c net.Conn) net.Conn { return c }
