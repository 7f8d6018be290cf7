//go:build !unix

package tunnel

// Where a descriptor cannot be read without waiting, every reader is plain.

import "net"

func newReader(c net.Conn) reader { return newPlainReader(c) }
