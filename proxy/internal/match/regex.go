package match

// What must be known of a regex besides whether it matches: that it is
// anchored, the literal that every match begins with, and whether that literal
// says everything.

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// regexEnd says what follows the literal of a regex.
type regexEnd uint8

const (
	endsSomehow  regexEnd = iota // the rest of the regex decides
	endsAnywhere                 // anything: the regex matches what starts with the literal
	endsThere                    // nothing: the regex matches the literal alone
)

// readRegex reads a path_regex without compiling it.
func readRegex(text string) (*pattern, error) {
	if !strings.HasPrefix(text, "^") {
		return nil, fmt.Errorf("path_regex %q: want ^ at its start, %q", text, "^"+text)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("path_regex %q: %s: want RE2 syntax", text, syntaxReason(err))
	}
	if !isAnchored(tree) {
		return nil, fmt.Errorf("path_regex %q: want every alternative anchored, %q", text, "^(?:"+text[1:]+")")
	}
	p := &pattern{kind: Regex, text: text, written: text, names: tree.CapNames(), size: compiledSize(tree)}
	if p.size <= MaxRegexBytes { // else it will be refused, and is not worth the memory
		tree = tree.Simplify()
	}
	p.literal, p.end = literalOf(tree)
	p.shape = p.literal
	return p, nil
}

var errNoPath = "path_regex %q matches no path as paths are matched: they start with a slash, " +
	"unreserved characters are decoded, other escapes are in upper case, double slashes and dot segments are gone"

// probe refuses a regex that matches no path. One that costs too much to tell
// counts as if it matched some.
func (j *judgement) probe(r *rule) error {
	p := r.path
	if p.kind != Regex || j.over() {
		return nil
	}
	j.begin()
	defer j.end()
	if p.matchesSample() {
		return nil
	}
	if _, d := j.intersect(pathInputs, p.text, ""); d == no {
		return fmt.Errorf(errNoPath, p.text)
	}
	return nil
}

// matchesSample reports whether p matches the path that is easiest to find.
func (p *pattern) matchesSample() bool {
	tree, err := syntax.Parse(p.text, syntax.Perl)
	if err != nil {
		return false
	}
	const long = 4096
	sample, ok := appendSample(make([]byte, 0, 64), tree, long)
	if !ok || len(sample) == 0 || sample[0] != '/' || !isNormalPath(sample) {
		return false
	}
	return !assertsWithin(tree) || p.regexp().Match(sample)
}

// assertsWithin reports whether re, an anchored regex, asks for more than that a text
// begins with one of its matches, or is one: then its sample may not be a match.
func assertsWithin(re *syntax.Regexp) bool {
	parts := flatten(nil, re)
	if len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if n := len(parts); n > 0 && parts[n-1].Op == syntax.OpEndText {
		parts = parts[:n-1]
	}
	return slices.ContainsFunc(parts, asserts)
}

func asserts(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpNoMatch:
		return true
	}
	return slices.ContainsFunc(re.Sub, asserts)
}

// appendSample appends a text that re, assertions aside, matches: the shortest
// that can be seen at a glance.
func appendSample(dst []byte, re *syntax.Regexp, long int) (sample []byte, ok bool) {
	if len(dst) > long {
		return dst, false
	}
	times := 1
	switch re.Op {
	case syntax.OpLiteral:
		return append(dst, string(re.Rune)...), true
	case syntax.OpCharClass:
		for _, r := range pathInputs.alphabet {
			if (&syntax.Inst{Op: syntax.InstRune, Rune: re.Rune}).MatchRune(r) {
				return append(dst, byte(r)), true
			}
		}
		return dst, false
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		if len(dst) == 0 {
			return append(dst, '/'), true
		}
		return append(dst, 'a'), true
	case syntax.OpStar, syntax.OpQuest:
		return dst, true
	case syntax.OpAlternate:
		return appendSample(dst, re.Sub[0], long)
	case syntax.OpRepeat:
		times = re.Min
	}
	for range times {
		for _, sub := range re.Sub {
			if dst, ok = appendSample(dst, sub, long); !ok {
				return dst, false
			}
		}
	}
	return dst, true
}

// syntaxReason is what is wrong with a regex, without Go's words around it.
func syntaxReason(err error) string {
	if wrong, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Sprintf("%s at %q", wrong.Code, wrong.Expr)
	}
	return err.Error()
}

// isAnchored reports whether every match of re begins where the text does.
func isAnchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return isAnchored(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min > 0 && isAnchored(re.Sub[0])
	case syntax.OpConcat:
		return len(re.Sub) > 0 && isAnchored(re.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !isAnchored(sub) {
				return false
			}
		}
		return true
	}
	return false
}

// literalOf returns what every match of re, which is anchored, starts with.
func literalOf(re *syntax.Regexp) (string, regexEnd) {
	var literal strings.Builder
	rest := flatten(nil, re)
	for len(rest) > 0 {
		if rest[0].Op == syntax.OpLiteral && rest[0].Flags&syntax.FoldCase == 0 {
			literal.WriteString(string(rest[0].Rune))
		} else if rest[0].Op != syntax.OpBeginText || literal.Len() > 0 {
			break
		}
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].Op == syntax.OpAlternate {
		literal.WriteString(commonLiteral(rest[0].Sub))
	}
	return literal.String(), endOf(rest)
}

// commonLiteral returns what the literals of all alternatives start with.
func commonLiteral(alternatives []*syntax.Regexp) string {
	common, _ := literalOf(alternatives[0])
	for _, re := range alternatives[1:] {
		literal, _ := literalOf(re)
		n := 0
		for n < min(len(common), len(literal)) && common[n] == literal[n] {
			n++
		}
		common = common[:n]
	}
	return common
}

// flatten appends what re is a concatenation of, captures opened.
func flatten(dst []*syntax.Regexp, re *syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			dst = flatten(dst, sub)
		}
		return dst
	case syntax.OpEmptyMatch:
		return dst
	}
	return append(dst, re)
}

// endOf says what rest admits. A path has no line feed, so "." is any byte of it.
func endOf(rest []*syntax.Regexp) regexEnd {
	if len(rest) > 0 && rest[0].Op == syntax.OpStar && isAny(rest[0].Sub[0]) {
		if len(rest) == 1 || len(rest) == 2 && rest[1].Op == syntax.OpEndText {
			return endsAnywhere
		}
		return endsSomehow
	}
	switch {
	case len(rest) == 0:
		return endsAnywhere
	case len(rest) == 1 && rest[0].Op == syntax.OpEndText:
		return endsThere
	}
	return endsSomehow
}

func isAny(re *syntax.Regexp) bool {
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL
}
