package yamledit

import (
	"fmt"
	"slices"
	"strings"
)

// Writing records and documents that were never a file, in the canonical layout.

// Record prints one record as Edit would add it: its name, a colon, and its keys
// below, in canonical order. Lines end in LF.
func (s *Schema) Record(section, name string, value *Node) ([]byte, error) {
	if err := s.check(Set(section, name, value)); err != nil {
		return nil, fmt.Errorf("%s: %w", recordName(section, name), err)
	}
	p := splicer{step: 2}
	return joinLines(p.canonical(name, Ordered(value, s.record(section)), 1)), nil
}

// Document prints a mapping as a whole document, its keys in canonical order.
// The version is added when it is missing.
func (s *Schema) Document(root *Node) ([]byte, error) {
	if Fields(root)[s.Version.Key.Value] == nil {
		with := *root
		with.Content = append(slices.Clip(root.Content), s.Version.Key, s.Version.Value)
		root = &with
	}
	if err := checkWritable(root, 0); err != nil {
		return nil, err
	}
	var lines []string
	apart := false // a section with records is set apart by blank lines
	for _, one := range Pairs(Ordered(root, s.Keys)) {
		section := s.holdsRecords(one)
		if apart || section && len(lines) > 0 {
			lines = append(lines, "")
		}
		apart = section
		lines = append(lines, s.topLines(one)...)
	}
	return joinLines(lines), nil
}

// holdsRecords reports whether a pair at the top is a section with records.
func (s *Schema) holdsRecords(one Pair) bool {
	return slices.Contains(s.Sections, one.Key.Value) && one.Value.Kind == MappingNode && len(one.Value.Content) > 0
}

// topLines prints one pair of the top, the records of a section as blocks.
func (s *Schema) topLines(one Pair) []string {
	if !s.holdsRecords(one) {
		p := printer{step: 2}
		p.pair(one.Key, one.Value, nil, 0)
		return alignedLines(p.lines)
	}
	p := splicer{step: 2}
	lines := []string{one.Key.Value + ":"}
	for _, record := range Pairs(one.Value) {
		lines = append(lines, p.canonical(record.Key.Value, record.Value, 3)...)
	}
	return lines
}

func joinLines(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// record returns the keys of one record of a section.
func (s *Schema) record(section string) Keys {
	return below(below(s.Keys, section), "*")
}

// below returns the keys of the mapping at a key, nil if they are unknown.
func below(k Keys, name string) Keys {
	if k == nil {
		return nil
	}
	return k.Below(name)
}

// Ordered returns n with the keys of every mapping in the order of k.
func Ordered(n *Node, k Keys) *Node {
	if len(n.Content) == 0 {
		return n
	}
	out := *n
	out.Content = nil
	if n.Kind == SequenceNode {
		for _, item := range n.Content {
			out.Content = append(out.Content, Ordered(item, below(k, "[]")))
		}
		return &out
	}
	p := printer{}
	for _, i := range p.order(n, k) {
		out.Content = append(out.Content, n.Content[i], Ordered(n.Content[i+1], below(k, n.Content[i].Value)))
	}
	return &out
}
