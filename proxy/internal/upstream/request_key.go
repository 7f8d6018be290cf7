package upstream

// The part of a request that tells clients, users or rooms apart: policies hash it, and
// stickiness looks it up.

import (
	"encoding/binary"
	"iter"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// Source is where the key is.
type Source uint8

const (
	NoSource    Source = iota
	FromClient         // the client's address
	FromHeader         // a header's first value
	FromCookie         // the first cookie of that name
	FromQuery          // the first query parameter of that name, decoded
	FromCapture        // a capture of the route's pattern, by number or name
)

// RequestKey is a part of the request. The zero value finds nothing.
type RequestKey struct {
	Source Source
	Name   string // of every source but FromClient
}

// text is the key's value; false if the request has none, or an empty one.
func (k RequestKey) text(c Choice) (string, bool) {
	value := ""
	switch {
	case k.Source == FromClient && c.Client.IsValid():
		value = c.Client.String()
	case k.Source == FromCapture && c.Captures != nil:
		value = k.capture(c.Captures)
	case c.Request == nil:
	case k.Source == FromHeader:
		value = k.header(c.Request)
	case k.Source == FromCookie:
		value = firstValue(cookiesOf(c.Request.Header["Cookie"], k.Name))
	case k.Source == FromQuery:
		value = parameterOf(c.Request.URL.RawQuery, k.Name)
	}
	return value, value != ""
}

func (k RequestKey) capture(c Captures) string {
	if number, err := strconv.Atoi(k.Name); err == nil {
		value, _ := c.Index(number)
		return value
	}
	value, _ := c.Get(k.Name)
	return value
}

// header finds Host too, which net/http keeps out of Header.
func (k RequestKey) header(r *http.Request) string {
	name := textproto.CanonicalMIMEHeaderKey(k.Name)
	if name == "Host" {
		return r.Host
	}
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// cookiesOf yields the unquoted values of the cookies of that name (RFC 6265, section
// 4.2.1).
func cookiesOf(lines []string, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for pair := range strings.SplitSeq(line, ";") {
				n, value, ok := strings.Cut(pair, "=")
				if ok && strings.Trim(n, " \t") == name && !yield(unquoted(strings.Trim(value, " \t"))) {
					return
				}
			}
		}
	}
}

func firstValue(values iter.Seq[string]) string {
	for value := range values {
		return value
	}
	return ""
}

func unquoted(value string) string {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// parameterOf is the value of the first parameter of that name with valid escapes. Only
// "&" separates, as in the URL standard.
func parameterOf(query, name string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		n, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(n); err != nil || decoded != name {
			continue
		}
		if value, err := url.QueryUnescape(value); err == nil {
			return value
		}
	}
	return ""
}

// hash is the same in every proxy.
func (k RequestKey) hash(c Choice) (uint64, bool) {
	if k.Source == FromClient && c.Client.IsValid() {
		a := c.Client.As16()
		return mix(binary.BigEndian.Uint64(a[:8])*prime64 ^ mix(binary.BigEndian.Uint64(a[8:]))), true
	}
	value, ok := k.text(c)
	return hashText(value), ok
}

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv) with its bits mixed: alone it hardly
// changes the high bits for texts that differ at their end.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func hashText(s string) uint64 {
	h := uint64(offset64)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime64
	}
	return mix(h)
}

// mix is the finalizer of splitmix64: every bit of x changes every bit of the
// result with even odds.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
