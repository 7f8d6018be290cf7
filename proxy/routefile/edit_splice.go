package routefile

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Splicing: what happens to the keys of a mapping, as replacements of bytes.

// hunk replaces data[start:end] by text.
type hunk struct {
	start, end int
	text       string
}

// splicer collects the hunks of one edit.
type splicer struct {
	*layout
	hunks []hunk
	step  int  // spaces by which this file indents
	whole bool // replace a changed record as a whole instead of key by key
}

// slot is what becomes of one key of a mapping.
type slot struct {
	old     *member // nil: a new key
	name    string
	want    *yaml.Node // nil: the value stays
	dropped bool
	after   *member // a new key's place: behind this one; nil: the end
	first   bool    // a new key's place: before all others
}

// replace notes that data[start:end] becomes text.
func (s *splicer) replace(start, end int, text string) {
	if string(s.data[start:end]) != text {
		s.hunks = append(s.hunks, hunk{start, end, text})
	}
}

// cutLines notes that lines [from, to) go. Where the file's last line goes and
// has no line break, the break before it goes instead.
func (s *splicer) cutLines(from, to int) {
	start, end := s.starts[from], s.starts[to]
	if to == s.lineCount() && !s.endsInBreak() && from > 0 {
		start = s.starts[from-1] + len(s.text(from-1))
	}
	s.replace(start, end, "")
}

// addLines notes that lines come before line at.
func (s *splicer) addLines(at int, lines []string) {
	text := strings.Join(lines, s.eol)
	switch {
	case len(lines) == 0:
	case at == s.lineCount() && !s.endsInBreak() && len(s.data) > 0:
		s.replace(len(s.data), len(s.data), s.eol+text)
	default:
		s.replace(s.starts[at], s.starts[at], text+s.eol)
	}
}

func (s *splicer) endsInBreak() bool { return bytes.HasSuffix(s.data, []byte("\n")) }

// splice applies the hunks. Hunks at one offset keep their order, and what is
// added there stands before what is cut.
func (s *splicer) splice() ([]byte, bool) {
	slices.SortStableFunc(s.hunks, func(a, b hunk) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(min(1, a.end-a.start), min(1, b.end-b.start)))
	})
	var out bytes.Buffer
	at := 0
	for _, h := range s.hunks {
		if h.start < at {
			return nil, false
		}
		out.Write(s.data[at:h.start])
		out.WriteString(h.text)
		at = h.end
	}
	out.Write(s.data[at:])
	return out.Bytes(), true
}

// apply makes the hunks of one block mapping's slots. col is its keys' column.
func (s *splicer) apply(slots []slot, col int) error {
	for i := 0; i < len(slots); {
		if slots[i].dropped {
			n, err := s.drop(slots, i)
			if err != nil {
				return err
			}
			i += n
			continue
		}
		if err := s.applyOne(&slots[i], col); err != nil {
			return err
		}
		i++
	}
	s.addAll(slots, col)
	return nil
}

// applyOne renames and changes a key that stays.
func (s *splicer) applyOne(one *slot, col int) error {
	if one.old == nil {
		return nil
	}
	if one.name != one.old.key.Value {
		at := s.places[one.old.key]
		s.replace(at.start, at.end, keyText(one.name))
	}
	if one.want == nil || sameValue(one.old.value, one.want) {
		return nil
	}
	return s.change(one.old, one.want, col)
}

// drop cuts the run of dropped keys that begins at slot i. One of the blank
// lines around the run goes too, so that what was set apart stays so.
func (s *splicer) drop(slots []slot, i int) (int, error) {
	n := 1
	for i+n < len(slots) && slots[i+n].dropped && s.onlyBlank(slots[i+n-1].old.end, slots[i+n].old.head) {
		n++
	}
	for _, gone := range slots[i : i+n] {
		if err := s.mayGo(gone.old.value); err != nil {
			return 0, err
		}
	}
	from, to := slots[i].old.head, slots[i+n-1].old.end
	final := i+n == len(slots) || slots[i+n].old == nil
	floor := 0
	if i > 0 {
		floor = slots[i-1].old.end
	}
	switch {
	case from > floor && s.blankLine(from-1) && (final || s.blankLine(to)):
		from--
	case (i == 0 || s.kept[from-1]) && !final && s.blankLine(to):
		to++
	}
	s.cutLines(from, to)
	return n, nil
}

func (s *splicer) onlyBlank(from, to int) bool {
	for line := from; line < to; line++ {
		if !s.blankLine(line) {
			return false
		}
	}
	return true
}

// mayGo refuses to remove an anchor that something outside of n refers to.
func (s *splicer) mayGo(n *yaml.Node) error {
	if n.Anchor != "" {
		for _, alias := range s.aliases[n] {
			return s.refuse(n, "the anchor &%s is used in line %d: write its value out there first", n.Anchor, alias.Line)
		}
	}
	for _, c := range n.Content {
		if err := s.mayGo(c); err != nil {
			return err
		}
	}
	return nil
}

// addAll adds the new keys among the slots.
func (s *splicer) addAll(slots []slot, col int) {
	var last *member
	blank := false
	for _, one := range slots {
		if one.old == nil {
			continue
		}
		blank = last != nil && one.old.head > 0 && s.blankLine(one.old.head-1)
		last = one.old
	}
	blank = blank && !s.keepsBlank(last.value)
	fresh := true
	for _, one := range slots {
		if one.old != nil {
			continue
		}
		s.add(one, last, col, blank || fresh && one.after == nil && !one.first && s.footed(last))
		fresh = false
	}
}

// footed says whether comments stand directly below a member: what is added
// there must be set apart, or they would become its own.
func (s *splicer) footed(m *member) bool {
	return m != nil && m.tail > m.last+1
}

// keepsBlank says whether n ends in a block scalar that keeps the blank lines behind it.
func (s *splicer) keepsBlank(n *yaml.Node) bool {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	at := s.places[n].start
	header := s.data[at:min(len(s.data), at+3)]
	return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && bytes.IndexByte(header, '+') >= 0
}

// add adds a new key behind another one, at the end or at the start.
func (s *splicer) add(one slot, last *member, col int, blank bool) {
	lines := s.newLines(one, col)
	at := 0
	switch {
	case one.first:
		at = last.head
	case one.after != nil:
		at = one.after.last + 1
	default:
		at = last.tail
		if blank {
			lines = append([]string{""}, lines...)
		}
	}
	s.addLines(at, lines)
}

// newLines prints a new key: a record as a block, a key of a record as it fits.
func (s *splicer) newLines(one slot, col int) []string {
	if one.after == nil && !one.first {
		return s.canonical(one.name, one.want, col)
	}
	p := printer{step: s.step}
	p.pair(nameNode(one.name), one.want, nil, col-1)
	return textOf(p.lines)
}

// canonical prints a record as the canonical layout has them. A
// new record is a block, so that a later change of one key is one line of a diff.
func (s *splicer) canonical(name string, value *yaml.Node, col int) []string {
	p := printer{step: s.step}
	if len(value.Content) == 0 {
		p.pair(nameNode(name), value, nil, col-1)
		return textOf(p.lines)
	}
	p.put(col-1, keyText(name)+":", "")
	p.children(value, nil, col-1+s.step)
	return textOf(p.lines)
}
