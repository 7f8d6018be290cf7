package match

// Targets with captures in them.
//
// What a capture holds was chosen by a client, so the place it is put into
// decides what it may say: in a path it can make no segment and no dot segment
// that the route's author did not write or capture, in a query no parameter.

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Template is the path or the query of a target. It is immutable.
type Template struct {
	parts    []part
	location bool // of a redirect: see ParseLocationTemplate
}

// part is literal text or, if the text is empty, a capture or a placeholder.
type part struct {
	text   string
	name   string               // {name}
	number int                  // $1, if name is empty
	source string               // the capture as it was written
	of     func(*Values) string // a placeholder; nil: a capture
}

func (p part) isRef() bool { return p.text == "" }

// ParseTemplate parses $1, ${1} (where a digit follows) and {name}, which stand
// for captures, and $$, which stands for a dollar. $0 is the text that a regex
// matched. All else is literal: valid in a path or query (RFC 3986), so no space,
// no control byte, nothing beyond ASCII, no "#", no bad escape; a literal brace
// is %7B or %7D.
func ParseTemplate(s string) (*Template, error) { return (&Template{}).parse(s) }

// ParseLocationTemplate is ParseTemplate for a redirect, which may also use placeholders,
// and {{ for a brace, which it encodes. As in ParseText, a dollar that begins nothing is
// itself, and what other proxies take for a variable is a *PlaceholderError.
func ParseLocationTemplate(s string) (*Template, error) {
	return (&Template{location: true}).parse(s)
}

func (t *Template) parse(s string) (*Template, error) {
	for rest := s; rest != ""; {
		var err error
		if rest, err = t.parsePart(rest); err != nil {
			return nil, fmt.Errorf("target %q: %w", s, err)
		}
	}
	return t, nil
}

// parsePart parses what s starts with and returns the rest.
func (t *Template) parsePart(s string) (rest string, err error) {
	if t.location {
		if err := foreignVariable(s); err != nil {
			return "", err
		}
	}
	switch {
	case t.location && strings.HasPrefix(s, "{{"):
		t.addText("%7B")
		return s[2:], nil
	case t.location && s[0] == '$' && !startsNumber(s):
		t.addText("$")
		return strings.TrimPrefix(s[1:], "$"), nil
	case strings.HasPrefix(s, "$$"):
		t.addText("$")
		return s[2:], nil
	case s[0] == '$':
		return t.parseNumber(s)
	case s[0] == '{':
		return t.parseName(s)
	case s[0] == '}':
		return "", errors.New(`"}" without "{": want {name}; a literal brace is %7B or %7D`)
	}
	end := strings.IndexAny(s, "${}")
	if at := strings.Index(s, "%{"); t.location && at > 0 && at < end {
		end = at
	}
	if end < 0 {
		end = len(s)
	}
	t.addText(s[:end])
	return s[end:], checkLiteral(s[:end])
}

// startsNumber reports whether s, which starts with a dollar, starts with $1 or ${1}.
func startsNumber(s string) bool {
	s = strings.TrimPrefix(s[1:], "{")
	return s != "" && '0' <= s[0] && s[0] <= '9'
}

// addText adds literal text to the text before, if there is any: AppendQuery
// and checks see escapes whole.
func (t *Template) addText(text string) {
	if n := len(t.parts); n > 0 && !t.parts[n-1].isRef() {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, part{text: text})
}

// parseNumber parses $1 and ${1}.
func (t *Template) parseNumber(s string) (rest string, err error) {
	digits, braced := strings.CutPrefix(s[1:], "{")
	n := 0
	for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	rest = digits[n:]
	if braced {
		if !strings.HasPrefix(rest, "}") {
			return "", fmt.Errorf("%q: want ${1}; a capture with a name is {name}", s[:min(len(s), 8)])
		}
		rest = rest[1:]
	}
	number, err := strconv.Atoi(digits[:n])
	if err != nil || n > 3 {
		return "", fmt.Errorf("%q: want the number of a capture, $1; a literal dollar is $$", s[:min(len(s), 8)])
	}
	t.parts = append(t.parts, part{number: number, source: s[:len(s)-len(rest)]})
	return rest, nil
}

// parseName parses {name}.
func (t *Template) parseName(s string) (rest string, err error) {
	name, rest, ok := strings.Cut(s[1:], "}")
	if !ok || !isName(name) {
		return "", fmt.Errorf("%q: want {name}; a literal brace is %%7B or %%7D", s[:min(len(s), len(name)+2)])
	}
	p := part{name: name, source: "{" + name + "}"}
	if t.location {
		p.of = placeholderOf(name)
	}
	t.parts = append(t.parts, p)
	return rest, nil
}

// checkLiteral accepts what can stand in a path or a query as it is.
func checkLiteral(s string) error {
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '%':
			if _, ok := unescape(s[i:]); !ok {
				return fmt.Errorf("bad escape %q: want %% and two hex digits", s[i:min(i+3, len(s))])
			}
		case b == '?':
		case pathClass[b] != pathPlain:
			return fmt.Errorf("%q: want it percent-encoded", s[i:i+1])
		}
	}
	return nil
}

// Refs returns the captures that t refers to, as they are written: "$1", "{room}".
func (t *Template) Refs() []string {
	var refs []string
	for _, p := range t.parts {
		if p.isRef() {
			refs = append(refs, p.source)
		}
	}
	return refs
}

// CheckPath returns an error if t cannot be a target's path whatever is
// captured: no leading slash, or literal text that is refused in a path or that
// is no path as it would be forwarded (dot segments, double slashes).
func (t *Template) CheckPath() error {
	if len(t.parts) == 0 || !strings.HasPrefix(t.parts[0].text, "/") {
		return errors.New("want a target's path to start with a literal slash")
	}
	var path strings.Builder
	for _, p := range t.parts {
		path.WriteString(p.text)
		if p.isRef() {
			path.WriteByte('x')
		}
	}
	normal, err := NormalizePath(path.String())
	if err != nil {
		return err
	}
	if strings.Count(normal, "/") != strings.Count(path.String(), "/") {
		return fmt.Errorf("path %q: want no dot segments and no double slashes", path.String())
	}
	return nil
}

// AppendPath appends the path that t makes of c to dst. The result is as
// NormalizePath returns it, but that runs of slashes stay if c is of a route that
// keeps them. A slash stays where a group of a regex captured one. The error, which
// a proxy answers with 400, says that no such path can be forwarded: the captures
// make a dot segment, or there is no capture.
func (t *Template) AppendPath(dst []byte, c *Captures) ([]byte, error) {
	return t.appendPath(dst, c, nil)
}

// appendPath is AppendPath with what placeholders stand for.
func (t *Template) appendPath(dst []byte, c *Captures, v *Values) ([]byte, error) {
	start := len(dst)
	dst, err := t.expand(dst, c, v, appendToPath)
	if err != nil {
		return dst[:start], err
	}
	made := dst[start:]
	if len(made) > 0 && made[0] == '/' && isNormalPath(made) {
		return dst, nil
	}
	path, err := normalizeMade(string(made), c.pathOptions())
	return append(dst[:start], path...), err
}

// normalizeMade normalises a path made of captures: double slashes become one,
// as an empty capture leaves them, but a dot segment is nobody's wish.
func normalizeMade(made string, options pathOptions) (string, error) {
	switch {
	case hasDots(made):
		return "", fmt.Errorf("path %q made of captures: want no dot segment", made)
	case made == "" || made[0] != '/':
		return "", fmt.Errorf("path %q made of captures: want a leading slash", made)
	}
	return rewritePath(made, options)
}

// hasDots reports whether path has a dot segment, raw or encoded.
func hasDots(path string) bool {
	for at := 0; at < len(path); at++ {
		if path[at] == '/' && startsWithDots(path[at+1:]) {
			return true
		}
	}
	return false
}

// startsWithDots is isDotSegment for text whose escapes are not normal yet.
func startsWithDots(s string) bool {
	segment, _, _ := strings.Cut(s, "/")
	normal, err := appendSegment(nil, segment, 0)
	return err == nil && segment != "" && isDotSegment(normal)
}

// AppendQuery appends the query that t makes of c to dst: of a capture, all but
// unreserved characters, slashes and the escapes that it has is encoded.
func (t *Template) AppendQuery(dst []byte, c *Captures) ([]byte, error) {
	return t.appendQuery(dst, c, nil)
}

func (t *Template) appendQuery(dst []byte, c *Captures, v *Values) ([]byte, error) {
	start := len(dst)
	dst, err := t.expand(dst, c, v, appendToQuery)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// expand appends the parts of t, each capture and placeholder by put.
func (t *Template) expand(dst []byte, c *Captures, v *Values, put func(dst []byte, capture string) []byte) ([]byte, error) {
	for _, p := range t.parts {
		if !p.isRef() {
			dst = append(dst, p.text...)
			continue
		}
		capture, ok := "", true
		if p.of != nil {
			capture = p.of(v)
		} else {
			capture, ok = p.in(c)
		}
		if !ok {
			return dst, fmt.Errorf("capture %q: the matched route has none of that name", p.source)
		}
		if hasControl(capture) {
			return dst, fmt.Errorf("capture %q is %q: want no control byte", p.source, capture)
		}
		dst = put(dst, capture)
	}
	return dst, nil
}

func (p part) in(c *Captures) (string, bool) {
	if p.name != "" {
		return c.Get(p.name)
	}
	return c.Index(p.number)
}

// hasControl reports whether s has a control byte, raw or encoded. A normal path
// has none: this is the second lock on the door.
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		b := s[i]
		if decoded, ok := unescape(s[i:]); ok {
			b = decoded
		}
		if b < 0x20 || b == 0x7f {
			return true
		}
	}
	return false
}

// appendToPath appends capture as part of a path. Escapes stay; half an escape,
// as a group of a regex may capture it, is encoded: what stands next to it must
// not complete it.
func appendToPath(dst []byte, capture string) []byte {
	for i := 0; i < len(capture); i++ {
		b := capture[i]
		if _, ok := unescape(capture[i:]); ok {
			dst = append(dst, capture[i:i+3]...)
			i += 2
		} else if b == '%' || pathClass[b] != pathPlain {
			dst = appendEscape(dst, b)
		} else {
			dst = append(dst, b)
		}
	}
	return dst
}

// appendToQuery appends capture as part of a query, where "+" would be a space
// and "&", "=" and ";" would make parameters.
func appendToQuery(dst []byte, capture string) []byte {
	for i := 0; i < len(capture); i++ {
		b := capture[i]
		if _, ok := unescape(capture[i:]); ok {
			dst = append(dst, capture[i:i+3]...)
			i += 2
		} else if isUnreserved(b) || b == '/' {
			dst = append(dst, b)
		} else {
			dst = appendEscape(dst, b)
		}
	}
	return dst
}
