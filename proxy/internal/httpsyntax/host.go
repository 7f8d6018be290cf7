package httpsyntax

// Hosts and ports (RFC 3986 section 3.2), as far as DNS and certificates know them.

import (
	"errors"
	"fmt"
	"net/netip"
	"unicode/utf8"
)

// CutPort cuts host[:port] at the last colon outside of brackets.
func CutPort[T Text](authority T) (host, port T, found bool) {
	for i := len(authority) - 1; i >= 0 && authority[i] != ']'; i-- {
		if authority[i] == ':' {
			return authority[:i], authority[i+1:], true
		}
	}
	return authority, authority[:0], false
}

// IsPort reports whether s is a number from 1 to 65535, of at most five digits.
func IsPort[T Text](s T) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || len(s) > 5 {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n > 0 && n <= 65535
}

// CheckHost accepts a name, see CheckHostName, an IPv4 address, or an IPv6 address in
// brackets, without a zone.
func CheckHost[T Text](host T) error {
	if len(host) > 0 && host[0] == '[' {
		_, err := ParseIPv6(host)
		return err
	}
	return CheckHostName(host)
}

// ParseIPv6 reads an address in brackets.
func ParseIPv6[T Text](host T) (netip.Addr, error) {
	if last := len(host) - 1; last > 0 && host[0] == '[' && host[last] == ']' {
		if addr, err := netip.ParseAddr(string(host[1:last])); err == nil && addr.Is6() && addr.Zone() == "" {
			return addr, nil
		}
	}
	return netip.Addr{}, errors.New("wanted an IPv6 address in brackets, without a zone")
}

// CheckHostName accepts letters, digits, "-" and "_" in labels of at most 63 bytes, 253
// in all (RFC 1035 section 2.3.4), with a dot at the end or without: what name
// resolution accepts. RFC 1123 has no underscores, but containers and service discovery do.
func CheckHostName[T Text](name T) error {
	if len(name) == 0 {
		return errors.New("empty host")
	}
	if len(name) > 254 || len(name) == 254 && name[253] != '.' {
		return errors.New("host longer than 253 characters")
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.' && label == 0:
			return errors.New("empty label in the host")
		case c == '.':
			label = 0
		case c >= utf8.RuneSelf:
			r, _ := utf8.DecodeRuneInString(string(name[i:]))
			return fmt.Errorf("%q is not allowed in a host: write an internationalised name as xn--", r)
		case !IsAlphanumeric(c) && c != '-' && c != '_':
			return fmt.Errorf("%q is not allowed in a host: wanted letters, digits, \"-\" and \".\"", c)
		default:
			if label++; label > 63 {
				return errors.New("label longer than 63 characters in the host")
			}
		}
	}
	return nil
}
