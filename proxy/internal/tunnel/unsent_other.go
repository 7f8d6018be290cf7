//go:build !linux

package tunnel

import "net"

// Unsent is not known here.
func Unsent(net.Conn) int { return -1 }

// Gone is not known here before somebody reads.
func Gone(net.Conn, bool) bool { return false }
