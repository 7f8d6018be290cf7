package yamledit

import (
	"bytes"
	"sort"
)

// Whose a comment is, for a layout that moves keys. yaml.v3's own attribution
// loses some and misplaces others, so each comment is given out here by its place.

// commentLines is comments as lines, with a blank line where one stands above.
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

// gapAbove says whether a blank line that belongs to no value stands above a line.
func (l *layout) gapAbove(line int) bool {
	return line > 0 && l.blankLine(line-1) && !l.kept[line-1]
}

// beginsLine says whether nothing but space and dashes stands before an offset on its line.
func (l *layout) beginsLine(at int) bool {
	return len(bytes.Trim(l.data[l.starts[l.lineOf(at)]:at], " -\t")) == 0
}

// giver hands comments out.
type giver struct {
	*layout
	remarks map[*Node]*remark
}

// of is a node's remark, made when first asked for.
func (g giver) of(n *Node) *remark {
	if g.remarks[n] == nil {
		g.remarks[n] = &remark{}
	}
	return g.remarks[n]
}

// sibling is one pair of a mapping or item of a list.
type sibling struct {
	owner, value *Node // the key, or the item itself; the value
	start, end   int   // bytes
}

func (g giver) siblings(n *Node) []sibling {
	var list []sibling
	if n.Kind == SequenceNode {
		for _, item := range n.Content {
			at := g.places[item]
			list = append(list, sibling{item, item, at.props, at.end})
		}
		return list
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		list = append(list, sibling{key, value, g.places[key].props, max(g.places[key].end, g.places[value].end)})
	}
	return list
}

// children gives out the comments in and around the parts of a collection.
func (g giver) children(n *Node, list []comment) {
	all := g.siblings(n)
	for i, s := range all {
		stop := len(g.data)
		if i+1 < len(all) {
			stop = all[i+1].start
		}
		g.lead(s, list[:before(list, s.start)], i == 0)
		list = list[before(list, s.start):]
		end, next := before(list, s.end), before(list, stop)
		after := list[end:next]
		own := g.after(s, &after, i+1 == len(all))
		g.inside(s, list[:end+len(own)])
		list = list[next-len(after):]
	}
}

// before counts the comments before an offset.
func before(list []comment, offset int) int {
	return sort.Search(len(list), func(i int) bool { return list[i].start >= offset })
}

// lead gives a sibling the comments and the blank line above it. No blank line
// begins a block.
func (g giver) lead(s sibling, list []comment, first bool) {
	lines := g.commentLines(list)
	if g.gapAbove(g.lineOf(s.start)) && g.beginsLine(s.start) {
		lines = append(lines, "")
	}
	for first && len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) > 0 {
		g.of(s.owner).lead = lines
	}
}

// after gives out the comments behind a sibling's value and leaves in list
// those of the next sibling. It returns those that belong inside of a block:
// the one on its last line, and those indented deeper than its key.
func (g giver) after(s sibling, list *[]comment, final bool) (own []comment) {
	switch {
	case isBlockCollection(s.value):
		i, col := 0, g.column(s.start)
		for i < len(*list) && (!(*list)[i].alone || (*list)[i].col > col) {
			i++
		}
		own, *list = (*list)[:i], (*list)[i:]
	case len(*list) > 0 && !(*list)[0].alone:
		g.note(s.owner, (*list)[0])
		*list = (*list)[1:]
	}
	g.foot(s, list, final)
	return own
}

// foot gives a sibling the comments directly below it, if a blank line sets
// them apart from the next; the last sibling takes all that are left.
func (g giver) foot(s sibling, list *[]comment, final bool) {
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
		g.of(s.owner).foot = g.commentLines((*list)[:i])
		*list = (*list)[i:]
	}
}

// note gives a comment to the end of a sibling's line; a second one goes above it.
func (g giver) note(owner *Node, c comment) {
	r, text := g.of(owner), string(g.data[c.start:c.end])
	if r.note == "" {
		r.note = text
		return
	}
	r.lead = append(r.lead, text)
}

// inside gives out the comments between a sibling's start and the end of its
// value: before the value's first part they are the sibling's own, unless they
// have a line to themselves.
func (g giver) inside(s sibling, list []comment) {
	parts := g.siblings(s.value)
	if len(parts) == 0 {
		for _, c := range list {
			g.note(s.owner, c)
		}
		return
	}
	rest := list[:0:0]
	for _, c := range list {
		if c.start < parts[0].start && !c.alone {
			g.note(s.owner, c)
		} else {
			rest = append(rest, c)
		}
	}
	g.children(s.value, rest)
}
