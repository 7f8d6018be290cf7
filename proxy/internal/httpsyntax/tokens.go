// Package httpsyntax is the grammar of HTTP that several packages share: tokens,
// comma lists, hosts and ports, and the protocols that are never tunnelled. It is
// on golang.org/x/net/http/httpguts where that has the rule.
//
// Nothing in it folds case beyond ASCII. strings.EqualFold takes U+212A, the Kelvin
// sign, for a k, and U+017F for an s; strings.ToLower makes a k of the former: then a
// check that runs later sees a token where none was sent.
package httpsyntax

import (
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Text is what is parsed here: a string, or a part of a buffer.
type Text interface{ ~string | ~[]byte }

// IsToken reports whether s is a token (RFC 9110 section 5.6.2).
func IsToken[T Text](s T) bool {
	for i := range len(s) {
		if !httpguts.IsTokenRune(rune(s[i])) {
			return false
		}
	}
	return len(s) > 0
}

// HasToken reports whether a comma list, which may be spread over several lines, has
// the element token, in any case.
func HasToken(lines []string, token string) bool {
	return httpguts.HeaderValuesContainsToken(lines, token)
}

// EqualFold reports whether a and b differ in no more than the case of ASCII letters.
func EqualFold[A, B Text](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if LowerByte(a[i]) != LowerByte(b[i]) {
			return false
		}
	}
	return true
}

// Lower returns s with ASCII letters in lower case: s itself if nothing changes.
func Lower(s string) string {
	for i := range len(s) {
		if s[i] != LowerByte(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = LowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// LowerByte returns an ASCII letter in lower case, and any other byte as it is.
func LowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// IsAlphanumeric reports whether c is an ASCII letter or digit.
func IsAlphanumeric(c byte) bool {
	l := LowerByte(c)
	return 'a' <= l && l <= 'z' || '0' <= c && c <= '9'
}

// TrimOWS trims optional white space (RFC 9110 section 5.6.3).
func TrimOWS(s string) string { return strings.Trim(s, " \t") }

// NeverTunnelled reports whether no route lets an upgrade to protocol through: what
// replaces HTTP by HTTP, or by TLS, would carry requests past the proxy, whatever
// version it names.
func NeverTunnelled(protocol string) bool {
	name, _, _ := strings.Cut(protocol, "/")
	switch Lower(name) {
	case "h2c", "h2", "tls", "http":
		return true
	}
	return false
}
