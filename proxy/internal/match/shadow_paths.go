package match

// Which regexes of a list can match one path. Thousands of them may begin alike and differ
// in a segment, and to match all with each of thousands of paths would be quadratic work.
// What they want of a text (see blocks.go) is enough to find the few by that may match.

import (
	"regexp"
	"slices"
)

// pathIndex finds regexes by what they want at one slot of a path. Every list is by rank.
type pathIndex struct {
	slot slot
	by   map[string][]*rule
	all  []same     // what is in by, in an order that the rules decide
	rest *pathIndex // of those that want nothing there

	rules []*rule // instead of all that, where no slot tells them apart
}

func newPathIndex(rules []*rule, used []slot) *pathIndex {
	s, ok := cutPaths(rules, used)
	if !ok {
		return &pathIndex{rules: rules}
	}
	byValue, _, rest := split(rules, s)
	x := &pathIndex{slot: s, by: make(map[string][]*rule, len(byValue)), all: byValue}
	for _, same := range byValue {
		x.by[same.value] = same.rules
	}
	x.rest = newPathIndex(rest, append(slices.Clip(used), s))
	return x
}

// cutPaths is cut within a group, by slots of the path.
func cutPaths(rules []*rule, used []slot) (best slot, ok bool) {
	if len(rules) <= fewHiders {
		return slot{}, false
	}
	t := tally(rules)
	least := t.size * t.size * 3 / 4
	for _, s := range t.slots {
		if s.of != "" || slices.Contains(used, s) {
			continue
		}
		pairs := (t.size - t.by[s].rules) * t.size
		for _, n := range t.by[s].values {
			pairs += n * n
		}
		if pairs < least {
			best, least, ok = s, pairs, true
		}
	}
	return best, ok
}

// lists yields the lists of all rules that may match the path which has these values.
func (x *pathIndex) lists(values map[slot]string, yield func([]*rule)) {
	for ; x.by != nil; x = x.rest {
		if value, known := values[x.slot]; known {
			yield(x.by[value])
			continue
		}
		for _, same := range x.all {
			yield(same.rules)
		}
	}
	yield(x.rules)
}

// pathIndexOf returns the index of a list, made if need be.
func (t *Tree) pathIndexOf(list []*rule) *pathIndex {
	x := t.pathIndexes[&list[0]]
	if x == nil {
		if t.pathIndexes == nil {
			t.pathIndexes = make(map[**rule]*pathIndex)
		}
		x = newPathIndex(list, nil)
		t.pathIndexes[&list[0]] = x
	}
	return x
}

// valuesOf returns what path has at each slot.
func valuesOf(path string) map[slot]string {
	only := &rule{path: &pattern{kind: Regex, text: "^" + regexp.QuoteMeta(path) + "$"}}
	values := make(map[slot]string)
	for _, w := range only.wants() {
		values[w.slot] = w.values[0]
	}
	return values
}

// tryMatching tries the regexes of a list that may match the hidden rule's one path.
func (s *search) tryMatching(list []*rule) {
	if len(list) <= fewHiders {
		s.try(list)
		return
	}
	if s.values == nil {
		s.values = valuesOf(s.path)
	}
	s.tree.pathIndexOf(list).lists(s.values, s.try)
}
