package routefile

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Grammars that several keys share: names, tokens, hosts, networks, paths of files. Each
// function checks one text; its error says what was wanted.

// maxName limits the names of records, which appear in logs, metrics and URLs of the
// admin API.
const maxName = 128

// checkName is the grammar of every record's name: [A-Za-z0-9][A-Za-z0-9_.-]*, at most 128 bytes.
func checkName(s string) error {
	if s == "" {
		return errors.New("empty name")
	}
	if len(s) > maxName {
		return fmt.Errorf("%d characters, wanted at most %d", len(s), maxName)
	}
	for i, c := range []byte(s) {
		if !isAlnum(c) && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return errors.New("wanted letters, digits, \"_\", \".\" and \"-\", beginning with a letter or a digit")
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && !strings.Contains("!#$%&'*+-.^_`|~", s[i:i+1]) {
			return false
		}
	}
	return s != ""
}

func checkToken(s string) error {
	if !isToken(s) {
		return errors.New("wanted a token: letters, digits and !#$%&'*+-.^_`|~")
	}
	return nil
}

// checkMethod accepts a token without lower-case letters: methods are case-sensitive (RFC 9110 section 9.1).
func checkMethod(s string) error {
	if err := checkToken(s); err != nil {
		return err
	}
	if upper := strings.ToUpper(s); upper != s {
		return fmt.Errorf("methods are case-sensitive: write %s", upper)
	}
	return nil
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("wanted a text that is not empty")
	}
	return nil
}

// checkAuthority accepts host[:port], with a host name, an IPv4 address or an IPv6 address in brackets.
func checkAuthority(s string) error {
	if strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "[") {
		return errors.New("write an IPv6 address in brackets, such as [::1]:80")
	}
	host, port, ported := splitPort(s)
	if ported {
		if err := checkPort(port); err != nil {
			return err
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err != nil || !closed || !a.Is6() || a.Zone() != "" {
			return errors.New("wanted an IPv6 address between the brackets")
		}
		return nil
	}
	return checkHostName(host)
}

// splitPort splits at the last colon outside of brackets.
func splitPort(s string) (host, port string, ported bool) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func checkPort(s string) error {
	if n, err := strconv.Atoi(s); err != nil || !isDigits(s) || n < 1 || n > 65535 {
		return fmt.Errorf("port %q: wanted a number from 1 to 65535", s)
	}
	return nil
}

// checkHostName accepts a DNS name (RFC 1123 section 2.1, and "_", which
// service discovery uses) or an IPv4 address.
func checkHostName(s string) error {
	if s == "" {
		return errors.New("empty host")
	}
	if len(s) > 253 {
		return errors.New("host longer than 253 characters")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(s string) error {
	if s == "" {
		return errors.New("empty label in the host")
	}
	if len(s) > 63 {
		return fmt.Errorf("label %q is longer than 63 characters", yamledit.Clip(s))
	}
	for _, r := range s {
		if r >= utf8.RuneSelf || !isAlnum(byte(r)) && r != '-' && r != '_' {
			return fmt.Errorf("%q is not allowed in a host: wanted letters, digits, \"-\" and \".\"", r)
		}
	}
	return nil
}

// parseNetwork reads a CIDR, or an address as the network of that address alone.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, errors.New("an address with a zone is not a network")
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("wanted a network such as 10.0.0.0/8, or an address")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write it as an IPv4 network")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has host bits set: write %s, or %s for one address", p.Masked(), p.Addr())
	}
	return p, nil
}

// checkFilePath accepts any path that a file may have.
func checkFilePath(s string) error {
	if s == "" {
		return errors.New("wanted the path of a file")
	}
	return nil
}
