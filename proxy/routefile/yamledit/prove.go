package yamledit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// The proof that an edit changed what it was asked to change and nothing else. It must
// not know how the bytes were spliced: it parses the result and compares it with the
// document before and with what was wanted.

// errUnproved is the error of an edit whose result is not what was wanted.
var errUnproved = errors.New("refusing to write")

// proveBytes checks that every removed byte belongs to a record that an operation names,
// with its comments and the blank lines next to them or between two that are dropped, or
// to the line of a section's key.
func (s *splicer) proveBytes(sections []*section) error {
	var may []hunk // in the order of the file
	for _, sec := range sections {
		if sec.at != nil {
			may = append(may, hunk{start: s.starts[sec.at.line], end: s.starts[sec.at.last+1]})
		}
		if sec.removed {
			may = append(may, s.mayChange(sec.at))
			continue
		}
		if sec.hadRecords {
			may[len(may)-1].end = s.starts[sec.at.line+1]
		}
		for i, one := range sec.edits {
			if i > 0 && one.dropped && sec.edits[i-1].dropped && s.onlyBlank(sec.edits[i-1].old.end, one.old.head) {
				may = append(may, hunk{start: s.starts[sec.edits[i-1].old.end], end: s.starts[one.old.head]})
			}
			if one.old != nil && (one.dropped || one.want != nil || one.name != one.old.key.Value) {
				may = append(may, s.mayChange(one.old))
			}
		}
	}
	slices.SortFunc(may, func(a, b hunk) int { return cmp.Compare(a.start, b.start) })
	for _, h := range s.hunks {
		if !within(h, may) {
			return fmt.Errorf("%w: line %d would be touched", errUnproved, s.lineOf(h.start)+1)
		}
	}
	return nil
}

// mayChange returns what may change with a record: up to one blank line on either side,
// and the line break before it, which is removed at the end of a file without a final one.
func (s *splicer) mayChange(m *member) hunk {
	from, to := m.head, m.end
	if from > 0 && s.blankLine(from-1) {
		from--
	}
	if to < s.lineCount() && s.blankLine(to) {
		to++
	}
	start := s.starts[from]
	if from > 0 {
		start = s.starts[from-1] + len(s.text(from-1))
	}
	return hunk{start: start, end: s.starts[to]}
}

// within reports whether every byte that h removes is in one of the sorted ranges.
func within(h hunk, may []hunk) bool {
	at := h.start
	for i := sort.Search(len(may), func(i int) bool { return may[i].end > at }); at < h.end; i++ {
		if i == len(may) || may[i].start > at {
			return false
		}
		at = max(at, may[i].end)
	}
	return true
}

// prove compares out with the document before the edit.
func (l *layout) prove(out []byte, sections []*section) error {
	doc, err := parseDocument(out)
	if err != nil {
		return fmt.Errorf("%w: the result is %v", errUnproved, err)
	}
	if doc == nil || doc.Content[0].Kind != MappingNode {
		return fmt.Errorf("%w: the result is not a mapping", errUnproved)
	}
	edited := make(map[string]*section, len(sections))
	for _, sec := range sections {
		edited[sec.name] = sec
	}
	budget := maxVisited
	before, after := Pairs(l.root), Pairs(doc.Content[0])
	for _, one := range before {
		if edited[one.Key.Value] == nil && !(len(after) > 0 && identicalPair(one, after[0], &budget)) {
			return fmt.Errorf("%w: %s would change", errUnproved, Clip(one.Key.Value))
		}
		if sec := edited[one.Key.Value]; sec != nil {
			if sec.removed {
				continue
			}
			if len(after) == 0 || after[0].Key.Value != one.Key.Value {
				return fmt.Errorf("%w: %s would change", errUnproved, sec.name)
			}
			if err := sec.prove(after[0].Value, &budget); err != nil {
				return err
			}
		}
		after = after[1:]
	}
	return l.proveAdded(after, sections, &budget)
}

// proveAdded checks the keys after those that were there before.
func (l *layout) proveAdded(after []Pair, sections []*section, budget *int) error {
	if l.root == nil && len(after) > 0 && after[0].Key.Value == l.schema.Version.Key.Value && Same(after[0].Value, l.schema.Version.Value) {
		after = after[1:]
	}
	for _, sec := range sections {
		if sec.at != nil || len(sec.edits) == 0 {
			continue
		}
		if len(after) == 0 || after[0].Key.Value != sec.name {
			return fmt.Errorf("%w: %s would be missing", errUnproved, sec.name)
		}
		if err := sec.prove(after[0].Value, budget); err != nil {
			return err
		}
		after = after[1:]
	}
	if len(after) > 0 {
		return fmt.Errorf("%w: %s would be added", errUnproved, Clip(after[0].Key.Value))
	}
	return nil
}

// prove compares a section after the edit with its wanted records, in order.
func (sec *section) prove(n *Node, budget *int) error {
	if sec.remaining() == 0 && emptySection(n) {
		return nil
	}
	after := Pairs(n)
	for _, one := range sec.edits {
		if one.dropped {
			continue
		}
		if len(after) == 0 || !one.matches(after[0], budget) {
			return fmt.Errorf("%w: %s would not be as wanted", errUnproved, recordName(sec.name, one.name))
		}
		after = after[1:]
	}
	if len(after) > 0 {
		return fmt.Errorf("%w: %s would be left over", errUnproved, recordName(sec.name, after[0].Key.Value))
	}
	return nil
}

// matches reports whether a record is what its edit wanted.
func (one *keyEdit) matches(p Pair, budget *int) bool {
	switch {
	case p.Key.Value != one.name:
		return false
	case one.want != nil:
		return sameWithin(p.Value, one.want, 0, budget)
	}
	return identical(one.old.value, p.Value, budget)
}

func identicalPair(a, b Pair, budget *int) bool {
	return identical(a.Key, b.Key, budget) && identical(a.Value, b.Value, budget)
}
