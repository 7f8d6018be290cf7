package match

// Whether two regexes match a same text, decided and shown with such a text.
//
// An RE2 is a finite automaton, so the question has an answer: walk both
// programs in step, and beside them the automaton of the texts that may occur at
// all, breadth first, until all three accept. The walk is over sets small enough
// in practice; where it takes more than maxWork the answer is unknown.

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxWork bounds the walk, in places looked at and runes tried: some tens of
// milliseconds, far above what patterns written by people need. A routes file
// must not be able to stop its reader with a regex of a thousand repetitions.
const maxWork = 1 << 20

// Places in a program besides its instructions.
const (
	waiting int32 = -1 - iota // the match has not begun: regexes are not anchored
	done                      // it is over, and whatever follows does not matter
	dead                      // it cannot come to be
)

// intersect returns a shortest text of l that both regexes match; "" for b is
// the regex that matches every text.
func intersect(l language, a, b string) (string, decision) {
	if a == b {
		b = ""
	}
	p := product{language: l, a: newMachine(a), b: newMachine(b)}
	p.alphabet = []rune(l.alphabet)
	if !l.complete {
		ends := slices.Concat(p.a.runes(), p.b.runes())
		slices.Sort(ends)
		p.alphabet = append(p.alphabet, slices.Compact(ends)...)
	}
	return p.walk()
}

// machine runs one regex nondeterministically: one place at a time.
type machine struct {
	prog     *syntax.Prog
	anchored bool // a match begins where the text does, or may as well
	closures map[closureKey][]int32
}

type closureKey struct {
	at    int32
	flags syntax.EmptyOp
}

// newMachine panics if text is no regex: rules are compiled before they are
// compared.
func newMachine(text string) *machine {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		panic("match: comparing regexes: " + err.Error())
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		panic("match: comparing regexes: " + err.Error())
	}
	return &machine{prog: prog, anchored: text == "" || isAnchored(tree), closures: make(map[closureKey][]int32)}
}

// runes returns the ends of every range of runes in the program. Where two
// ranges have a rune in common, an end of one of them is common.
func (m *machine) runes() (ends []rune) {
	for i := range m.prog.Inst {
		for _, r := range m.prog.Inst[i].Rune {
			ends = append(ends, r)
			for fold := unicode.SimpleFold(r); fold != r; fold = unicode.SimpleFold(fold) {
				ends = append(ends, fold)
			}
		}
	}
	return ends
}

// closure returns the places, each of which takes a rune next, that are reached
// from at without taking one, where flags hold.
func (m *machine) closure(at int32, flags syntax.EmptyOp) []int32 {
	if at == done {
		return []int32{done}
	}
	key := closureKey{at, flags}
	if c, ok := m.closures[key]; ok {
		return c
	}
	var c []int32
	if at == waiting {
		if !m.anchored {
			c = append(c, waiting)
		}
		at = int32(m.prog.Start)
	}
	c = m.expand(c, at, flags, make(map[int32]bool))
	m.closures[key] = c
	return c
}

func (m *machine) expand(dst []int32, at int32, flags syntax.EmptyOp, seen map[int32]bool) []int32 {
	if seen[at] {
		return dst
	}
	seen[at] = true
	switch inst := &m.prog.Inst[at]; inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		dst = m.expand(dst, int32(inst.Out), flags, seen)
		return m.expand(dst, int32(inst.Arg), flags, seen)
	case syntax.InstCapture, syntax.InstNop:
		return m.expand(dst, int32(inst.Out), flags, seen)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(inst.Arg)&^flags == 0 {
			return m.expand(dst, int32(inst.Out), flags, seen)
		}
		return dst
	case syntax.InstMatch:
		return append(dst, done)
	case syntax.InstFail:
		return dst
	}
	return append(dst, at)
}

// step takes r at a place that closure returned.
func (m *machine) step(at int32, r rune) int32 {
	if at == waiting || at == done {
		return at
	}
	if inst := &m.prog.Inst[at]; inst.MatchRune(r) {
		return int32(inst.Out)
	}
	return dead
}

// single returns the one rune that a place takes, if it takes only one.
func (m *machine) single(at int32) (rune, bool) {
	if at < 0 {
		return 0, false
	}
	inst := &m.prog.Inst[at]
	if len(inst.Rune) != 1 || syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		return 0, false
	}
	return inst.Rune[0], true
}

// product is the walk through two machines and a language at once.
type product struct {
	language
	a, b     *machine
	alphabet []rune

	queue []visited
	seen  map[state]bool
	work  int
}

// state is a state of the walk.
type state struct {
	a, b   int32
	before rune // of the same class as the rune taken last; -1 at the start
	text   uint8
}

// visited is a state reached, and how.
type visited struct {
	state
	from int
	by   rune
}

func (p *product) walk() (string, decision) {
	p.seen = make(map[state]bool)
	p.reach(visited{state: state{a: waiting, b: waiting, before: -1}, from: -1})
	for i := 0; i < len(p.queue); i++ {
		if p.accepts(p.queue[i].state) {
			return p.textOf(i), yes
		}
		if p.leave(i); p.work > maxWork {
			return "", unknown
		}
	}
	return "", no
}

func (p *product) reach(v visited) {
	if !p.seen[v.state] {
		p.seen[v.state] = true
		p.queue = append(p.queue, v)
	}
}

// accepts reports whether the text may end in s.
func (p *product) accepts(s state) bool {
	flags := syntax.EmptyOpContext(s.before, -1)
	return p.final(s.text) &&
		slices.Contains(p.a.closure(s.a, flags), done) &&
		slices.Contains(p.b.closure(s.b, flags), done)
}

// leave reaches every state that one more rune leads to. What may be passed
// before the rune depends on its class alone: part of a word or not.
func (p *product) leave(i int) {
	s := p.queue[i].state
	for _, class := range [...]rune{'a', '-'} {
		flags := syntax.EmptyOpContext(s.before, class)
		placesA, placesB := p.a.closure(s.a, flags), p.b.closure(s.b, flags)
		p.work += len(placesA) + len(placesB)
		for _, a := range placesA {
			for _, b := range placesB {
				if p.work <= maxWork {
					p.take(i, a, b, class)
				}
			}
		}
	}
}

// take takes every rune of a class that the places a and b both take.
func (p *product) take(i int, a, b int32, class rune) {
	choices := p.choices(a, b)
	p.work += len(choices)
	for _, r := range choices {
		if syntax.IsWordChar(r) != syntax.IsWordChar(class) || !utf8.ValidRune(r) {
			continue
		}
		text, ok := p.next(p.queue[i].text, r)
		nextA, nextB := p.a.step(a, r), p.b.step(b, r)
		if ok && nextA != dead && nextB != dead {
			p.reach(visited{state{nextA, nextB, class, text}, i, r})
		}
	}
}

func (p *product) choices(a, b int32) []rune {
	if r, ok := p.a.single(a); ok {
		return []rune{r}
	}
	if r, ok := p.b.single(b); ok {
		return []rune{r}
	}
	return p.alphabet
}

// textOf returns the runes that led to a state.
func (p *product) textOf(i int) string {
	var text []rune
	for ; p.queue[i].from >= 0; i = p.queue[i].from {
		text = append(text, p.queue[i].by)
	}
	slices.Reverse(text)
	return string(text)
}
