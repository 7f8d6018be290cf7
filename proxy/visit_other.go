//go:build !linux

package proxy

import "net"

// visitors: without event loops every connection has a goroutine.
type visitors struct{}

func newVisitors(net.Listener) *visitors { return nil }

func (*visitors) close() {}

func (*socket) acceptVisit() (done bool, err error) { return false, nil }
