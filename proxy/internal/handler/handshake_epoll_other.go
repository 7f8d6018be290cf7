//go:build !linux

package handler

import (
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// ServeOnLoop implements listen.Handler: there are no event loops.
func (*Handler) ServeOnLoop(*listen.Socket, listen.PendingConn, tunnel.Descriptor, netip.AddrPort) bool {
	return false
}
