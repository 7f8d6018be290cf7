package yamledit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
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
	gone  []*Node // the values that are cut or exchanged
	step  int     // spaces by which this file indents
	whole bool    // replace a changed record as a whole instead of key by key
}

// slot is what becomes of one key of a mapping.
type slot struct {
	old     *member // nil: a new key
	name    string
	want    *Node // nil: the value stays
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
			i += s.drop(slots, i)
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
	if one.want == nil || Same(one.old.value, one.want) {
		return nil
	}
	return s.change(one.old, one.want, col)
}

// drop cuts the run of dropped keys that begins at slot i. One of the blank
// lines around the run goes too, so that what was set apart stays so.
func (s *splicer) drop(slots []slot, i int) int {
	n := 1
	for i+n < len(slots) && slots[i+n].dropped && s.onlyBlank(slots[i+n-1].old.end, slots[i+n].old.head) {
		n++
	}
	for _, gone := range slots[i : i+n] {
		s.gone = append(s.gone, gone.old.value)
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
	return n
}

func (s *splicer) onlyBlank(from, to int) bool {
	for line := from; line < to; line++ {
		if !s.blankLine(line) {
			return false
		}
	}
	return true
}

// checkAnchors refuses to remove an anchor that something refers to which stays.
func (s *splicer) checkAnchors() error {
	leaving := map[*Node]bool{}
	for _, n := range s.gone {
		mark(n, leaving)
	}
	for _, n := range s.gone {
		if err := s.checkAnchor(n, leaving); err != nil {
			return err
		}
	}
	return nil
}

func mark(n *Node, leaving map[*Node]bool) {
	leaving[n] = true
	for _, c := range n.Content {
		mark(c, leaving)
	}
}

func (s *splicer) checkAnchor(n *Node, leaving map[*Node]bool) error {
	for _, alias := range s.aliases[n] {
		if !leaving[alias] {
			return s.refuse(n, "the anchor &%s is used in line %d: write its value out there first", n.Anchor, alias.Line)
		}
	}
	for _, c := range n.Content {
		if err := s.checkAnchor(c, leaving); err != nil {
			return err
		}
	}
	return nil
}

// addAll adds the new keys among the slots. A record at the end is set apart by
// a blank line if the one before it is, or if a comment stands directly above.
func (s *splicer) addAll(slots []slot, col int) {
	top, last := slots[0].old, slots[0].old
	blank := false
	for _, one := range slots[1:] {
		if one.old != nil {
			blank, last = one.old.head > 0 && s.blankLine(one.old.head-1), one.old
		}
	}
	blank = blank && !s.keepsBlank(last.value)
	footed := last.tail > last.last+1
	for _, one := range slots {
		switch {
		case one.old != nil:
		case one.first:
			s.addLines(top.head, s.newKey(one, col))
		case one.after != nil:
			s.addLines(one.after.last+1, s.newKey(one, col))
		case blank || footed:
			s.addLines(last.tail, append([]string{""}, s.canonical(one.name, one.want, col)...))
			footed = false
		default:
			s.addLines(last.tail, s.canonical(one.name, one.want, col))
		}
	}
}

// keepsBlank says whether n ends in a block scalar that keeps the blank lines behind it.
func (s *splicer) keepsBlank(n *Node) bool {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	at := s.places[n].start
	header := s.data[at:min(len(s.data), at+3)]
	return n.Style&(LiteralStyle|FoldedStyle) != 0 && bytes.IndexByte(header, '+') >= 0
}

// newKey prints a key that is added to a record.
func (s *splicer) newKey(one slot, col int) []string {
	p := printer{step: s.step}
	p.pair(TextNode(one.name), one.want, nil, col-1)
	return alignedLines(p.lines)
}

// canonical prints a record as the canonical layout has it: as a block, so that
// a later change of one key is one line of a diff.
func (s *splicer) canonical(name string, value *Node, col int) []string {
	p := printer{step: s.step}
	if len(value.Content) == 0 {
		p.pair(TextNode(name), value, nil, col-1)
		return alignedLines(p.lines)
	}
	p.put(col-1, keyText(name)+":", "")
	p.children(value, nil, col-1+s.step)
	return alignedLines(p.lines)
}
