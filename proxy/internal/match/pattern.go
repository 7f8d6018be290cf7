package match

// A rule's path, compiled. Exact and prefix patterns are brought to the same
// normal form as requests; a regex is what regex.go makes of it.

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// pattern is a compiled Path. It is immutable once it is compiled, but for look
// and firstRunes.
type pattern struct {
	kind     PathKind
	text     string    // normal form, captures as {name}; a regex as written
	written  string    // as written, for messages
	segments []segment // Exact with captures: all its segments, else nil
	names    []string  // of the captures, by number; "" is unnamed, names[0] is the whole. nil: captures nothing

	kinds string // Exact: an 'a' for each literal segment, a 'b' for each capture: its precedence
	shape string // patterns of one kind and shape that are not regexes match the same paths

	re      *regexp.Regexp // Regex, once it is compiled: see regexp
	literal string         // Regex: every match starts with it
	end     regexEnd       // what may follow the literal

	size int // Regex: about how many bytes re takes

	// Regex: what a judgement draws when it needs it, on rules that it alone knows.
	look       *outlook
	firstRunes firstRunes
}

// segment is one segment of an Exact pattern.
type segment struct {
	literal string
	capture bool
}

// word is the path's kind in the routes file's words.
func (k PathKind) word() string {
	return [...]string{"path", "path", "path_prefix", "path_regex"}[k]
}

// compilePattern compiles all but regexes, which are read only: see rule.compile.
func compilePattern(p Path) (*pattern, error) {
	switch p.Kind {
	case Exact:
		return compileExact(p.Pattern)
	case Prefix:
		return compilePrefix(p.Pattern)
	case Regex:
		return readRegex(p.Pattern)
	}
	return &pattern{kind: AnyPath}, nil
}

func compileExact(text string) (*pattern, error) {
	normal, err := normalizePattern(Exact, text)
	if err != nil {
		return nil, err
	}
	p := &pattern{kind: Exact, text: normal, written: text, shape: normal}
	if strings.ContainsAny(normal, "{}") {
		if err := p.parseCaptures(); err != nil {
			return nil, err
		}
	} else {
		p.kinds = strings.Repeat("a", strings.Count(normal, "/"))
	}
	return p, nil
}

// parseCaptures splits p.text into segments and names its captures.
func (p *pattern) parseCaptures() error {
	p.names = []string{""}
	var kinds, shape strings.Builder
	for rest := p.text; rest != ""; {
		var text string
		text, rest = cutSegment(rest)
		s, err := p.parseSegment(text)
		if err != nil {
			return err
		}
		p.segments = append(p.segments, s)
		kinds.WriteByte(s.kind())
		shape.WriteString("/" + s.literal)
		if s.capture {
			shape.WriteString("{}")
		}
	}
	p.kinds, p.shape = kinds.String(), shape.String()
	return nil
}

func (s segment) kind() byte {
	if s.capture {
		return 'b'
	}
	return 'a'
}

func (p *pattern) parseSegment(text string) (segment, error) {
	if !strings.ContainsAny(text, "{}") {
		return segment{literal: text}, nil
	}
	name, ok := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !ok || !closed || strings.ContainsAny(name, "{}") {
		return segment{}, fmt.Errorf("path %q, segment %q: want a capture to be a whole segment, {name}; "+
			"a literal brace is %%7B or %%7D", p.written, p.asWritten(text))
	}
	if !isName(name) {
		return segment{}, fmt.Errorf("path %q, capture %q: want a letter or _, then letters, digits or _", p.written, p.asWritten(text))
	}
	for _, earlier := range p.names {
		if earlier == name {
			return segment{}, fmt.Errorf("path %q, capture %q stands twice: want another name", p.written, text)
		}
	}
	p.names = append(p.names, name)
	return segment{capture: true}, nil
}

// asWritten returns a segment of the normal form as it was written, if that can be told.
func (p *pattern) asWritten(segment string) string {
	if decoded, err := url.PathUnescape(segment); err == nil && strings.Contains(p.written, decoded) {
		return decoded
	}
	return segment
}

// isName reports whether s can name a capture.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '_' && (!httpsyntax.IsAlphanumeric(s[i]) || i == 0 && s[i] <= '9') {
			return false
		}
	}
	return s != ""
}

func compilePrefix(text string) (*pattern, error) {
	normal, err := normalizePattern(Prefix, text)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(normal, "{}") {
		return nil, fmt.Errorf("path_prefix %q: want captures in path or path_regex; a literal brace is %%7B or %%7D", text)
	}
	return &pattern{kind: Prefix, text: normal, written: text, shape: normal}, nil
}

// normalizePattern is NormalizePath but for the braces of captures.
func normalizePattern(kind PathKind, text string) (string, error) {
	if text == "" || text[0] != '/' {
		return "", fmt.Errorf("%s %q: want a leading slash", kind.word(), text)
	}
	if strings.Contains(text, "?") {
		return "", fmt.Errorf("%s %q: want a path only; say the query's conditions with query", kind.word(), text)
	}
	normal, err := rewritePath(text, keepBraces)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", kind.word(), text, err)
	}
	return normal, nil
}

// matches reports whether path, which is normal, matches.
func (p *pattern) matches(path string) bool {
	switch p.kind {
	case Exact:
		return p.matchesExact(path)
	case Prefix:
		return hasSegmentPrefix(path, p.text)
	case Regex:
		return strings.HasPrefix(path, p.literal) && p.regexp().MatchString(path)
	}
	return true
}

// regexp returns the compiled regex. In a Tree it is compiled beforehand; a judgement
// needs few of them, and to compile all would be most of the memory that it takes.
func (p *pattern) regexp() *regexp.Regexp {
	if p.re == nil {
		p.re = compileRead(p.text)
	}
	return p.re
}

// compileRead compiles a regex that is known to be well formed.
func compileRead(text string) *regexp.Regexp {
	re, err := compiled.regex(text)
	if err != nil {
		panic("match: compiling a regex that was read: " + err.Error())
	}
	return re
}

func (p *pattern) matchesExact(path string) bool {
	if p.segments == nil {
		return path == p.text
	}
	for _, s := range p.segments {
		if path == "" {
			return false
		}
		var text string
		text, path = cutSegment(path)
		if s.capture && text == "" || !s.capture && text != s.literal {
			return false
		}
	}
	return path == ""
}

// hasSegmentPrefix reports whether path is prefix or below it.
func hasSegmentPrefix(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) &&
		(len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/')
}

// why says why p does not match path.
func (p *pattern) why(path string) string {
	if p.kind == Prefix && path+"/" == p.text {
		return fmt.Sprintf("path_prefix %s does not match %s: its last slash is missing", p.written, path)
	}
	return fmt.Sprintf("%s %s does not match %s", p.kind.word(), p.written, path)
}

// spans appends the places of the captures in path, which p matches: start and
// end of the whole match, then of each capture, -1 where a group of a regex took
// no part.
func (p *pattern) spans(dst []int, path string) []int {
	if p.kind == Regex {
		return append(dst, p.regexp().FindStringSubmatchIndex(path)...)
	}
	dst = append(dst, 0, len(path))
	at := 0
	for _, s := range p.segments {
		text, _ := cutSegment(path[at:])
		at++
		if s.capture {
			dst = append(dst, at, at+len(text))
		}
		at += len(text)
	}
	return dst
}

// CheckRefs returns an error if t refers to a capture that a path of that
// pattern does not have. It says nothing about a pattern that is wrong itself.
func CheckRefs(t *Template, p Path) error {
	compiled, err := compilePattern(p)
	if err != nil {
		return nil
	}
	for _, part := range t.parts {
		switch {
		case part.of != nil && compiled.has(part):
			return ambiguous(part.source)
		case part.of == nil && part.isRef() && !compiled.has(part):
			return compiled.lacks(part, t.location)
		}
	}
	return nil
}

// ambiguous is the error of a name that could be two things. Which one is meant matters:
// a capture is what a client likes.
func ambiguous(source string) error {
	return fmt.Errorf("%q is both a placeholder and a capture of the match: rename the capture", source)
}

// lacks is the error of a capture that p has not.
func (p *pattern) lacks(ref part, placeholders bool) error {
	if placeholders && isWord(ref.name) {
		return &PlaceholderError{Source: ref.source, Name: ref.name, Known: p.namedCaptures()}
	}
	return fmt.Errorf("%q: %w", ref.source, p.captureNames())
}

// has reports whether p captures what part refers to. $0 is the text that a
// regex matched, which may end before the path does.
func (p *pattern) has(ref part) bool {
	if ref.name != "" {
		for _, name := range p.names {
			if name == ref.name {
				return true
			}
		}
		return false
	}
	return ref.number > 0 && ref.number < len(p.names) || ref.number == 0 && p.kind == Regex
}

// captureNames is an error that says what may be referred to.
func (p *pattern) captureNames() error {
	switch {
	case p.kind == AnyPath:
		return errors.New("the route has no path or path_regex to capture from")
	case p.kind == Prefix:
		return fmt.Errorf("path_prefix %s captures nothing: want path or path_regex", p.written)
	case len(p.names) < 2:
		return fmt.Errorf("%s %s captures nothing", p.kind.word(), p.written)
	}
	var names []string
	for i, name := range p.names[1:] {
		names = append(names, fmt.Sprintf("$%d", i+1))
		if name != "" {
			names = append(names, "{"+name+"}")
		}
	}
	return fmt.Errorf("%s %s has no such capture: want one of %s", p.kind.word(), p.written, strings.Join(names, ", "))
}
