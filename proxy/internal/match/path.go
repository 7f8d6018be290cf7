package match

// One normal form for paths. A path is normalised once, on arrival, and routes are
// matched against the normal form. The backend receives exactly that, so there is no
// second reading of it for anyone to exploit; what a route may ask for instead is in
// sent.go.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

const upperHex = "0123456789ABCDEF"

// Bytes of a path, by what becomes of them when they stand raw.
const (
	pathPlain  = iota // stays (RFC 3986, section 3.3: pchar, and "/")
	pathEncode        // comes out percent-encoded
	pathRefuse        // an error
)

var pathClass = func() (class [256]uint8) {
	for b := range class {
		switch {
		case b < 0x20 || b == 0x7f || b == '\\' || b == '?' || b == '#':
			class[b] = pathRefuse
		case b >= 0x80 || strings.IndexByte(" \"<>^`{|}[]", byte(b)) >= 0:
			class[b] = pathEncode
		}
	}
	return class
}()

// NormalizePath returns the one form in which paths are matched and forwarded.
// raw is the escaped path of a request target (RFC 9112, section 3.2), without
// the query. Escapes of unreserved characters are decoded and all others come
// out in upper case (RFC 3986, section 6.2.2); bytes that must not stand raw in
// a path are encoded; runs of slashes become one, and dot segments are then
// resolved (section 5.2.4). An encoded slash is a character of its segment like
// any other and is never decoded: "..%2Fa" is one segment, and no dot segment. A
// path that is normal already is returned as it is, without allocation, and the
// result is always normal.
//
// An error, which a proxy answers with 400, is what a backend might read
// differently from us: no leading slash (so "*" too), a bad escape, a backslash,
// a control byte, a raw "?" or "#", and a dot segment with a parameter ("..;").
// Encoded slashes are for the route to take or to refuse, see [Tree.PathFor].
func NormalizePath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", fmt.Errorf("path %q: want a leading slash", raw)
	}
	if isNormalPath(raw) {
		return raw, nil
	}
	path, err := rewritePath(raw, 0)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", raw, err)
	}
	return path, nil
}

// isNormalPath reports whether p, which starts with a slash, is in normal form.
func isNormalPath[T string | []byte](p T) bool {
	for i := 0; i < len(p); i++ {
		switch b := p[i]; {
		case b == '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.' && isDotSegment(p[i+1:])) {
				return false
			}
		case b == '%':
			if !isNormalEscape(p[i:]) {
				return false
			}
			i += 2
		case pathClass[b] != pathPlain:
			return false
		}
	}
	return true
}

// isDotSegment reports whether p starts with the segment "." or "..", alone or
// with parameters: servlet containers cut "..;x" down to "..".
func isDotSegment[T string | []byte](p T) bool {
	i := 0
	for i < len(p) && i < 2 && p[i] == '.' {
		i++
	}
	if i == 0 {
		return false
	}
	rest := p[i:]
	return len(rest) == 0 || rest[0] == '/' || startsParameter(rest)
}

// startsParameter reports whether s starts with ";", raw or encoded.
func startsParameter[T string | []byte](s T) bool {
	return len(s) > 0 && s[0] == ';' ||
		len(s) > 2 && s[0] == '%' && s[1] == '3' && (s[2] == 'B' || s[2] == 'b')
}

// isNormalEscape reports whether p starts with an escape that stays as it is.
func isNormalEscape[T string | []byte](p T) bool {
	b, ok := unescape(p)
	return ok && p[1] == upperHex[b>>4] && p[2] == upperHex[b&15] && !isUnreserved(b) && !isForbiddenEscape(b)
}

// unescape decodes the escape that p starts with.
func unescape[T string | []byte](p T) (byte, bool) {
	if len(p) < 3 || p[0] != '%' {
		return 0, false
	}
	hi, lo := hexValue(p[1]), hexValue(p[2])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func hexValue(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10
	case 'A' <= b && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// isUnreserved is RFC 3986, section 2.3.
func isUnreserved(b byte) bool {
	return httpsyntax.IsAlphanumeric(b) || b == '-' || b == '.' || b == '_' || b == '~'
}

// isForbiddenEscape: decoded by a careless backend, these change what the path
// means.
func isForbiddenEscape(b byte) bool {
	return b < 0x20 || b == 0x7f || b == '\\'
}

// pathOptions are departures from the normal form.
type pathOptions uint8

const (
	keepBraces  pathOptions = 1 << iota // "{" and "}" stay as they are, as patterns have them
	keepSlashes                         // runs of slashes stay
)

// rewritePath is NormalizePath's slow half.
func rewritePath(raw string, options pathOptions) (string, error) {
	out := make([]byte, 0, len(raw)+16)
	for rest := raw; rest != ""; {
		var segment string
		segment, rest = cutSegment(rest)
		start := len(out)
		out = append(out, '/')
		var err error
		if out, err = appendSegment(out, segment, options); err != nil {
			return "", err
		}
		if segment == "" && options&keepSlashes != 0 {
			continue
		}
		if out, err = resolveSegment(out, start, rest == ""); err != nil {
			return "", err
		}
	}
	return string(out), nil
}

// cutSegment cuts the first segment off p, which starts with a slash, and
// leaves rest starting with one, or empty.
func cutSegment(p string) (segment, rest string) {
	p = p[1:]
	if i := strings.IndexByte(p, '/'); i >= 0 {
		return p[:i], p[i:]
	}
	return p, ""
}

// appendSegment appends segment with its bytes in normal form.
func appendSegment(out []byte, segment string, options pathOptions) ([]byte, error) {
	for i := 0; i < len(segment); i++ {
		b := segment[i]
		switch {
		case b == '%':
			decoded, ok := unescape(segment[i:])
			if !ok {
				return nil, fmt.Errorf("bad escape %q: want %% and two hex digits", segment[i:min(i+3, len(segment))])
			}
			if isForbiddenEscape(decoded) {
				return nil, fmt.Errorf("%q: want no encoded backslash or control byte", segment[i:i+3])
			}
			i += 2
			if isUnreserved(decoded) {
				out = append(out, decoded)
			} else {
				out = appendEscape(out, decoded)
			}
		case options&keepBraces != 0 && (b == '{' || b == '}'), pathClass[b] == pathPlain:
			out = append(out, b)
		case pathClass[b] == pathEncode:
			out = appendEscape(out, b)
		default:
			return nil, fmt.Errorf("%q: want no backslash, control byte, ? or # in a path", segment[i:i+1])
		}
	}
	return out, nil
}

func appendEscape(out []byte, b byte) []byte {
	return append(out, '%', upperHex[b>>4], upperHex[b&15])
}

var errDotParameter = errors.New("a dot segment with a parameter: want none")

// resolveSegment settles the segment at out[start:], its slash included: an
// empty one is merged, a dot segment is resolved. At the end of the path each
// leaves a slash behind.
func resolveSegment(out []byte, start int, last bool) ([]byte, error) {
	segment := out[start+1:]
	switch {
	case len(segment) == 0 || string(segment) == ".":
		out = out[:start]
	case string(segment) == "..":
		out = out[:start]
		for len(out) > 0 && out[len(out)-1] != '/' {
			out = out[:len(out)-1]
		}
		out = out[:max(0, len(out)-1)]
	case isDotSegment(segment):
		return nil, errDotParameter
	default:
		return out, nil
	}
	if last {
		out = append(out, '/')
	}
	return out, nil
}
