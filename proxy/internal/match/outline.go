package match

// A cheap proof that two regexes have no match in common: at some place of a
// text, one wants a rune that the other does not. A thousand regexes that
// differ in a name are told apart by it, where walking every pair of automata
// would take minutes.

import (
	"regexp/syntax"
	"slices"
)

// outline says of each of the first places of a text which runes a regex admits
// there. It says nothing of the places behind its last.
type outline []runeSet

// runeSet is a set of ASCII runes, one bit for all others, and one for the end
// of the text.
type runeSet [3]uint64

const (
	beyondASCII = 128
	endOfText   = 129
)

const (
	outlineLength = 48 // places looked at
	outlineWidth  = 64 // places in the program, beyond which it is not worth it
)

func (s *runeSet) add(bit int)           { s[bit/64] |= 1 << (bit % 64) }
func (s *runeSet) meets(o *runeSet) bool { return s[0]&o[0]|s[1]&o[1]|s[2]&o[2] != 0 }

// apart reports whether no text is within both outlines.
func apart(a, b outline) bool {
	for i := range min(len(a), len(b)) {
		if !a[i].meets(&b[i]) {
			return true
		}
	}
	return false
}

// outlined draws o, the outline of text, unless it is drawn already.
func outlined(o *outline, text string) outline {
	if *o == nil {
		*o = outlineOf(text)
	}
	return *o
}

// front is where a machine may be after some runes.
type front struct {
	at     int32
	before rune // as in state
}

// outlineOf runs a regex over all texts at once.
func outlineOf(text string) outline {
	m := newMachine(text)
	fronts := []front{{waiting, -1}}
	ended := false
	o := make(outline, 0, outlineLength)
	for range outlineLength {
		var set runeSet
		var next []front
		for _, f := range fronts {
			ended = ended || slices.Contains(m.closure(f.at, syntax.EmptyOpContext(f.before, -1)), done)
			next = m.advance(next, f, &set)
		}
		if len(next) > outlineWidth {
			break
		}
		if ended {
			set.add(endOfText)
		}
		o, fronts = append(o, set), next
	}
	return o
}

// advance adds to next where one more rune leads from f, and that rune to set.
func (m *machine) advance(next []front, f front, set *runeSet) []front {
	for _, class := range [...]rune{'a', '-'} {
		for _, at := range m.closure(f.at, syntax.EmptyOpContext(f.before, class)) {
			taken := false
			for r := range rune(beyondASCII + 1) {
				if syntax.IsWordChar(r) == syntax.IsWordChar(class) && m.mayTake(at, r) {
					set.add(int(r))
					taken = true
				}
			}
			if to := (front{m.after(at), class}); taken && !slices.Contains(next, to) {
				next = append(next, to)
			}
		}
	}
	return next
}

// mayTake reports whether a place takes r, or beyondASCII for any such rune.
func (m *machine) mayTake(at int32, r rune) bool {
	if at < 0 || r < beyondASCII {
		return m.step(at, r) != dead
	}
	inst := &m.prog.Inst[at]
	every := inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL
	fold := syntax.Flags(inst.Arg)&syntax.FoldCase != 0 // k folds to the Kelvin sign
	return every || fold || slices.Max(inst.Rune) >= beyondASCII
}

// after is where a place leads when it takes a rune.
func (m *machine) after(at int32) int32 {
	if at < 0 {
		return at
	}
	return int32(m.prog.Inst[at].Out)
}
