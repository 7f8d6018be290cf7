package routefile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
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
		if !httpsyntax.IsAlphanumeric(c) && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return errors.New("wanted letters, digits, \"_\", \".\" and \"-\", beginning with a letter or a digit")
		}
	}
	return nil
}

func checkToken(s string) error {
	if !httpsyntax.IsToken(s) {
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
		if fix := bracketed(s); fix != s {
			return fmt.Errorf("write an IPv6 address in brackets: %q", fix)
		}
		return errors.New("write an IPv6 address in brackets, such as [::1]:80")
	}
	host, port, ported := httpsyntax.CutPort(s)
	if ported && !httpsyntax.IsPort(port) {
		return fmt.Errorf("port %q: wanted a number from 1 to 65535", port)
	}
	if err := httpsyntax.CheckHost(host); err != nil {
		return err
	}
	return checkAddressLike(host)
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
		host, bits, _ := strings.Cut(s, "/")
		fix := networkFor(s)
		if err := checkAddressLike(host); err != nil && fix == "" {
			return netip.Prefix{}, err
		}
		if a, err := netip.ParseAddr(host); err == nil && isDigits(bits) {
			return netip.Prefix{}, fmt.Errorf("wanted at most /%d", a.BitLen())
		}
		return netip.Prefix{}, fmt.Errorf("wanted a network such as 10.0.0.0/8, or an address%s", instead(fix))
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write it as an IPv4 network")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has host bits set: write %s, or %s for one address", p.Masked(), p.Addr())
	}
	return p, nil
}

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}

// checkFilePath accepts any path that a file may have.
func checkFilePath(s string) error {
	if s == "" {
		return errors.New("wanted the path of a file")
	}
	return nil
}
