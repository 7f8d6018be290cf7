package proxy

// Who is asking: the peer's address, or the one that trusted proxies report.

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// trust is the set of networks whose X-Forwarded-* is believed.
type trust []netip.Prefix

func (t trust) contains(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client behind peer: peer itself unless it
// is trusted, then the last address in X-Forwarded-For that is not. An entry
// that is no address ends the walk, since nothing to the left of it can be
// believed.
func (t trust) client(peer netip.Addr, h http.Header) netip.Addr {
	if !t.contains(peer) {
		return peer
	}
	client := peer
	lines := h["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for rest != "" {
			comma := strings.LastIndexByte(rest, ',')
			a, ok := forwardedAddr(rest[comma+1:])
			if !ok {
				return client
			}
			client = a
			if !t.contains(a) {
				return client
			}
			rest = rest[:max(comma, 0)]
		}
	}
	return client
}

// forwardedAddr reads one element of X-Forwarded-For: an address, by some
// proxies with a port.
func forwardedAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// peerAddr reads http.Request.RemoteAddr. The peer of a unix socket has no
// address: the zero Addr, which is in no network.
func peerAddr(remote string) netip.AddrPort {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.AddrPort{}
	}
	return plainAddr(ap)
}

// connAddr is peerAddr of a connection.
func connAddr(conn net.Conn) netip.AddrPort {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return plainAddr(tcp.AddrPort())
}

func plainAddr(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
