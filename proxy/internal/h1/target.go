// The request line, its target, and authorities (RFC 9112 section 3, RFC 3986
// section 3.2).

package h1

import (
	"bytes"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

var (
	errTarget       = bad("malformed request target")
	errTargetByte   = bad("forbidden character in the request target")
	errFragment     = bad("fragment in the request target")
	errEscape       = bad("malformed percent-encoding in the path")
	errAsterisk     = bad("target * with a method other than OPTIONS")
	errScheme       = bad("absolute-form target that is neither http nor https")
	errUserinfo     = bad("userinfo in an authority")
	errHost         = bad("malformed host")
	errEmptyHost    = bad("empty host")
	errPort         = bad("malformed port")
	errHostMismatch = bad("absolute-form target and Host disagree")
)

// parseRequestLine parses method SP target SP version, with one space each.
func parseRequestLine(line []byte) (Head, error) {
	method, rest, ok1 := bytes.Cut(line, space)
	target, version, ok2 := bytes.Cut(rest, space)
	if !ok1 || !ok2 {
		return Head{}, errRequestLine
	}
	if !httpsyntax.IsToken(method) {
		return Head{}, errMethod
	}
	minor, err := parseVersion(version)
	if err != nil {
		return Head{}, err
	}
	if string(method) == "CONNECT" {
		return Head{}, errConnect
	}
	if err := checkTarget(method, target); err != nil {
		return Head{}, err
	}
	return Head{Method: method, Target: target, Minor: minor}, nil
}

var space = []byte(" ")

// parseVersion: other versions that are well formed get a 505, the preface of
// HTTP/2 among them.
func parseVersion(b []byte) (minor int, err error) {
	switch {
	case string(b) == "HTTP/1.1":
		return 1, nil
	case string(b) == "HTTP/1.0":
		return 0, nil
	case len(b) == 8 && string(b[:5]) == "HTTP/" && isDigit(b[5]) && b[6] == '.' && isDigit(b[7]):
		return 0, errUnknownVersion
	}
	return 0, errVersion
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// checkTarget knows origin-form, absolute-form and *. The authority of an
// absolute form is looked at later, against Host.
func checkTarget(method, target []byte) error {
	for _, c := range target {
		switch {
		case c == '#':
			return errFragment
		case c <= ' ' || c >= 0x7f:
			return errTargetByte
		}
	}
	switch {
	case len(target) == 0:
		return errTarget
	case target[0] == '/':
		return checkPath(target)
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return errAsterisk
		}
		return nil
	}
	_, path, err := cutAuthority(target)
	if err != nil {
		return err
	}
	return checkPath(path)
}

// checkPath looks at the escapes before the query: a percent sign that is none
// means different things to different readers.
func checkPath(target []byte) error {
	path, _, _ := bytes.Cut(target, question)
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return errEscape
		}
		i += 2
	}
	return nil
}

var question = []byte("?")

func isHex(c byte) bool { return hexValue(c) >= 0 }

// hexValue is -1 for what is no hexadecimal digit.
func hexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= httpsyntax.LowerByte(c) && httpsyntax.LowerByte(c) <= 'f':
		return int(httpsyntax.LowerByte(c)-'a') + 10
	}
	return -1
}

// CutTarget returns the path of a request target that was accepted, as it came, and the
// query with its "?", if there is one. net/url's decoded path has lost which slashes
// were encoded. An absolute form without a path has "/"; "*" is a path of its own.
func CutTarget(target string) (path, query string) {
	if !strings.HasPrefix(target, "/") {
		if _, after, absolute := strings.Cut(target, "://"); absolute {
			target = strings.TrimLeftFunc(after, inAuthority)
		}
	}
	if at := strings.IndexByte(target, '?'); at >= 0 {
		target, query = target[:at], target[at:]
	}
	if target == "" {
		target = "/"
	}
	return target, query
}

func inAuthority(c rune) bool { return c != '/' && c != '?' }

// cutAuthority cuts scheme://authority[/path][?query].
func cutAuthority(target []byte) (authority, rest []byte, err error) {
	scheme, rest, ok := bytes.Cut(target, schemeEnd)
	switch {
	case !ok:
		return nil, nil, errTarget
	case !httpsyntax.EqualFold(scheme, "http") && !httpsyntax.EqualFold(scheme, "https"):
		return nil, nil, errScheme
	}
	if i := bytes.IndexAny(rest, "/?"); i >= 0 {
		return rest[:i], rest[i:], nil
	}
	return rest, nil, nil
}

var schemeEnd = []byte("://")

// checkAuthorityForm: an absolute-form target wins over Host (RFC 9112 section
// 3.2.2), so that a Host that names another authority is a request that two
// readers would route differently. The target's spelling becomes the head's Host.
func checkAuthorityForm(target []byte, host *[]byte) error {
	if target[0] == '/' || target[0] == '*' {
		return nil
	}
	authority, _, err := cutAuthority(target)
	if err != nil {
		return err
	}
	if err := checkAuthority(authority); err != nil {
		return err
	}
	defaultPort := portHTTP
	if httpsyntax.LowerByte(target[len("http")]) == 's' {
		defaultPort = portHTTPS
	}
	if *host != nil && !sameAuthority(*host, authority, defaultPort) {
		return errHostMismatch
	}
	*host = authority
	return nil
}

var portHTTP, portHTTPS = []byte("80"), []byte("443")

// sameAuthority compares two authorities that were checked. A port that is empty
// or not there is the scheme's (RFC 9110 section 4.2.3).
func sameAuthority(a, b, defaultPort []byte) bool {
	hostA, portA, _ := httpsyntax.CutPort(a)
	hostB, portB, _ := httpsyntax.CutPort(b)
	if len(portA) == 0 {
		portA = defaultPort
	}
	if len(portB) == 0 {
		portB = defaultPort
	}
	return httpsyntax.EqualFold(hostA, hostB) && bytes.Equal(bytes.TrimLeft(portA, "0"), bytes.TrimLeft(portB, "0"))
}

// checkAuthority: host[:port], no userinfo. The port may be empty, which is the
// scheme's default (RFC 3986 section 3.2.3). The host is less than RFC 3986 allows,
// see httpsyntax.CheckHost.
func checkAuthority(b []byte) error {
	host, port, _ := httpsyntax.CutPort(b)
	switch {
	case bytes.IndexByte(b, '@') >= 0:
		return errUserinfo
	case len(host) == 0:
		return errEmptyHost
	case httpsyntax.CheckHost(host) != nil:
		return errHost
	case len(port) > 0 && !httpsyntax.IsPort(port):
		return errPort
	}
	return nil
}
