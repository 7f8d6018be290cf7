package yamledit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Splicing: edits of the keys of a mapping become replacements of bytes.

// hunk replaces data[start:end] by text.
type hunk struct {
	start, end int
	text       string
}

// splicer collects the hunks of one edit.
type splicer struct {
	*layout
	hunks   []hunk
	removed []*Node // the values that are removed or replaced
	step    int     // indentation of one level in this document
	whole   bool    // replace changed records as a whole instead of key by key
}

// keyEdit is what happens to one key of a mapping.
type keyEdit struct {
	old     *member // nil: a new key
	name    string
	want    *Node // nil: the value stays
	dropped bool
	after   *member // a new key is added after this one; nil: at the end
	first   bool    // a new key is added before all others
}

// replace adds the hunk that makes data[start:end] text.
func (s *splicer) replace(start, end int, text string) {
	if string(s.data[start:end]) != text {
		s.hunks = append(s.hunks, hunk{start, end, text})
	}
}

// removeLines removes lines [from, to). If the last line of the file has no line break,
// the break before it is removed instead.
func (s *splicer) removeLines(from, to int) {
	start, end := s.starts[from], s.starts[to]
	if to == s.lineCount() && !s.endsInBreak() && from > 0 {
		start = s.starts[from-1] + len(s.text(from-1))
	}
	s.replace(start, end, "")
}

// addLines adds lines before line at.
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

func (l *layout) endsInBreak() bool { return bytes.HasSuffix(l.data, []byte("\n")) }

// splice applies the hunks. Hunks at one offset keep their order, and additions precede
// removals.
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

// apply makes the hunks for the edits of one block mapping. col is the column of its keys.
func (s *splicer) apply(edits []keyEdit, col int) error {
	for i := 0; i < len(edits); {
		if edits[i].dropped {
			i += s.drop(edits, i)
			continue
		}
		if err := s.applyOne(&edits[i], col); err != nil {
			return err
		}
		i++
	}
	s.addAll(edits, col)
	return nil
}

// applyOne renames and changes a key that stays.
func (s *splicer) applyOne(one *keyEdit, col int) error {
	if one.old == nil {
		return nil
	}
	if one.name != one.old.key.Value {
		at := s.spans[one.old.key]
		s.replace(at.start, at.end, s.renamedKey(one.old.key, one.name))
	}
	if one.want == nil || Same(one.old.value, one.want) {
		return nil
	}
	return s.change(one.old, one.want, col)
}

// renamedKey is a new name in the quotes of the old one.
func (s *splicer) renamedKey(old *Node, name string) string {
	quote := s.data[s.spans[old].start]
	plain := !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' })
	if quote == '"' && plain || quote == '\'' && plain {
		return string(quote) + name + string(quote)
	}
	return keyText(name)
}

// drop removes the run of dropped keys that begins at edits[i], with one of the blank
// lines around it, so that separated keys stay separated.
func (s *splicer) drop(edits []keyEdit, i int) int {
	n := 1
	for i+n < len(edits) && edits[i+n].dropped && s.onlyBlank(edits[i+n-1].old.end, edits[i+n].old.head) {
		n++
	}
	for _, gone := range edits[i : i+n] {
		s.removed = append(s.removed, gone.old.value)
	}
	from, to := edits[i].old.head, edits[i+n-1].old.end
	final := i+n == len(edits) || edits[i+n].old == nil
	floor := 0
	if i > 0 {
		floor = edits[i-1].old.end
	}
	switch {
	case from > floor && s.blankLine(from-1) && (final || s.blankLine(to)):
		from--
	case (i == 0 || s.keptBlank[from-1]) && !final && s.blankLine(to):
		to++
	}
	s.removeLines(from, to)
	return n
}

func (l *layout) onlyBlank(from, to int) bool {
	for line := from; line < to; line++ {
		if !l.blankLine(line) {
			return false
		}
	}
	return true
}

// checkAnchors refuses to remove an anchor whose alias stays.
func (s *splicer) checkAnchors() error {
	leaving := map[*Node]bool{}
	for _, n := range s.removed {
		mark(n, leaving)
	}
	for _, n := range s.removed {
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
			return s.errorAt(n, "the anchor &%s is used in line %d: write its value out there first", n.Anchor, alias.Line)
		}
	}
	for _, c := range n.Content {
		if err := s.checkAnchor(c, leaving); err != nil {
			return err
		}
	}
	return nil
}

// addAll adds the new keys. A blank line precedes a record at the end if one precedes the
// last record, or if a comment is directly above.
func (s *splicer) addAll(edits []keyEdit, col int) {
	top, last := edits[0].old, edits[0].old
	blank := false
	for _, one := range edits[1:] {
		if one.old != nil {
			blank, last = one.old.head > 0 && s.blankLine(one.old.head-1), one.old
		}
	}
	blank = blank && !s.keepsBlank(last.value)
	footed := last.tail > last.last+1
	for _, one := range edits {
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

// keepsBlank reports whether n ends in a block scalar that keeps the blank lines after it.
func (s *splicer) keepsBlank(n *Node) bool {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	at := s.spans[n].start
	header := s.data[at:min(len(s.data), at+3)]
	return n.Style&(LiteralStyle|FoldedStyle) != 0 && bytes.IndexByte(header, '+') >= 0
}

// newKey prints a key that is added to a record.
func (s *splicer) newKey(one keyEdit, col int) []string {
	p := printer{step: s.step}
	p.pair(TextNode(one.name), one.want, nil, col-1)
	return alignedLines(p.lines)
}

// canonical prints a record as a block, so that a later change of one key is one line of
// a diff.
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
