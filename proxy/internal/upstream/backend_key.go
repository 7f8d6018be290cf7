package upstream

// What identifies a backend, and how its key says to reach it.

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// BackendKey identifies one backend: two with equal keys are the same. It is
// comparable, to be a map's key.
type BackendKey struct {
	Pool      string // the pool's name, or the route's for a target written in place
	Scheme    string // ws, wss, http, https, unix+ws or unix+http
	Authority string // host[:port] in lower case; the socket's path for the unix schemes
}

// String is for logs and the admin API; never for a client.
func (id BackendKey) String() string { return id.Pool + " " + id.URL() }

// URL is String without the pool.
func (id BackendKey) URL() string {
	if id.unix() {
		return id.Scheme + ":" + id.Authority
	}
	return id.Scheme + "://" + id.Authority
}

// Host is what the Host header says by default: the authority, or localhost
// for a socket, which has no name of its own.
func (id BackendKey) Host() string {
	if id.unix() {
		return "localhost"
	}
	return id.Authority
}

// Secure says that TLS is spoken to the backend.
func (id BackendKey) Secure() bool { return id.Scheme == "wss" || id.Scheme == "https" }

func (id BackendKey) unix() bool { return strings.HasPrefix(id.Scheme, "unix+") }

// network and address are what net.Dial wants.
func (id BackendKey) network() string {
	if id.unix() {
		return "unix"
	}
	return "tcp"
}

func (id BackendKey) address() string {
	if id.unix() {
		return id.Authority
	}
	if host, port, err := net.SplitHostPort(id.Authority); err == nil && port != "" {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(id.hostname(), id.defaultPort())
}

// hostname is the authority without its port, an IPv6 address without brackets.
func (id BackendKey) hostname() string {
	host := strings.TrimSuffix(id.Authority, ":")
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// direct is the address of a backend that is reached over TCP without TLS and
// named by its address: there is nothing to resolve, and connecting is all there
// is to it.
func (id BackendKey) direct() (netip.AddrPort, bool) {
	if id.unix() || id.Secure() || id.Scheme == "internal" {
		return netip.AddrPort{}, false
	}
	host, port, err := net.SplitHostPort(id.address())
	if err != nil {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(host)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

func (id BackendKey) defaultPort() string {
	if id.Secure() {
		return "443"
	}
	return "80"
}
