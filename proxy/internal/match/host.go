package match

// One normal form for hosts: what a request's authority and a rule's host are
// both brought to.

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
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
	colon := strings.LastIndexByte(hostport, ':')
	if colon < strings.LastIndexByte(hostport, ']') || colon < 0 {
		return hostport, nil
	}
	port := hostport[colon+1:]
	number := 0
	for i := 0; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return "", fmt.Errorf("port %q: want digits", port)
		}
		if number = number*10 + int(port[i]-'0'); number > 65535 {
			return "", fmt.Errorf("port %q: want at most 65535", port)
		}
	}
	return hostport[:colon], nil
}

// canonicalHost is NormalizeHost after the port is gone.
func canonicalHost(host string) (string, error) {
	if strings.HasPrefix(host, "[") {
		return canonicalIPv6(host)
	}
	host = strings.TrimSuffix(host, ".")
	if err := checkHostName(host); err != nil {
		return "", err
	}
	return strings.ToLower(host), nil // returns host itself when nothing changes
}

func canonicalIPv6(host string) (string, error) {
	if !strings.HasSuffix(host, "]") {
		return "", errors.New("want an IPv6 address in brackets")
	}
	addr, err := netip.ParseAddr(host[1 : len(host)-1])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", errors.New("want an IPv6 address in brackets, without a zone")
	}
	var buf [48]byte
	if text := addr.AppendTo(buf[:0]); string(text) == host[1:len(host)-1] {
		return host, nil
	}
	return "[" + addr.String() + "]", nil
}

// checkHostName accepts what name resolution accepts in practice: letters,
// digits, "-" and "_" in non-empty labels of at most 63 bytes, 253 in all (RFC
// 1035, section 2.3.4). Underscores are no part of RFC 1123 but of many a
// container's name.
func checkHostName(host string) error {
	if len(host) > 253 {
		return fmt.Errorf("%d bytes: want at most 253", len(host))
	}
	label := 0
	for i := 0; i < len(host); i++ {
		switch b := host[i]; {
		case b == '.':
			if label == 0 {
				return errors.New("empty label")
			}
			label = 0
			continue
		case b >= 0x80:
			return errors.New("want ASCII; write an internationalised name as xn--")
		case !isAlphanumeric(b) && b != '-' && b != '_':
			return fmt.Errorf("%q: want letters, digits, -, _ and dots", host[i:i+1])
		}
		if label++; label > 63 {
			return errors.New("want labels of at most 63 bytes")
		}
	}
	if label == 0 {
		return errors.New("empty label")
	}
	return nil
}
