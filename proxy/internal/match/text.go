package match

// Texts with placeholders: values of headers, bodies, the origin of a redirect.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Values are what placeholders stand for in one request. Captures may be nil.
type Values struct {
	Client     string // the client's address; "" if it has none
	ClientPort string // "" where only a proxy knows it
	Host       string // normalised, without a port; "" if the request has none
	Scheme     string // http or https
	RequestID  string
	User       string
	Listener   string // its name
	Captures   *Captures
}

// placeholders are the names that are not captures.
var placeholders = []struct {
	name string
	of   func(*Values) string
}{
	{"client", func(v *Values) string { return v.Client }},
	{"client_port", func(v *Values) string { return v.ClientPort }},
	{"host", func(v *Values) string { return v.Host }},
	{"scheme", func(v *Values) string { return v.Scheme }},
	{"request_id", func(v *Values) string { return v.RequestID }},
	{"user", func(v *Values) string { return v.User }},
	{"listener", func(v *Values) string { return v.Listener }},
}

// Placeholders returns the names that are not captures.
func Placeholders() []string {
	names := make([]string, len(placeholders))
	for i, p := range placeholders {
		names[i] = p.name
	}
	return names
}

func placeholderOf(name string) func(*Values) string {
	for _, p := range placeholders {
		if p.name == name {
			return p.of
		}
	}
	return nil
}

// Text is a text with placeholders. It is immutable; the zero Text is empty.
type Text struct {
	parts []textPart
}

// textPart is literal text, or a placeholder with its source as text.
type textPart struct {
	text string
	of   func(*Values) string // a placeholder that is no capture
	ref  *part                // a capture, if the route has it; else text
}

// PlaceholderError is a placeholder that nothing stands for.
type PlaceholderError struct {
	Source string   // as written: "{clent}", "$remote_addr", "%{HTTP_HOST}"
	Name   string   // without its marks
	Known  []string // the captures that there are
}

func (e *PlaceholderError) Error() string { return fmt.Sprintf("unknown placeholder %q", e.Source) }

// ParseText parses {name}, which stands for a placeholder or a capture, $1 and ${1}, which
// stand for captures, and {{ and $$, which stand for a brace and a dollar. All else is
// literal, except what other proxies take for a variable: $name and ${name}, of a to z and
// _ only, and %{NAME} are a *PlaceholderError. A name that the route does not capture is
// for CheckText to refuse.
func ParseText(s string) (Text, error) {
	var t Text
	for s != "" {
		n, err := t.parsePart(s)
		if err != nil {
			return Text{}, err
		}
		s = s[n:]
	}
	return t, nil
}

// parsePart parses what s begins with and returns its length.
func (t *Text) parsePart(s string) (int, error) {
	if foreign := foreignVariable(s); foreign != nil {
		return 0, foreign
	}
	switch {
	case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "$$"):
		t.literal(s[:1])
		return 2, nil
	case s[0] == '$':
		return t.numbered(s), nil
	case s[0] == '{':
		return t.named(s), nil
	}
	end := strings.IndexAny(s[1:], "${%") + 1
	if end == 0 {
		end = len(s)
	}
	t.literal(s[:end])
	return end, nil
}

// foreignVariable returns an error if s begins with a variable as other proxies write it.
func foreignVariable(s string) error {
	mark, name := "", ""
	switch {
	case strings.HasPrefix(s, "%{"), strings.HasPrefix(s, "${"):
		var closed bool
		mark = s[:2]
		name, _, closed = strings.Cut(s[2:], "}")
		foreign := isWord(name)
		if mark == "%{" {
			foreign = isVariable(name) && !isWord(name) // %{name} is % and {name}
		}
		if !closed || !foreign {
			return nil
		}
		return &PlaceholderError{Source: mark + name + "}", Name: name}
	case strings.HasPrefix(s, "$"):
		end := 1
		for end < len(s) && isNameByte(s[end]) {
			end++
		}
		if name = s[1:end]; isWord(name) {
			return &PlaceholderError{Source: "$" + name, Name: name}
		}
	}
	return nil
}

// isWord reports whether name is what an unknown placeholder is made of.
func isWord(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// isVariable reports whether name is one of Apache's variables: HTTP_HOST, HTTP:Upgrade.
func isVariable(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r > 0x7f || !isNameByte(byte(r)) && !strings.ContainsRune("-:.", r)
	})
}

func isNameByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func (t *Text) literal(text string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].of == nil && t.parts[n-1].ref == nil {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, textPart{text: text})
}

// numbered parses $1 and ${1}; any other dollar is itself.
func (t *Text) numbered(s string) int {
	var number Template
	rest, err := number.parseNumber(s)
	if err != nil {
		t.literal("$")
		return 1
	}
	source := s[:len(s)-len(rest)]
	t.parts = append(t.parts, textPart{text: source, ref: &number.parts[0]})
	return len(source)
}

// named parses {name}; any other brace is itself.
func (t *Text) named(s string) int {
	name, _, closed := strings.Cut(s[1:], "}")
	if !closed || !isName(name) {
		t.literal("{")
		return 1
	}
	source := s[:len(name)+2]
	p := textPart{text: source, of: placeholderOf(name)}
	if p.of == nil {
		p.ref = &part{name: name, source: source}
	}
	t.parts = append(t.parts, p)
	return len(source)
}

// Literal returns the text and true if it is the same for every request.
func (t *Text) Literal() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].of == nil && t.parts[0].ref == nil:
		return t.parts[0].text, true
	}
	return "", false
}

// uses reports whether t has that placeholder.
func (t *Text) uses(source string) bool {
	return slices.ContainsFunc(t.parts, func(p textPart) bool { return p.of != nil && p.text == source })
}

// CheckText returns an error if t has a placeholder that nothing stands for in a request
// which p has matched, or that could be two things. It says nothing about a pattern that
// is wrong itself.
func CheckText(t Text, p Path) error {
	if _, literal := t.Literal(); literal {
		return nil
	}
	compiled, err := compilePattern(p)
	if err != nil {
		return nil
	}
	for _, part := range t.parts {
		switch {
		case part.of != nil && compiled.has(part.asCapture()):
			return ambiguous(part.text)
		case part.ref == nil || compiled.has(*part.ref):
		case isWord(part.ref.name):
			return compiled.lacks(*part.ref, true)
		case part.ref.name == "" && (p.Kind == Regex || len(compiled.names) > 1):
			return fmt.Errorf("%q: %w; a literal dollar is $$", part.text, compiled.captureNames())
		}
	}
	return nil
}

// asCapture is the capture that a placeholder would be, if it were one.
func (p textPart) asCapture() part { return part{name: p.text[1 : len(p.text)-1], source: p.text} }

func (p *pattern) namedCaptures() (names []string) {
	for _, name := range p.names {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// errControl is an error that a proxy answers with 400.
var errControl = errors.New("want no control byte")

// Expand returns the text for one request. What placeholders stand for is put in as it is:
// a capture with the escapes that the path has. The error, which a proxy answers with 400,
// is a control byte, raw or escaped.
func (t *Text) Expand(v *Values) (string, error) { return t.ExpandWith(v, nil) }

// ExpandWith is Expand with quote applied to what placeholders stand for, if it is not nil.
func (t *Text) ExpandWith(v *Values, quote func(string) string) (string, error) {
	if text, literal := t.Literal(); literal {
		return text, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		value, ok := p.value(v)
		switch {
		case !ok:
			b.WriteString(p.text)
			continue
		case hasControl(value):
			return "", fmt.Errorf("%s is %q: %w", p.text, value, errControl)
		case quote != nil:
			value = quote(value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// value is what p stands for, or false if p is literal.
func (p textPart) value(v *Values) (string, bool) {
	switch {
	case p.of != nil:
		return p.of(v), true
	case p.ref == nil || v.Captures == nil:
		return "", false
	}
	return p.ref.in(v.Captures)
}
