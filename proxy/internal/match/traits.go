package match

// What every text that a regex matches has in common, read off its syntax: the
// few texts that it can be, what it starts and ends with, and the same of each
// segment of a path. Two regexes that differ there have no match in common, and
// thousands can be told apart by a table where a walk through every pair of
// automata would take hours.
//
// All of it is an over-approximation: what is not understood is any text.
// Letters are folded, so that a regex that ignores case has traits too.

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

const (
	maxTexts  = 16  // alternatives that are followed
	maxTrait  = 256 // bytes of each
	maxPieces = 24  // segments at either end of a path
)

// traits is of a text or of one segment. A nil list says nothing.
type traits struct {
	whole  []string // it is one of these
	starts []string // it starts with one of these
}

// outlook is the traits of a regex.
type outlook struct {
	front, back traits // of the text; back is of its reverse
	// Of a path, the segments from the front and, reversed, from the back, as
	// far as they can be told apart.
	segments, behind []traits
	count            int // how many segments there are, -1 when it is not known
}

// piece is a part of a concatenation: one of texts or, if that is nil, anything,
// a slash in it or not.
type piece struct {
	texts []string
	slash bool
}

// outlookOf reads the traits off a regex. Only of a path are there segments.
func outlookOf(text string, isPath bool) *outlook {
	o := &outlook{count: -1}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return o
	}
	parts := flatten(nil, tree)
	begins := len(parts) > 0 && parts[0].Op == syntax.OpBeginText
	ends := len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText
	pieces := make([]piece, 0, len(parts))
	for _, re := range parts {
		pieces = append(pieces, pieceOf(re))
	}
	if begins {
		o.front = traitsOf(pieces, ends)
		if isPath {
			o.segments, o.count = segmentsOf(pieces, ends)
		}
	}
	if ends {
		reverse(pieces)
		o.back = traitsOf(pieces, begins)
		if isPath {
			o.behind, _ = segmentsOf(pieces, begins)
		}
	}
	return o
}

func pieceOf(re *syntax.Regexp) piece {
	if texts, ok := textsOf(re); ok {
		return piece{texts: texts}
	}
	return piece{slash: hasSlash(re)}
}

// textsOf lists, folded, the texts that re can match, if they are few. What takes
// no rune is the empty text: that it may ask for something more is left out.
func textsOf(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if len(re.Rune) > maxTrait {
			return nil, false
		}
		return []string{foldRunes(re.Rune)}, true
	case syntax.OpCharClass:
		return textsOfClass(re.Rune)
	case syntax.OpCapture:
		return textsOf(re.Sub[0])
	case syntax.OpQuest:
		texts, ok := textsOf(re.Sub[0])
		return append([]string{""}, texts...), ok && len(texts) < maxTexts
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			texts, ok := textsOf(sub)
			if ok {
				all, ok = joined(all, texts)
			}
			if !ok {
				return nil, false
			}
		}
		return all, true
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			texts, ok := textsOf(sub)
			if all = append(all, texts...); !ok || len(all) > maxTexts {
				return nil, false
			}
		}
		return all, true
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, true
	}
	return nil, false
}

func textsOfClass(ranges []rune) (texts []string, ok bool) {
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(texts) == maxTexts {
				return nil, false
			}
			texts = append(texts, string(foldRune(r)))
		}
	}
	return texts, len(texts) > 0
}

// joined is each of a with each of b behind it, if they are few.
func joined(a, b []string) ([]string, bool) {
	if len(a)*len(b) > maxTexts {
		return nil, false
	}
	all := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxTrait {
				return nil, false
			}
			all = append(all, x+y)
		}
	}
	return all, true
}

// foldRune returns the least of the runes that differ from r in case alone.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

func foldRunes(runes []rune) string {
	var b strings.Builder
	for _, r := range runes {
		b.WriteRune(foldRune(r))
	}
	return b.String()
}

func foldText(s string) string { return strings.Map(foldRune, s) }

// hasSlash reports whether a match of re may have a slash in it.
func hasSlash(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return slices.Contains(re.Rune, '/')
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i] <= '/' && '/' <= re.Rune[i+1] {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(re.Sub, hasSlash)
}

func reverse(pieces []piece) {
	slices.Reverse(pieces)
	for i, p := range pieces {
		if p.texts == nil {
			continue
		}
		turned := make([]string, len(p.texts))
		for k, text := range p.texts {
			turned[k] = reversed(text)
		}
		pieces[i].texts = turned
	}
}

func reversed(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

// traitsOf reads pieces from the front. closed says that nothing follows them.
func traitsOf(pieces []piece, closed bool) traits {
	t := traits{starts: []string{""}}
	for _, p := range pieces {
		if p.texts == nil || !t.add(p.texts) {
			return t
		}
	}
	if closed {
		t.whole = t.starts
	}
	return t
}

// add adds texts to what t starts with, if they stay few.
func (t *traits) add(texts []string) bool {
	all, ok := joined(t.starts, texts)
	if ok {
		t.starts = all
	}
	return ok
}

// segmentsOf cuts what pieces are into segments, and counts them if closed says
// that nothing follows.
func segmentsOf(pieces []piece, closed bool) (segments []traits, count int) {
	s := segmenter{now: traits{starts: []string{""}}}
	for _, p := range pieces {
		if !s.take(p) || len(s.done) == maxPieces {
			return append(s.done, s.now), -1
		}
	}
	if closed {
		s.end()
		return s.done, len(s.done)
	}
	return append(s.done, s.now), -1
}

type segmenter struct {
	done  []traits
	now   traits // whole is not said yet
	vague bool   // something unknown stands in it: starts is all that is known
}

// take reports whether p can be told apart into segments.
func (s *segmenter) take(p piece) bool {
	switch {
	case p.texts == nil:
		s.vague = true
		return !p.slash
	case len(p.texts) == 1:
		for text := p.texts[0]; ; s.end() {
			before, after, slash := strings.Cut(text, "/")
			s.add([]string{before})
			if text = after; !slash {
				return true
			}
		}
	case slices.ContainsFunc(p.texts, func(text string) bool { return strings.Contains(text, "/") }):
		return false
	}
	s.add(p.texts)
	return true
}

func (s *segmenter) add(texts []string) {
	if !s.vague && !s.now.add(texts) {
		s.vague = true
	}
}

func (s *segmenter) end() {
	if !s.vague {
		s.now.whole = s.now.starts
	}
	s.done = append(s.done, s.now)
	s.now, s.vague = traits{starts: []string{""}}, false
}

// disjoint reports whether no text has the traits of both.
func (t *traits) disjoint(o *traits) bool {
	if t.starts == nil || o.starts == nil {
		return false
	}
	if t.whole != nil && o.whole != nil {
		return !slices.ContainsFunc(t.whole, func(a string) bool { return slices.Contains(o.whole, a) })
	}
	for _, a := range t.starts {
		for _, b := range o.starts {
			if t.whole != nil && strings.HasPrefix(a, b) || o.whole != nil && strings.HasPrefix(b, a) ||
				t.whole == nil && o.whole == nil && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
				return false
			}
		}
	}
	return true
}

// disjoint reports whether no text has the traits of both.
func (o *outlook) disjoint(p *outlook) bool {
	return o.count >= 0 && p.count >= 0 && o.count != p.count ||
		o.count >= 0 && p.count < 0 && len(p.segments) > o.count || p.count >= 0 && o.count < 0 && len(o.segments) > p.count ||
		o.front.disjoint(&p.front) || o.back.disjoint(&p.back) ||
		someApart(o.segments, p.segments) || someApart(o.behind, p.behind)
}

func someApart(a, b []traits) bool {
	for i := range min(len(a), len(b)) {
		if a[i].disjoint(&b[i]) {
			return true
		}
	}
	return false
}
