package match

// The conditions on headers, query parameters and cookies. The three differ in
// where their values stand; the test of a value is the same.

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
)

// place is where a field's values stand.
type place uint8

const (
	inHeader place = iota
	inQuery
	inCookie
)

// word is the place in the routes file's words.
func (in place) word() string { return [...]string{"headers", "query", "cookies"}[in] }

// noun is the place in a sentence about one of its values.
func (in place) noun() string { return [...]string{"header", "query parameter", "cookie"}[in] }

// field is a condition on all values of one name.
type field struct {
	in    place
	name  string // a header's in canonical form
	op    FieldOp
	value string
	re    *regexp.Regexp // Matches, once it is compiled: see regexp
	size  int            // Matches: about how many bytes re takes

	slotName string
	// What a judgement draws when it needs it, on rules that it alone knows.
	look       *outlook
	firstRunes firstRunes // Matches
}

// saidElsewhere are headers that have a condition of their own. One way to say
// a thing keeps clashes between rules provable.
var saidElsewhere = map[string]string{
	"Host": "host", "Cookie": "cookies", "Upgrade": "upgrade", subprotocolHeader: "subprotocol",
}

// compileField does not compile a regex yet: see rule.compile.
func compileField(in place, f Field) (*field, error) {
	c := &field{in: in, name: f.Name, op: f.Op, value: f.Value}
	if err := c.checkName(); err != nil {
		return nil, err
	}
	if in == inHeader {
		c.name = http.CanonicalHeaderKey(f.Name)
	}
	c.slotName = in.word() + "." + c.name
	switch f.Op {
	case Equal:
		if in == inCookie {
			c.value = unquote(f.Value)
		}
		return c, c.checkValue()
	case Matches:
		tree, err := syntax.Parse(f.Value, syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("regex %q: %s: want RE2 syntax", f.Value, syntaxReason(err))
		}
		c.size = compiledSize(tree)
	}
	return c, nil
}

func (c *field) checkName() error {
	if c.in == inQuery {
		if c.name == "" {
			return errors.New(`query parameter "": want a name`)
		}
		return nil
	}
	if err := checkToken(c.name); err != nil {
		return fmt.Errorf("%s %w", c.in.noun(), err)
	}
	if own, ok := saidElsewhere[http.CanonicalHeaderKey(c.name)]; ok && c.in == inHeader {
		return fmt.Errorf("header %q has a condition of its own: want it said with %s", c.name, own)
	}
	return nil
}

// checkValue refuses values that no request can carry (RFC 9110, section 5.5;
// RFC 6265, section 5.4).
func (c *field) checkValue() error {
	if c.in == inQuery {
		return nil
	}
	if strings.Trim(c.value, " \t") != c.value {
		return fmt.Errorf("%s value %q: want no space at its ends, no request carries it", c.in.noun(), c.value)
	}
	for i := 0; i < len(c.value); i++ {
		if b := c.value[i]; b < 0x20 && b != '\t' || b == 0x7f || c.in == inCookie && b == ';' {
			return fmt.Errorf("%s value %q: want no %q in it, no request carries it", c.in.noun(), c.value, c.value[i:i+1])
		}
	}
	return nil
}

func errTwice(in place, name string) error {
	if in == inHeader {
		return fmt.Errorf("header %q stands twice, names are case-insensitive: want it once", name)
	}
	return fmt.Errorf("%s %q stands twice: want it once", in.noun(), name)
}

func (c *field) slot() string { return c.slotName }

// holds: there is a value, and every value is accepted.
func (c *field) holds(r *Request) bool {
	switch c.in {
	case inHeader:
		return c.holdsHeader(r.Header[c.name])
	case inQuery:
		return c.holdsQuery(r.Query)
	default:
		return c.holdsCookie(r.Header["Cookie"])
	}
}

func (c *field) holdsHeader(values []string) bool {
	for _, v := range values {
		if !c.accepts(v) {
			return false
		}
	}
	return len(values) > 0
}

func (c *field) holdsQuery(query string) bool {
	found := false
	for query != "" {
		var name, value string
		name, value, query = cutParameter(query)
		if !equalsDecoded(name, c.name) {
			continue
		}
		if !c.acceptsEscaped(value) {
			return false
		}
		found = true
	}
	return found
}

func (c *field) holdsCookie(lines []string) bool {
	found := false
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = cutCookie(line)
			if name != c.name {
				continue
			}
			if !c.accepts(value) {
				return false
			}
			found = true
		}
	}
	return found
}

// accepts tests one value.
func (c *field) accepts(value string) bool {
	switch c.op {
	case Equal:
		return value == c.value
	case Matches:
		return c.regexp().MatchString(value)
	}
	return true
}

// regexp is as that of a pattern.
func (c *field) regexp() *regexp.Regexp {
	if c.re == nil {
		c.re = compileRead(c.value)
	}
	return c.re
}

// acceptsEscaped tests one value of the query as it stands there. Only a regex
// over a value with escapes allocates. A bad escape has no decoded value, so
// only Present accepts it.
func (c *field) acceptsEscaped(raw string) bool {
	switch {
	case c.op == Present:
		return true
	case c.op == Equal:
		return equalsDecoded(raw, c.value)
	case strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0:
		return c.accepts(raw)
	}
	value, err := url.QueryUnescape(raw)
	return err == nil && c.accepts(value)
}

// cutParameter cuts the first name=value off a query. Only "&" separates, as in
// the URL standard; ";" is an ordinary byte.
func cutParameter(query string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(query, "&")
	name, value, _ = strings.Cut(pair, "=")
	return name, value, rest
}

// cutCookie cuts the first name=value off a Cookie header (RFC 6265, section
// 4.2.1). Quotes around a value are no part of it.
func cutCookie(line string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, _ = strings.Cut(pair, "=")
	return strings.Trim(name, " \t"), unquote(strings.Trim(value, " \t")), rest
}

func unquote(value string) string {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// equalsDecoded reports whether raw, of a query, decodes to want.
func equalsDecoded(raw, want string) bool {
	for len(raw) > 0 {
		b, n := raw[0], 1
		switch b {
		case '+':
			b = ' '
		case '%':
			var ok bool
			if b, ok = unescape(raw); !ok {
				return false
			}
			n = 3
		}
		if want == "" || want[0] != b {
			return false
		}
		raw, want = raw[n:], want[1:]
	}
	return want == ""
}

func (c *field) why(r *Request) string {
	values := c.values(r)
	if len(values) == 0 {
		return fmt.Sprintf("%s %s is absent", c.in.noun(), c.name)
	}
	for _, v := range values {
		if c.accepts(v) {
			continue
		}
		text := fmt.Sprintf("%s %s is %q, not %q", c.in.noun(), c.name, v, c.value)
		if c.op == Matches {
			text = fmt.Sprintf("%s %s is %q, which the regex %q does not match", c.in.noun(), c.name, v, c.value)
		}
		if len(values) > 1 {
			text += " (every one of its values must satisfy the condition)"
		}
		return text
	}
	return fmt.Sprintf("%s %s has a bad escape", c.in.noun(), c.name)
}

// values lists the values of c's name, for explanations only. A value with a
// bad escape is left as it is.
func (c *field) values(r *Request) (values []string) {
	switch c.in {
	case inHeader:
		return r.Header[c.name]
	case inQuery:
		for query := r.Query; query != ""; {
			var name, value string
			name, value, query = cutParameter(query)
			if equalsDecoded(name, c.name) {
				if decoded, err := url.QueryUnescape(value); err == nil {
					value = decoded
				}
				values = append(values, value)
			}
		}
	case inCookie:
		for _, line := range r.Header["Cookie"] {
			for line != "" {
				var name, value string
				if name, value, line = cutCookie(line); name == c.name {
					values = append(values, value)
				}
			}
		}
	}
	return values
}

func (c *field) implies(other condition) bool {
	o := other.(*field)
	switch {
	case o.op == Present:
		return true
	case c.op == Equal:
		return o.accepts(c.value)
	}
	return c.op == Matches && o.op == Matches && c.value == o.value
}

func (c *field) meet(j *judgement, other condition, w *Request) decision {
	value, d := c.common(j, other)
	if d == yes {
		c.put(value, w)
	}
	return d
}

// common finds a value that c and other, if there is one, accept.
func (c *field) common(j *judgement, other condition) (string, decision) {
	o := &field{in: c.in, op: Present}
	if other != nil {
		o = other.(*field)
	}
	switch {
	case c.op == Equal:
		return c.value, decide(o.accepts(c.value))
	case o.op == Equal:
		return o.value, decide(c.accepts(o.value))
	case c.op == Present && o.op == Present:
		return "1", yes
	case c.op == Present:
		return j.intersect(o.in.inputs(), o.value, "")
	case o.op == Present:
		return j.intersect(c.in.inputs(), c.value, "")
	case c.outlook().disjoint(o.outlook()) || disjoint(j.firstRunesOf(&c.firstRunes, c.value), j.firstRunesOf(&o.firstRunes, o.value)):
		return "", no
	}
	return j.intersect(c.in.inputs(), c.value, o.value)
}

// outlook returns the traits of the values that c, which is not Present, accepts.
func (c *field) outlook() *outlook {
	if c.look == nil {
		c.look = c.drawOutlook()
	}
	return c.look
}

func (c *field) drawOutlook() *outlook {
	if c.op == Matches {
		return outlookOf(c.value, false)
	}
	front, back := []string{foldText(c.value)}, []string{foldText(reversed(c.value))}
	return &outlook{front: traits{front, front}, back: traits{back, back}, count: -1}
}

// put gives w the value.
func (c *field) put(value string, w *Request) {
	switch c.in {
	case inHeader:
		w.Header[c.name] = []string{value}
	case inQuery:
		w.Query = appendWith(w.Query, "&", url.QueryEscape(c.name)+"="+url.QueryEscape(value))
	case inCookie:
		w.Header.Set("Cookie", appendWith(w.Header.Get("Cookie"), "; ", c.name+"="+value))
	}
}

func appendWith(s, separator, more string) string {
	if s == "" {
		return more
	}
	return s + separator + more
}
