//go:build !linux

package tunnel

// What the package does on systems without event loops.

import "net"

// New returns the best engine for this system: the portable one.
func New() Engine { return Portable() }

// Listen listens on a TCP address.
func Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// Under returns what to lay beneath crypto/tls: here, c itself.
func Under(c net.Conn) net.Conn { return c }

// Descriptor is a connection that has left net: here, none ever does.
type Descriptor struct{}

// Detach returns false: there are no event loops to give a connection to.
func Detach(net.Conn) (Descriptor, bool) { return Descriptor{}, false }

// Conn is never called.
func (Descriptor) Conn() (net.Conn, error) { return nil, net.ErrClosed }

func bare(c net.Conn) net.Conn { return c }

// hangupOf: poll(2) tells of an end of file behind unread bytes on Linux only.
func hangupOf(net.Conn) hangup { return nil }

// Unsent is not known here.
func Unsent(net.Conn) int { return -1 }

// Gone is not known here before the end of file is read.
func Gone(net.Conn, bool) bool { return false }
