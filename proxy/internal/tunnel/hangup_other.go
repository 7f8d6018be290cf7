//go:build !linux

package tunnel

import "net"

// hangupOf: poll(2) tells of an end of file behind unread bytes on Linux only.
func hangupOf(net.Conn) hangup { return nil }

func bare(c net.Conn) net.Conn { return c }
