//go:build !linux

package handler

import (
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/internal/listen"
)

// ServeOnLoop implements listen.Handler: there are no event loops.
func (*Handler) ServeOnLoop(*listen.Socket, int, netip.AddrPort) bool { return false }
