package match

// The rules of one host pattern, found by path.

import (
	"slices"
)

// hostIndex holds the rules of one host pattern. Rules are added by rank, so
// every list is in order and the first rule to come sets the least rank.
type hostIndex struct {
	least    int
	literals map[string][]*rule // Exact without captures, by path
	captures *captureNode
	regexes  map[string][]*rule // by literal prefix
	lengths  []int              // of those prefixes, the longest first

	// Of regexes, for the search of what hides a rule alone.
	wide map[string][]*rule // those that match what starts with their literal, by that
	same map[string][]*rule // by text

	prefixes *prefixNode
	rest     []*rule // no path pattern
}

func newHostIndex(first *rule) *hostIndex {
	return &hostIndex{
		least:    first.rank,
		literals: make(map[string][]*rule),
		regexes:  make(map[string][]*rule),
	}
}

func (h *hostIndex) add(r *rule) {
	switch {
	case r.path.kind == Exact && r.path.segments == nil:
		h.literals[r.path.text] = append(h.literals[r.path.text], r)
	case r.path.kind == Exact:
		addTo(&h.captures, r.rank).add(r, r.path.segments)
	case r.path.kind == Regex:
		h.addRegex(r)
	case r.path.kind == Prefix:
		if h.prefixes == nil {
			h.prefixes = &prefixNode{least: r.rank}
		}
		h.prefixes.add(r, r.path.text)
	default:
		h.rest = append(h.rest, r)
	}
}

func (h *hostIndex) addRegex(r *rule) {
	literal := r.path.literal
	at, known := slices.BinarySearchFunc(h.lengths, len(literal), func(a, b int) int { return b - a })
	if !known {
		h.lengths = slices.Insert(h.lengths, at, len(literal))
	}
	h.regexes[literal] = append(h.regexes[literal], r)
}

// visitHost tries every list of h whose pattern matches the path, the more
// specific first.
func (s *search) visitHost(h *hostIndex) {
	if h == nil || h.least >= s.bound {
		return
	}
	s.try(h.literals[s.path])
	s.visitCaptures(h.captures, s.path)
	for _, n := range h.lengths {
		if n <= len(s.path) {
			s.tryRegexes(h, s.path[:n])
		}
	}
	s.visitPrefixes(h.prefixes, s.path)
	s.try(h.rest)
}

// tryRegexes tries the regexes with that literal prefix. What hides a rule with
// more than one path has to be wide, or the same regex.
func (s *search) tryRegexes(h *hostIndex, literal string) {
	switch {
	case s.hidden == nil:
		s.try(h.regexes[literal])
	case s.hidden.path.isLiteral():
		s.tryMatching(h.regexes[literal])
	default:
		s.try(h.wide[literal])
		if s.hidden.path.kind == Regex && s.hidden.path.literal == literal {
			s.try(h.same[s.hidden.path.text])
		}
	}
}

// indexCovers fills in what shadowedBy needs.
func (t *Tree) indexCovers() {
	for _, r := range t.ranked {
		if r.path.kind != Regex {
			continue
		}
		h := t.hostIndexOf(r)
		if h.same == nil {
			h.wide, h.same = make(map[string][]*rule), make(map[string][]*rule)
		}
		h.same[r.path.text] = append(h.same[r.path.text], r)
		if r.path.end == endsAnywhere {
			h.wide[r.path.literal] = append(h.wide[r.path.literal], r)
		}
	}
}

// captureNode is one segment of Exact patterns with captures. Every pattern has
// one node where it ends.
type captureNode struct {
	least    int
	literals map[string]*captureNode
	capture  *captureNode
	rules    []*rule
}

// addTo returns the node at *at, made if need be.
func addTo(at **captureNode, rank int) *captureNode {
	if *at == nil {
		*at = &captureNode{least: rank}
	}
	return *at
}

func (n *captureNode) add(r *rule, segments []segment) {
	for _, s := range segments {
		n = n.child(s, r.rank)
	}
	n.rules = append(n.rules, r)
}

func (n *captureNode) child(s segment, rank int) *captureNode {
	if s.capture {
		return addTo(&n.capture, rank)
	}
	if n.literals == nil {
		n.literals = make(map[string]*captureNode)
	}
	child := n.literals[s.literal]
	if child == nil {
		child = &captureNode{least: rank}
		n.literals[s.literal] = child
	}
	return child
}

// visitCaptures walks the rest of a path below n: each node at most once,
// whatever the path.
func (s *search) visitCaptures(n *captureNode, rest string) {
	if n == nil || n.least >= s.bound {
		return
	}
	if rest == "" {
		s.try(n.rules)
		return
	}
	segment, rest := cutSegment(rest)
	s.visitCaptures(n.literals[segment], rest)
	if segment != "" {
		s.visitCaptures(n.capture, rest)
	}
}

// prefixNode is one segment of Prefix patterns.
type prefixNode struct {
	least    int
	children map[string]*prefixNode
	whole    []*rule // the pattern ends with this segment
	below    []*rule // and with a slash behind it
}

// add adds r below n; rest is what is left of its pattern.
func (n *prefixNode) add(r *rule, rest string) {
	for rest != "/" && rest != "" {
		var segment string
		segment, rest = cutSegment(rest)
		n = n.child(segment, r.rank)
	}
	if rest == "/" {
		n.below = append(n.below, r)
	} else {
		n.whole = append(n.whole, r)
	}
}

func (n *prefixNode) child(segment string, rank int) *prefixNode {
	if n.children == nil {
		n.children = make(map[string]*prefixNode)
	}
	child := n.children[segment]
	if child == nil {
		child = &prefixNode{least: rank}
		n.children[segment] = child
	}
	return child
}

// visitPrefixes tries the prefixes of a path, the longest first. rest is what
// the path has below n.
func (s *search) visitPrefixes(n *prefixNode, rest string) {
	if n == nil || n.least >= s.bound {
		return
	}
	if rest != "" {
		segment, below := cutSegment(rest)
		s.visitPrefixes(n.children[segment], below)
		s.try(n.below)
	}
	s.try(n.whole)
}
