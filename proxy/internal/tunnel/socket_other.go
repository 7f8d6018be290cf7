//go:build !linux

package tunnel

import "net"

// Listen listens on a TCP address.
func Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }
