//go:build !linux

package proxy

import (
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
)

// ServeOnLoop implements listen.Handler: there are no event loops.
func (*handler) ServeOnLoop(*listen.Socket, int, netip.AddrPort) bool { return false }
