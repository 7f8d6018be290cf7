// Comma lists in header fields (RFC 9110 section 5.6.1), which may be spread
// over several lines.

package wsproto

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Tokens yields the elements of the comma list name, over all its lines, in
// order, with spaces and tabs around them trimmed and empty elements skipped.
// The elements are as they came: not checked, not lowered.
func Tokens(h http.Header, name string) iter.Seq[string] {
	lines := h[textproto.CanonicalMIMEHeaderKey(name)]
	return func(yield func(string) bool) {
		for _, line := range lines {
			if !yieldElements(line, yield) {
				return
			}
		}
	}
}

func yieldElements(line string, yield func(string) bool) bool {
	for more := true; more; {
		var element string
		element, line, more = strings.Cut(line, ",")
		if element = trimOWS(element); element != "" && !yield(element) {
			return false
		}
	}
	return true
}

// ListTokens is [Tokens] as a slice; nil when there are none.
func ListTokens(h http.Header, name string) []string {
	return slices.Collect(Tokens(h, name))
}

// HasToken reports whether the comma list name has the element token, without
// regard to ASCII case. It does not allocate when name is canonical.
func HasToken(h http.Header, name, token string) bool {
	for _, line := range h[textproto.CanonicalMIMEHeaderKey(name)] {
		if lineHasToken(line, token) {
			return true
		}
	}
	return false
}

// lineHasToken does without an iterator, which would allocate.
func lineHasToken(line, token string) bool {
	for more := true; more; {
		var element string
		element, line, more = strings.Cut(line, ",")
		if element = trimOWS(element); element != "" && equalFold(element, token) {
			return true
		}
	}
	return false
}

// equalFold compares in ASCII only: strings.EqualFold would take the Kelvin
// sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// Lower is s with ASCII letters in lower case and all else untouched:
// strings.ToLower would make a token of what is none, a k of the Kelvin sign.
func Lower(s string) string {
	for i := range len(s) {
		if s[i] != lower(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// trimOWS trims optional white space (RFC 9110 section 5.6.3).
func trimOWS(s string) string { return strings.Trim(s, " \t") }

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
