package match

// One normal form for hosts: what a request's authority and a rule's host are
// both brought to.

import (
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// NormalizeHost returns the host of hostport (RFC 9110, section 7.2) as
// Request.Host wants it: lower case, without the port and without one trailing
// dot; an IPv6 address in brackets, in its canonical text (RFC 5952). "" stays
// "". Nothing is allocated unless the host itself changes. Errors, which a proxy
// answers with 400: userinfo, an escape or any byte that no host name has, an
// empty label, a bad port, an IPv6 address without brackets or with a zone.
func NormalizeHost(hostport string) (host string, err error) {
	if hostport == "" {
		return "", nil
	}
	host, err = cutPort(hostport)
	if err == nil {
		host, err = canonicalHost(host)
	}
	if err != nil {
		return "", fmt.Errorf("host %q: %w", hostport, err)
	}
	return host, nil
}

// cutPort returns hostport without its port, which may be empty (RFC 3986,
// section 3.2.3).
func cutPort(hostport string) (string, error) {
	host, port, _ := httpsyntax.CutPort(hostport)
	if port != "" && !httpsyntax.IsPort(port) {
		return "", fmt.Errorf("port %q: wanted a number from 1 to 65535", port)
	}
	return host, nil
}

// canonicalHost is NormalizeHost after the port is gone.
func canonicalHost(host string) (string, error) {
	if strings.HasPrefix(host, "[") {
		return canonicalIPv6(host)
	}
	if err := httpsyntax.CheckHostName(host); err != nil {
		return "", err
	}
	return httpsyntax.Lower(strings.TrimSuffix(host, ".")), nil // returns host itself when nothing changes
}

func canonicalIPv6(host string) (string, error) {
	addr, err := httpsyntax.ParseIPv6(host)
	if err != nil {
		return "", err
	}
	var buf [48]byte
	if text := addr.AppendTo(buf[:0]); string(text) == host[1:len(host)-1] {
		return host, nil
	}
	return "[" + addr.String() + "]", nil
}
