// Comma lists in header fields (RFC 9110 section 5.6.1), which may be spread
// over several lines.

package wsproto

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
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
		if element = httpsyntax.TrimOWS(element); element != "" && !yield(element) {
			return false
		}
	}
	return true
}

// ListTokens is [Tokens] as a slice; nil when there are none.
func ListTokens(h http.Header, name string) []string {
	return slices.Collect(Tokens(h, name))
}
