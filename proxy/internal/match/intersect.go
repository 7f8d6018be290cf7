package match

// Whether two regexes match a same text, decided and shown with such a text.
//
// An RE2 is a finite automaton, so the question has an answer: walk both
// programs in step, and beside them the automaton of the texts that may occur at
// all, breadth first, until all three accept. The walk is over sets small enough
// in practice; where it takes more steps than a pair has the answer is unknown.

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Places in a program besides its instructions.
const (
	notBegun int32 = -1 - iota // the match has not begun: regexes are not anchored
	matched                    // it is over, and whatever follows does not matter
	failed                     // it cannot come to be
)

// intersect returns a shortest text of l that both regexes match; "" for b is
// the regex that matches every text.
func (j *judgement) intersect(l inputAutomaton, a, b string) (string, decision) {
	if a == b {
		b = ""
	}
	p := product{inputAutomaton: l, a: j.machine(a), b: j.machine(b), left: &j.pair}
	if p.a == nil || p.b == nil || j.pair <= 0 {
		return "", unknown
	}
	p.alphabet = p.letters()
	return p.walk()
}

// letters returns the runes to try: of those that no one can tell apart, the
// first.
func (p *product) letters() []rune {
	letters := make([]rune, 0, 32)
	seen := make(map[[3]uint8]bool, 32)
	a, b := p.a.classes(), p.b.classes()
	for _, r := range p.inputAutomaton.alphabet {
		class := [3]uint8{a[r], b[r], p.class[r]}
		if !seen[class] {
			seen[class] = true
			letters = append(letters, r)
		}
	}
	if !p.complete {
		ends := slices.Concat(p.a.runes(), p.b.runes())
		slices.Sort(ends)
		letters = append(letters, slices.Compact(ends)...)
	}
	*p.left -= len(letters)
	return letters
}

// machine runs one regex nondeterministically: one place at a time.
type machine struct {
	*program
	left     *int // steps
	closures map[closureKey][]int32
}

type closureKey struct {
	at    int32
	flags syntax.EmptyOp
}

// machine returns nil for a regex that is too large.
func (j *judgement) machine(text string) *machine {
	p := j.program(text)
	if p == nil {
		return nil
	}
	return &machine{program: p, left: &j.pair, closures: make(map[closureKey][]int32)}
}

// classes tells the ASCII runes apart that some instruction does.
func (p *program) classes() *[128]uint8 {
	if p.class != nil {
		return p.class
	}
	p.class = new([128]uint8)
	seen := make(map[runeSet]bool)
	for i := range p.Inst {
		if set := p.set(int32(i)); set != nil && !seen[*set] {
			seen[*set] = true
			refine(p.class, func(r rune) uint8 { return uint8(set[r/64] >> (r % 64) & 1) })
		}
	}
	return p.class
}

// refine splits the classes of runes by what f says of them.
func refine(class *[128]uint8, f func(r rune) uint8) {
	type split struct{ of, is uint8 }
	renamed := make(map[split]uint8, 16)
	for r := range rune(len(class)) {
		s := split{class[r], f(r)}
		to, known := renamed[s]
		if !known {
			to = uint8(len(renamed))
			renamed[s] = to
		}
		class[r] = to
	}
}

// set returns the runes that an instruction takes, nil if it takes none.
func (p *program) set(at int32) *runeSet {
	if p.sets == nil {
		p.sets = setsOf(p.Inst)
	}
	switch p.Inst[at].Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return &p.sets[at]
	}
	return nil
}

// runes returns the ends of every range of runes in the program. Where two
// ranges have a rune in common, an end of one of them is common.
func (m *machine) runes() (ends []rune) {
	for i := range m.Inst {
		for _, r := range m.Inst[i].Rune {
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
	if at == matched {
		return []int32{matched}
	}
	key := closureKey{at, flags}
	if c, ok := m.closures[key]; ok {
		return c
	}
	var c []int32
	if at == notBegun {
		if !m.anchored {
			c = append(c, notBegun)
		}
		at = int32(m.Start)
	}
	seen := make(map[int32]bool)
	c = m.expand(c, at, flags, seen)
	*m.left -= len(seen)
	m.closures[key] = c
	return c
}

// expand recurses no deeper than a program that a pair's steps allow is long.
func (m *machine) expand(dst []int32, at int32, flags syntax.EmptyOp, seen map[int32]bool) []int32 {
	if seen[at] {
		return dst
	}
	seen[at] = true
	switch inst := &m.Inst[at]; inst.Op {
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
		return append(dst, matched)
	case syntax.InstFail:
		return dst
	}
	return append(dst, at)
}

// step takes r at a place that closure returned.
func (m *machine) step(at int32, r rune) int32 {
	if at == notBegun || at == matched {
		return at
	}
	if inst := &m.Inst[at]; inst.MatchRune(r) {
		return int32(inst.Out)
	}
	return failed
}

// single returns the one rune that a place takes, if it takes only one.
func (m *machine) single(at int32) (rune, bool) {
	if at < 0 {
		return 0, false
	}
	inst := &m.Inst[at]
	if len(inst.Rune) != 1 || syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		return 0, false
	}
	return inst.Rune[0], true
}

// product is the walk through two machines and the inputs at once.
type product struct {
	inputAutomaton
	a, b     *machine
	alphabet []rune

	queue []visited
	seen  map[state]bool
	left  *int // steps
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
	p.reach(visited{state: state{a: notBegun, b: notBegun, before: -1}, from: -1})
	for i := 0; i < len(p.queue); i++ {
		if p.accepts(p.queue[i].state) {
			return p.textOf(i), yes
		}
		if p.leave(i); *p.left <= 0 {
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
		slices.Contains(p.a.closure(s.a, flags), matched) &&
		slices.Contains(p.b.closure(s.b, flags), matched)
}

// leave reaches every state that one more rune leads to. What may be passed
// before the rune depends on its class alone: part of a word or not.
func (p *product) leave(i int) {
	s := p.queue[i].state
	for _, class := range [...]rune{'a', '-'} {
		flags := syntax.EmptyOpContext(s.before, class)
		placesA, placesB := p.a.closure(s.a, flags), p.b.closure(s.b, flags)
		*p.left -= len(placesA) + len(placesB)
		for _, a := range placesA {
			for _, b := range placesB {
				if *p.left > 0 {
					p.take(i, a, b, class)
				}
			}
		}
	}
}

// take takes every rune of a class that the places a and b both take.
func (p *product) take(i int, a, b int32, class rune) {
	choices := p.choices(a, b)
	*p.left -= len(choices)
	for _, r := range choices {
		if syntax.IsWordChar(r) != syntax.IsWordChar(class) || !utf8.ValidRune(r) {
			continue
		}
		text, ok := p.next(p.queue[i].text, r)
		nextA, nextB := p.a.step(a, r), p.b.step(b, r)
		if ok && nextA != failed && nextB != failed {
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
