package yamledit

import (
	"strings"
)

// Changing a value in place: as little as can be. A mapping is changed key by
// key, so that the comments on its other keys stay; a value on one line is
// exchanged within that line.

// change makes m's value want. col is m's key's column.
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
	s.exchange(m, want, col)
	return nil
}

// changeBlock changes a block mapping key by key. It says false when that
// cannot be: a key to be removed comes from a merge key.
func (s *splicer) changeBlock(m *member, want *Node) (bool, error) {
	own, err := s.members(m.value, m.end)
	if err != nil {
		return false, err
	}
	slots, ok := plan(own, m.value, want)
	if !ok {
		return false, nil
	}
	return true, s.apply(slots, s.column(s.places[own[0].key].props))
}

// plan lays the wanted keys over those that are there.
func plan(own []member, old, want *Node) ([]slot, bool) {
	wanted, present := Fields(want), Fields(old)
	var slots []slot
	at := make(map[string]*member, len(own))
	for i := range own {
		name := own[i].key.Value
		if at[name] != nil {
			return nil, false
		}
		at[name] = &own[i]
		value, keep := wanted[name]
		keep = keep || IsMerge(own[i].key)
		slots = append(slots, slot{old: &own[i], name: name, want: value, dropped: !keep})
	}
	for name := range present {
		if at[name] == nil && wanted[name] == nil {
			return nil, false
		}
	}
	return append(slots, additions(at, present, want)...), true
}

// additions are the wanted keys that are not there, each behind the key it follows in want.
func additions(at map[string]*member, present map[string]*Node, want *Node) []slot {
	var slots []slot
	var before *member
	for i := 0; i+1 < len(want.Content); i += 2 {
		name, value := want.Content[i].Value, want.Content[i+1]
		if at[name] != nil {
			before = at[name]
			continue
		}
		if there := present[name]; there == nil || !Same(there, value) {
			slots = append(slots, slot{name: name, want: value, after: before, first: before == nil})
		}
	}
	return slots
}

// changeFlow changes a mapping in braces key by key. It says false when the
// keys are not to be told apart safely, or none would stay.
func (s *splicer) changeFlow(old, want *Node) bool {
	wanted, kept := Fields(want), 0
	for _, one := range Pairs(old) {
		if one.Key.Kind != ScalarNode || IsMerge(one.Key) || s.places[one.Value].start == s.places[one.Value].end {
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
	s.keepInFlow(old, wanted)
	return true
}

// keepInFlow changes the values of a flow mapping and cuts the keys that go.
func (s *splicer) keepInFlow(old *Node, wanted map[string]*Node) {
	kept := false // is there a key before this one that stays
	for i := 0; i+1 < len(old.Content); i += 2 {
		value, want := old.Content[i+1], wanted[old.Content[i].Value]
		if want == nil {
			s.cutFromFlow(old, i, kept)
			continue
		}
		kept = true
		if !Same(value, want) {
			s.changeInFlow(value, want)
		}
	}
}

// cutFromFlow cuts the i-th node's pair with one comma: the one before it where
// a pair stays before it, else the one behind it.
func (s *splicer) cutFromFlow(old *Node, i int, kept bool) {
	s.gone = append(s.gone, old.Content[i+1])
	if kept {
		s.replace(s.places[old.Content[i-1]].end, s.places[old.Content[i+1]].end, "")
		return
	}
	s.replace(s.places[old.Content[i]].props, s.places[old.Content[i+2]].props, "")
}

func (s *splicer) changeInFlow(old, want *Node) {
	mappings := isFlow(old) && want.Kind == MappingNode && len(want.Content) > 0
	if mappings && s.changeFlow(old, want) {
		return
	}
	s.gone = append(s.gone, old)
	at := s.places[old]
	s.replace(at.props, at.end, flowText(want))
}

// addToFlow adds the keys of want that old lacks behind old's last pair that stays.
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
			at := s.places[old.Content[i+1]].end
			s.replace(at, at, text.String())
			return
		}
	}
}

// exchange puts want in the place of m's whole value. The comment behind the
// value, or behind the key of a block, stays.
func (s *splicer) exchange(m *member, want *Node, col int) {
	s.gone = append(s.gone, m.value)
	p := printer{step: s.step}
	inline, below := p.value(want, nil, col-1, col+len(keyText(m.key.Value)))
	if isFlow(m.value) && len(m.value.Content) > 0 {
		inline, below = flowText(want), nil
	}
	at, colon := s.places[m.value], s.colon(m.key)
	if inline != "" {
		inline = " " + inline
	}
	switch {
	case isBlockCollection(m.value):
		s.replace(colon, s.propertiesEnd(m.value, colon), inline)
		s.addLines(m.line+1, alignedLines(below))
		s.cutLines(m.line+1, m.last+1)
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

// propertiesEnd is behind the anchor and tag of a block collection, or at colon if it has none.
func (s *splicer) propertiesEnd(n *Node, colon int) int {
	if n.Anchor == "" && n.Style&TaggedStyle == 0 {
		return colon
	}
	line := s.lineOf(s.places[n].props)
	return s.starts[line] + len(s.text(line))
}
