package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The sections of a document: their records, what the operations make of them, and the
// three ways in which a section can be empty.

// section is one section that an edit changes.
type section struct {
	name       string
	at         *member // its key in the document; nil: missing
	edits      []keyEdit
	index      map[string]int // edits by current name, dropped ones included
	hadRecords bool           // it has records before the edit
	removed    bool           // it goes with its last record
	before     *member        // the key above it in the document
	final      bool           // it is the document's last key
}

// sections plans what ops do, section by section.
func (l *layout) sections(ops []Op) ([]*section, error) {
	top, list, err := l.topLevel()
	if err != nil {
		return nil, err
	}
	var all []*section
	for _, name := range l.schema.Sections {
		var mine []Op
		for _, op := range ops {
			if op.section == name {
				mine = append(mine, op)
			}
		}
		if len(mine) == 0 {
			continue
		}
		sec := &section{name: name, at: top[name], index: map[string]int{}}
		if err := l.readRecords(sec); err != nil {
			return nil, err
		}
		for _, op := range mine {
			if err := sec.plan(op, l.schema.record(name)); err != nil {
				return nil, err
			}
		}
		sec.finish(l.schema.KeepSpelling)
		for i := range list {
			if i > 0 && sec.at == &list[i] {
				sec.before, sec.final = &list[i-1], i == len(list)-1
				sec.removed = l.removable(sec)
			}
		}
		all = append(all, sec)
	}
	return all, nil
}

// topLevel returns the keys of the document's mapping, by name and in order.
func (l *layout) topLevel() (map[string]*member, []member, error) {
	top := map[string]*member{}
	if l.root == nil {
		return top, nil, nil
	}
	if !isBlock(l.root) {
		return nil, nil, l.errorAt(l.root, "the whole file is written in braces: write its keys on lines of their own, or run %s", l.schema.Formatter)
	}
	list, err := l.members(l.root, l.endLine)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		name := list[i].key.Value
		if top[name] != nil {
			return nil, nil, l.errorAt(list[i].key, "the key %q is repeated, first in line %d: remove one", Clip(name), top[name].line+1)
		}
		top[name] = &list[i]
	}
	return top, list, nil
}

// readRecords reads the records of the section.
func (l *layout) readRecords(sec *section) error {
	if sec.at == nil || emptySection(sec.at.value) {
		return nil
	}
	v := sec.at.value
	if !isBlock(v) {
		return l.errorAt(v, "the section %s is %s: write each record on a line of its own, or run %s", sec.name, layoutOf(v), l.schema.Formatter)
	}
	list, err := l.members(v, sec.at.end)
	if err != nil {
		return err
	}
	for i := range list {
		name := list[i].key.Value
		if first, twice := sec.index[name]; twice {
			return &LayoutError{
				Pos: Pos{Line: list[i].key.Line, Col: list[i].key.Column}, Record: recordName(sec.name, name),
				Text: fmt.Sprintf("is repeated, first in line %d: remove one", sec.edits[first].old.line+1),
			}
		}
		sec.index[name] = i
		sec.edits = append(sec.edits, keyEdit{old: &list[i], name: name})
	}
	sec.hadRecords = true
	return nil
}

func layoutOf(n *Node) string {
	switch {
	case n.Kind == AliasNode:
		return "an alias"
	case n.Kind == MappingNode:
		return "written in braces"
	}
	return "not a mapping"
}

// emptySection reports whether a section's value is null or {}.
func emptySection(n *Node) bool {
	return IsNull(n) || n.Kind == MappingNode && len(n.Content) == 0
}

// plan applies one operation to the edits.
func (sec *section) plan(op Op, k Keys) error {
	i, there := sec.index[op.name]
	there = there && !sec.edits[i].dropped
	switch op.kind {
	case opSet:
		sec.set(op, k, i, there)
	case opDrop:
		if there {
			sec.edits[i].dropped = true
		}
	case opRename:
		return sec.rename(op, i, there)
	}
	return nil
}

func (sec *section) set(op Op, k Keys, i int, there bool) {
	_, known := sec.index[op.name]
	value := Ordered(op.value, k)
	if known && (there || sec.edits[i].old != nil) {
		sec.edits[i].want, sec.edits[i].dropped = value, false
		return
	}
	sec.index[op.name] = len(sec.edits)
	sec.edits = append(sec.edits, keyEdit{name: op.name, want: value})
}

func (sec *section) rename(op Op, i int, there bool) error {
	to, taken := sec.index[op.to]
	switch {
	case !there:
		return fmt.Errorf("%s: not in the file, so it cannot be renamed to %q", recordName(sec.name, op.name), op.to)
	case op.to == op.name:
		return nil
	case taken && !sec.edits[to].dropped:
		return fmt.Errorf("%s: cannot be renamed to %q: that name is taken", recordName(sec.name, op.name), op.to)
	}
	sec.edits[i].name = op.to
	delete(sec.index, op.name)
	sec.index[op.to] = i
	return nil
}

// finish removes what the same edit adds and drops, and keeps the spelling of records
// that already mean what is wanted.
func (sec *section) finish(keep func(section string, old, want *Node) *Node) {
	kept := sec.edits[:0]
	for _, one := range sec.edits {
		if keep != nil && one.old != nil && one.want != nil && !one.dropped {
			one.want = keep(sec.name, one.old.value, one.want)
		}
		if one.old != nil || !one.dropped {
			kept = append(kept, one)
		}
	}
	sec.edits = kept
}

// remaining counts the records of the section after the edit.
func (sec *section) remaining() int {
	n := 0
	for _, one := range sec.edits {
		if !one.dropped {
			n++
		}
	}
	return n
}

// applySection makes the hunks of a section that is in the document.
func (s *splicer) applySection(sec *section) error {
	switch {
	case sec.at == nil || len(sec.edits) == 0:
		return nil
	case !sec.hadRecords:
		return s.openSection(sec)
	}
	if sec.removed {
		return nil
	}
	if sec.remaining() == 0 {
		if err := s.closeSection(sec); err != nil {
			return err
		}
	}
	if sec.changes() {
		for _, alias := range s.aliases[sec.at.value] {
			return s.errorAt(sec.at.value, "the whole section is used again in line %d: write it out there first", alias.Line)
		}
	}
	return s.apply(sec.edits, s.column(s.spans[sec.edits[0].old.key].props))
}

// changes reports whether the edit may change the section.
func (sec *section) changes() bool {
	for _, one := range sec.edits {
		if one.dropped || one.old == nil || one.name != one.old.key.Value || one.want != nil && !Same(one.old.value, one.want) {
			return true
		}
	}
	return false
}

// removable reports whether an optional section loses its last record and has nothing of
// its own: no comment, anchor or tag.
func (l *layout) removable(sec *section) bool {
	if !sec.hadRecords || sec.remaining() > 0 || len(sec.edits) == 0 || !slices.Contains(l.schema.Optional, sec.name) {
		return false
	}
	m := sec.at
	if m.head != m.line || l.commentOn[m.line] != nil || m.value.Anchor != "" || m.value.Style&TaggedStyle != 0 {
		return false
	}
	line := m.line + 1
	for _, one := range sec.edits {
		if one.old == nil || !l.onlyBlank(line, one.old.head) {
			return false
		}
		line = one.old.end
	}
	return l.onlyBlank(line, m.end)
}

// removeSections removes the sections that go with their last record, each with one of
// the blank lines around it.
func (s *splicer) removeSections(all []*section) {
	for _, sec := range all {
		if !sec.removed {
			continue
		}
		s.removed = append(s.removed, sec.at.value)
		from, to := sec.at.head, sec.edits[len(sec.edits)-1].old.end
		if from > sec.before.end && s.blankLine(from-1) && !s.keptBlank[from-1] && (sec.final || s.blankLine(to)) {
			from--
		}
		s.removeLines(from, to)
	}
}

// closeSection writes {} after the key of a section that loses its last record.
func (s *splicer) closeSection(sec *section) error {
	after := s.afterProperties(sec.at)
	s.replace(after, after, " {}")
	return nil
}

// afterProperties returns the offset after a key's colon, and after the anchor and tag of
// its value if they are on the same line.
func (s *splicer) afterProperties(m *member) int {
	at := s.colon(m.key)
	if m.value.Anchor == "" && m.value.Style&TaggedStyle == 0 {
		return at
	}
	for end := at; ; {
		for end < len(s.data) && s.data[end] == ' ' {
			end++
		}
		if end == len(s.data) || s.data[end] != '&' && s.data[end] != '!' {
			return at
		}
		for end < len(s.data) && !bytes.ContainsRune([]byte(" \t\r\n"), rune(s.data[end])) {
			end++
		}
		at = end
	}
}

// openSection writes the first records of a section that is {} or null.
func (s *splicer) openSection(sec *section) error {
	for _, alias := range s.aliases[sec.at.value] {
		return s.errorAt(sec.at.value, "the whole section is used again in line %d: write it out there first", alias.Line)
	}
	after := s.afterProperties(sec.at)
	s.replace(after, max(after, s.spans[sec.at.value].end), "")
	line := sec.at.inner
	if line > sec.at.last+1 {
		s.addLines(line, []string{""})
	}
	col := s.column(s.spans[sec.at.key].props) + s.step
	for _, one := range sec.edits {
		s.addLines(line, s.canonical(one.name, one.want, col))
	}
	return nil
}

// addSections adds missing sections at the end of the document. An empty document gets
// its version first.
func (s *splicer) addSections(all []*section) {
	var lines []string
	if s.root == nil {
		lines = append(lines, "", keyText(s.schema.Version.Key.Value)+": "+flowText(s.schema.Version.Value))
	}
	indent := s.rootIndent()
	added := false
	for _, sec := range all {
		if sec.at != nil || len(sec.edits) == 0 {
			continue
		}
		added = true
		lines = append(lines, "", indent+sec.name+":")
		for _, one := range sec.edits {
			lines = append(lines, s.canonical(one.name, one.want, len(indent)+1+s.step)...)
		}
	}
	if !added {
		return
	}
	line := s.endLine
	for line > 0 && s.blankLine(line-1) && !s.keptBlank[line-1] {
		line--
	}
	if line == 0 {
		lines = lines[1:]
	}
	s.addLines(line, lines)
}

// rootIndent returns the indentation of the top-level keys.
func (l *layout) rootIndent() string {
	if l.root == nil {
		return ""
	}
	return strings.Repeat(" ", l.column(l.spans[l.root.Content[0]].props)-1)
}

// indentStep returns the indentation of records within their section, 2 if there are none.
func (l *layout) indentStep() int {
	if l.root == nil || !isBlock(l.root) {
		return 2
	}
	for i := 1; i < len(l.root.Content); i += 2 {
		if v := l.root.Content[i]; isBlock(v) {
			step := l.column(l.spans[v.Content[0]].props) - l.column(l.spans[l.root.Content[0]].props)
			if step >= 2 && step <= 8 {
				return step
			}
		}
	}
	return 2
}

// inSections adds the name of the record to an error about a place in it.
func inSections(err error, sections []*section) error {
	var layout *LayoutError
	if !errors.As(err, &layout) || layout.Record != "" {
		return err
	}
	for _, sec := range sections {
		for _, one := range sec.edits {
			if one.old != nil && one.old.line < layout.Pos.Line && layout.Pos.Line <= one.old.last+1 {
				layout.Record = recordName(sec.name, one.old.key.Value)
			}
		}
	}
	return layout
}
