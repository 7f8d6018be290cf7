package forward

// Max-Forwards (RFC 9110, section 7.6.2): how many more proxies may pass a TRACE
// or an OPTIONS on.

import (
	"math"
	"net/http"
	"strconv"
)

// MaxForwards returns the number in a request's Max-Forwards. It is false where
// the method has none, where the header is not there, and where it is not one
// decimal number: then the header means nothing and is passed on as it is.
func MaxForwards(method string, h http.Header) (uint64, bool) {
	lines := h["Max-Forwards"]
	if method != http.MethodTrace && method != http.MethodOptions || len(lines) != 1 || lines[0] == "" {
		return 0, false
	}
	for _, c := range []byte(lines[0]) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(lines[0], 10, 64)
	if err != nil { // more than that: the largest value supported, as the RFC has it
		n = math.MaxUint64
	}
	return n, true
}

// countForward takes one off in a header for a backend.
func countForward(method string, h http.Header) {
	if n, ok := MaxForwards(method, h); ok && n > 0 {
		h.Set("Max-Forwards", strconv.FormatUint(n-1, 10))
	}
}
