//go:build !linux

package tunnel

import "net"

// Unsent is not known here.
func Unsent(net.Conn) int { return -1 }
