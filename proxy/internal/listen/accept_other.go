//go:build !linux

package listen

import "net"

// fdAcceptor is never made: without event loops every connection is net/http's.
type fdAcceptor struct{}

func newFDAcceptor(net.Listener) *fdAcceptor { return nil }

func (*fdAcceptor) close() {}

func (*Socket) acceptOnLoop() (done bool, err error) { return false, nil }
