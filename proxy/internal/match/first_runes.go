package match

// A cheap proof that two regexes have no match in common: at some place of a text,
// each wants a rune that the other does not. It suffices for a thousand regexes that
// differ in a name, where walking every pair of automata would take minutes.

import (
	"regexp/syntax"
	"slices"
)

// firstRunes has, for each of the first places of a text, the runes that a regex admits
// there. Behind its last place it admits any.
type firstRunes []runeSet

// runeSet is a set of ASCII runes, one bit for all others, and one for the end
// of the text.
type runeSet [3]uint64

const (
	beyondASCII = 128
	endOfText   = 129
)

const (
	firstRunesLength = 48 // places looked at
	firstRunesWidth  = 64 // places in the program, beyond which it is not worth it
)

func (s *runeSet) add(bit int)           { s[bit/64] |= 1 << (bit % 64) }
func (s *runeSet) meets(o *runeSet) bool { return s[0]&o[0]|s[1]&o[1]|s[2]&o[2] != 0 }

// disjoint reports whether no text is within both.
func disjoint(a, b firstRunes) bool {
	for i := range min(len(a), len(b)) {
		if !a[i].meets(&b[i]) {
			return true
		}
	}
	return false
}

// firstRunesOf returns o, the first runes of text, and computes it at its first use. The
// steps count for the pair that is compared then.
func (j *judgement) firstRunesOf(o *firstRunes, text string) firstRunes {
	if *o == nil {
		*o = j.computeFirstRunes(text)
	}
	return *o
}

// front is where a machine may be after some runes.
type front struct {
	at     int32
	before rune // as in state
}

// computeFirstRunes runs a regex over all texts at once.
func (j *judgement) computeFirstRunes(text string) firstRunes {
	m := j.machine(text)
	if m == nil {
		return firstRunes{}
	}
	fronts := []front{{notBegun, -1}}
	ended := false
	o := make(firstRunes, 0, firstRunesLength)
	for range firstRunesLength {
		var set runeSet
		var next []front
		for _, f := range fronts {
			ended = ended || slices.Contains(m.closure(f.at, syntax.EmptyOpContext(f.before, -1)), matched)
			next = m.advance(next, f, &set)
		}
		if len(next) > firstRunesWidth {
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
		of := &notWord
		if class == 'a' {
			of = &word
		}
		places := m.closure(f.at, syntax.EmptyOpContext(f.before, class))
		*m.left -= len(places)
		for _, at := range places {
			takes := of
			if at >= 0 {
				takes = m.set(at).and(of)
			}
			if *takes == (runeSet{}) {
				continue
			}
			set.join(takes)
			if to := (front{m.after(at), class}); !slices.Contains(next, to) {
				next = append(next, to)
			}
		}
	}
	return next
}

// word and notWord are the runes of the two classes.
var word, notWord = func() (w, n runeSet) {
	for r := range rune(beyondASCII + 1) {
		if syntax.IsWordChar(r) {
			w.add(int(r))
		} else {
			n.add(int(r))
		}
	}
	return w, n
}()

func (s *runeSet) and(o *runeSet) *runeSet { return &runeSet{s[0] & o[0], s[1] & o[1], s[2] & o[2]} }

func (s *runeSet) join(o *runeSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// setsOf returns the runes that each instruction takes. Those of a repetition
// share their runes.
func setsOf(all []syntax.Inst) []runeSet {
	type key struct {
		runes *rune
		n     int
		fold  uint32
	}
	known := make(map[key]runeSet)
	sets := make([]runeSet, len(all))
	for i := range all {
		inst := &all[i]
		switch inst.Op {
		case syntax.InstRune1:
			sets[i].add(int(min(inst.Rune[0], beyondASCII)))
		case syntax.InstRune:
			if len(inst.Rune) == 0 {
				continue
			}
			k := key{&inst.Rune[0], len(inst.Rune), inst.Arg}
			set, ok := known[k]
			if !ok {
				set = setOf(inst)
				known[k] = set
			}
			sets[i] = set
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			sets[i] = setOf(inst)
		}
	}
	return sets
}

func setOf(inst *syntax.Inst) (set runeSet) {
	for r := range rune(beyondASCII) {
		if inst.MatchRune(r) {
			set.add(int(r))
		}
	}
	every := inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL
	fold := syntax.Flags(inst.Arg)&syntax.FoldCase != 0 // k folds to the Kelvin sign
	if every || fold || slices.Max(inst.Rune) >= beyondASCII {
		set.add(beyondASCII)
	}
	return set
}

// after is where a place leads when it takes a rune.
func (m *machine) after(at int32) int32 {
	if at < 0 {
		return at
	}
	return int32(m.Inst[at].Out)
}
