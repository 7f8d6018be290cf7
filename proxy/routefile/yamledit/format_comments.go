package yamledit

import (
	"bytes"
	"sort"
)

// Which key a comment belongs to, for Format, which moves keys. yaml.v3 loses some
// comments and attaches others to the wrong node, so they are assigned by position here.

// commentLines returns comments as lines, with a blank line before those that have one above.
func (l *layout) commentLines(list []comment) []string {
	var lines []string
	for _, c := range list {
		if l.gapAbove(c.line) {
			lines = append(lines, "")
		}
		lines = append(lines, string(l.data[c.start:c.end]))
	}
	return lines
}

// gapAbove reports whether the line above is blank and not part of a block scalar.
func (l *layout) gapAbove(line int) bool {
	return line > 0 && l.blankLine(line-1) && !l.keptBlank[line-1]
}

// beginsLine reports whether only blanks and dashes precede an offset on its line.
func (l *layout) beginsLine(at int) bool {
	return len(bytes.Trim(l.data[l.starts[l.lineOf(at)]:at], " -\t")) == 0
}

// commentAssigner attaches comments to nodes.
type commentAssigner struct {
	*layout
	attached map[*Node]*attachedComments
}

// of returns the comments of a node, which it creates on first use.
func (g commentAssigner) of(n *Node) *attachedComments {
	if g.attached[n] == nil {
		g.attached[n] = &attachedComments{}
	}
	return g.attached[n]
}

// sibling is one pair of a mapping or one item of a list.
type sibling struct {
	owner, value *Node // the key, or the item itself; the value
	start, end   int   // bytes
}

func (g commentAssigner) siblings(n *Node) []sibling {
	var list []sibling
	if n.Kind == SequenceNode {
		for _, item := range n.Content {
			at := g.spans[item]
			list = append(list, sibling{item, item, at.props, at.end})
		}
		return list
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		list = append(list, sibling{key, value, g.spans[key].props, max(g.spans[key].end, g.spans[value].end)})
	}
	return list
}

// assign attaches the comments in and around the parts of a collection.
func (g commentAssigner) assign(n *Node, list []comment) {
	all := g.siblings(n)
	for i, s := range all {
		stop := len(g.data)
		if i+1 < len(all) {
			stop = all[i+1].start
		}
		g.assignAbove(s, list[:before(list, s.start)], i == 0)
		list = list[before(list, s.start):]
		end, next := before(list, s.end), before(list, stop)
		after := list[end:next]
		own := g.assignAfter(s, &after, i+1 == len(all))
		g.assignInside(s, list[:end+len(own)])
		list = list[next-len(after):]
	}
}

// before counts the comments that start before an offset.
func before(list []comment, offset int) int {
	return sort.Search(len(list), func(i int) bool { return list[i].start >= offset })
}

// assignAbove attaches the comments and the blank line above a sibling. A block never
// begins with a blank line.
func (g commentAssigner) assignAbove(s sibling, list []comment, first bool) {
	lines := g.commentLines(list)
	if g.gapAbove(g.lineOf(s.start)) && g.beginsLine(s.start) {
		lines = append(lines, "")
	}
	for first && len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) > 0 {
		g.of(s.owner).above = lines
	}
}

// assignAfter attaches the comments after a sibling's value and leaves those of the next
// sibling in list. It returns those that belong inside of a block: the one on its last
// line, and those indented deeper than its key.
func (g commentAssigner) assignAfter(s sibling, list *[]comment, final bool) (own []comment) {
	switch {
	case isBlockCollection(s.value):
		i, col := 0, g.column(s.start)
		for i < len(*list) && (!(*list)[i].ownLine || (*list)[i].col > col) {
			i++
		}
		own, *list = (*list)[:i], (*list)[i:]
	case len(*list) > 0 && !(*list)[0].ownLine:
		g.assignTrailing(s.owner, (*list)[0])
		*list = (*list)[1:]
	}
	g.assignBelow(s, list, final)
	return own
}

// assignBelow attaches the comments directly below a sibling if a blank line separates
// them from the next one; the last sibling gets all that remain.
func (g commentAssigner) assignBelow(s sibling, list *[]comment, final bool) {
	line, i := g.lastLine(s.end)+1, 0
	for i < len(*list) && (*list)[i].line == line+i {
		i++
	}
	switch {
	case final:
		i = len(*list)
	case i < len(*list) || !g.blankLine(min(line+i, g.lineCount()-1)):
		i = 0
	}
	if i > 0 {
		g.of(s.owner).below = g.commentLines((*list)[:i])
		*list = (*list)[i:]
	}
}

// assignTrailing attaches a comment to the end of a sibling's line; a second one goes above it.
func (g commentAssigner) assignTrailing(owner *Node, c comment) {
	r, text := g.of(owner), string(g.data[c.start:c.end])
	if r.trailing == "" {
		r.trailing = text
		return
	}
	r.above = append(r.above, text)
}

// assignInside attaches the comments between a sibling's start and the end of its value.
// Those before the value's first part belong to the sibling, unless they have a line of
// their own.
func (g commentAssigner) assignInside(s sibling, list []comment) {
	parts := g.siblings(s.value)
	if len(parts) == 0 {
		for _, c := range list {
			g.assignTrailing(s.owner, c)
		}
		return
	}
	rest := list[:0:0]
	for _, c := range list {
		if c.start < parts[0].start && !c.ownLine {
			g.assignTrailing(s.owner, c)
		} else {
			rest = append(rest, c)
		}
	}
	g.assign(s.value, rest)
}
