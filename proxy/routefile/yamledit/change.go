package yamledit

import (
	"strings"
)

// Changing a value in place, with the smallest change of bytes: a mapping is changed
// key by key, so that the comments of its other keys stay; a value on one line is
// replaced within that line.

// change replaces m's value by want. col is the column of m's key.
func (s *splicer) change(m *member, want *Node, col int) error {
	old := m.value
	if !s.whole && old.Kind == MappingNode && want.Kind == MappingNode && len(want.Content) > 0 {
		switch {
		case isBlock(old):
			if ok, err := s.changeBlock(m, want); ok || err != nil {
				return err
			}
		case s.changeFlow(old, want):
			return nil
		}
	}
	s.replaceValue(m, want, col)
	return nil
}

// changeBlock changes a block mapping key by key. It reports false when that is
// impossible: a key to remove comes from a merge key.
func (s *splicer) changeBlock(m *member, want *Node) (bool, error) {
	own, err := s.members(m.value, m.end)
	if err != nil {
		return false, err
	}
	edits, ok := plan(own, m.value, want)
	if !ok {
		return false, nil
	}
	return true, s.apply(edits, s.column(s.spans[own[0].key].props))
}

// plan matches the wanted keys with the existing ones.
func plan(own []member, old, want *Node) ([]keyEdit, bool) {
	wanted, present := Fields(want), Fields(old)
	var edits []keyEdit
	at := make(map[string]*member, len(own))
	for i := range own {
		name := own[i].key.Value
		if at[name] != nil {
			return nil, false
		}
		at[name] = &own[i]
		value, keep := wanted[name]
		keep = keep || IsMerge(own[i].key)
		edits = append(edits, keyEdit{old: &own[i], name: name, want: value, dropped: !keep})
	}
	for name := range present {
		if at[name] == nil && wanted[name] == nil {
			return nil, false
		}
	}
	return append(edits, additions(at, present, want)...), true
}

// additions returns the wanted keys that are missing, each after the key that precedes it in want.
func additions(at map[string]*member, present map[string]*Node, want *Node) []keyEdit {
	var edits []keyEdit
	var before *member
	for i := 0; i+1 < len(want.Content); i += 2 {
		name, value := want.Content[i].Value, want.Content[i+1]
		if at[name] != nil {
			before = at[name]
			continue
		}
		if there := present[name]; there == nil || !Same(there, value) {
			edits = append(edits, keyEdit{name: name, want: value, after: before, first: before == nil})
		}
	}
	return edits
}

// changeFlow changes a mapping in braces key by key. It reports false when its keys
// cannot be told apart safely, or none of them stays.
func (s *splicer) changeFlow(old, want *Node) bool {
	wanted, kept := Fields(want), 0
	for _, one := range Pairs(old) {
		if one.Key.Kind != ScalarNode || IsMerge(one.Key) || s.spans[one.Value].start == s.spans[one.Value].end {
			return false
		}
		if wanted[one.Key.Value] != nil {
			kept++
		}
	}
	if kept == 0 || len(Fields(old)) != len(old.Content)/2 {
		return false
	}
	s.addToFlow(old, want)
	s.changeFlowValues(old, wanted)
	return true
}

// changeFlowValues changes the values of a flow mapping and removes the keys that are not wanted.
func (s *splicer) changeFlowValues(old *Node, wanted map[string]*Node) {
	kept := false // does an earlier key stay
	for i := 0; i+1 < len(old.Content); i += 2 {
		value, want := old.Content[i+1], wanted[old.Content[i].Value]
		if want == nil {
			s.removeFromFlow(old, i, kept)
			continue
		}
		kept = true
		if !Same(value, want) {
			s.changeInFlow(value, want)
		}
	}
}

// removeFromFlow removes the pair at node i with one comma: the comma before it if an
// earlier pair stays, else the comma after it.
func (s *splicer) removeFromFlow(old *Node, i int, kept bool) {
	s.removed = append(s.removed, old.Content[i+1])
	if kept {
		s.replace(s.spans[old.Content[i-1]].end, s.spans[old.Content[i+1]].end, "")
		return
	}
	s.replace(s.spans[old.Content[i]].props, s.spans[old.Content[i+2]].props, "")
}

func (s *splicer) changeInFlow(old, want *Node) {
	mappings := isFlow(old) && want.Kind == MappingNode && len(want.Content) > 0
	if mappings && s.changeFlow(old, want) {
		return
	}
	s.removed = append(s.removed, old)
	at := s.spans[old]
	s.replace(at.props, at.end, flowText(want))
}

// addToFlow adds the missing keys of want after the last pair of old that stays.
func (s *splicer) addToFlow(old, want *Node) {
	there, wanted := Fields(old), Fields(want)
	var text strings.Builder
	for i := 0; i+1 < len(want.Content); i += 2 {
		name := want.Content[i].Value
		if there[name] == nil {
			text.WriteString(", " + keyText(name) + ": " + flowText(want.Content[i+1]))
		}
	}
	for i := len(old.Content) - 2; text.Len() > 0 && i >= 0; i -= 2 {
		if wanted[old.Content[i].Value] != nil {
			at := s.spans[old.Content[i+1]].end
			s.replace(at, at, text.String())
			return
		}
	}
}

// replaceValue replaces m's whole value by want. The comment after the value, or after
// the key of a block, stays.
func (s *splicer) replaceValue(m *member, want *Node, col int) {
	s.removed = append(s.removed, m.value)
	p := printer{step: s.step}
	inline, below := p.value(want, nil, col-1, col+len(keyText(m.key.Value)))
	if isFlow(m.value) && len(m.value.Content) > 0 {
		inline, below = flowText(want), nil
	}
	at, colon := s.spans[m.value], s.colon(m.key)
	if inline != "" {
		inline = " " + inline
	}
	switch {
	case isBlockCollection(m.value):
		s.replace(colon, s.propertiesEnd(m.value, colon), inline)
		s.addLines(m.line+1, alignedLines(below))
		s.removeLines(m.line+1, m.last+1)
	case len(below) > 0:
		s.replace(colon, max(colon, at.end), inline)
		s.addLines(m.last+1, alignedLines(below))
	case at.end > at.props:
		s.replace(at.props, at.end, inline[1:])
	default:
		s.replace(colon, colon, inline)
	}
}

func isBlockCollection(n *Node) bool {
	return len(n.Content) > 0 && n.Style&FlowStyle == 0
}

// propertiesEnd returns the offset after the anchor and tag of a block collection, or colon if it has neither.
func (s *splicer) propertiesEnd(n *Node, colon int) int {
	if n.Anchor == "" && n.Style&TaggedStyle == 0 {
		return colon
	}
	line := s.lineOf(s.spans[n].props)
	return s.starts[line] + len(s.text(line))
}
