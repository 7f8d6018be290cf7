package handler

// The client of a request: the peer, or the address that trusted proxies report.

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/internal/routing"
)

// identify finds the client's address. The error is that trusted proxies contradict each
// other.
func (x *requestCtx) identify(trusted routing.Trusted) (err error) {
	x.trusted, x.client = trusted.Contains(x.peer.Addr()), x.peer.Addr()
	x.reported, err = trusted.Reported(x.client, x.r.Header)
	if len(x.reported.For) > 0 {
		x.client = x.reported.For[0]
	}
	return err
}

// checkClientStillAllowed refuses a request on a connection that the listener, as it
// is configured now, would not accept. The client may connect again (RFC 9110, section
// 15.5.20).
func (x *requestCtx) checkClientStillAllowed() *refusal {
	if l := x.table.Listener(x.listener); l == nil || l.Accepts(x.r.TLS) {
		return nil
	}
	rf := refuse(http.StatusMisdirectedRequest, "this listener's rules have changed; connect again", nil)
	rf.header = http.Header{"Connection": {"close"}}
	return rf
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

// clientText is a client in the log; one on a unix socket has no address.
func clientText(client netip.Addr) string {
	if !client.IsValid() {
		return "unix"
	}
	return client.String()
}
