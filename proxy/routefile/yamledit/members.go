package yamledit

import (
	"bytes"
)

// The lines of each key of a block mapping: those of its value, and the comments directly
// above and below it. Dropping a key removes all of them; comments that blank lines
// separate stay.

// member is one key of a block mapping. Lines count from 0.
type member struct {
	key, value *Node
	head       int // first line of the comment directly above, or line
	line       int // line of the key
	last       int // last line of the value
	inner      int // after the comments below that are indented deeper than the key
	end        int // after all its comments
	tail       int // where a following key may be added: after comments that are indented deeper
}

// members lists the keys of the block mapping m, whose lines end before endLine.
func (l *layout) members(m *Node, endLine int) ([]member, error) {
	list := make([]member, 0, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if err := l.checkKey(m, key); err != nil {
			return nil, err
		}
		at := l.spans[key].props
		last := l.lastLine(max(l.spans[key].end, l.spans[value].end))
		line := l.lineOf(at)
		list = append(list, member{key: key, value: value, head: line, line: line, last: last})
	}
	for i := range list {
		l.shareComments(list, i, endLine)
	}
	return list, nil
}

// checkKey refuses keys that do not begin their line: `? key`, and mappings that begin
// on the line of a list's dash.
func (l *layout) checkKey(m, key *Node) error {
	if key.Kind != ScalarNode {
		return l.errorAt(key, "this key is not a plain text: write it out")
	}
	at := l.spans[key]
	before := bytes.TrimPrefix(l.data[l.starts[l.lineOf(at.props)]:at.props], byteOrderMark)
	if len(bytes.Trim(before, " ")) > 0 || l.lineOf(at.end-1) != l.lineOf(at.props) {
		return l.errorAt(key, "the key %q does not begin its line: write it as `key: value`", Clip(key.Value))
	}
	return nil
}

// shareComments assigns the comments between member i and the next to one of them, or to neither.
func (l *layout) shareComments(list []member, i, endLine int) {
	m, from, to := &list[i], list[i].last+1, endLine
	final := i == len(list)-1
	if !final {
		to = list[i+1].line
	}
	col := l.column(l.spans[m.key].props)
	m.inner = from
	for line := from; line < to; line++ {
		if c := l.commentAt(line); c != nil && c.col <= col {
			break
		} else if c != nil {
			m.inner = line + 1
		}
	}
	m.end = l.footEnd(m.inner, to, col, final)
	m.tail = l.tailOf(m.end, to, col)
	if !final {
		list[i+1].head = l.headStart(m.end, to, col)
	}
	if i == 0 {
		m.head = l.headStart(0, m.line, col)
	}
}

// footEnd returns the line after the comment directly below a value, unless that comment
// leads to the next key.
func (l *layout) footEnd(from, to, col int, final bool) int {
	line := from
	for line < to && l.commentAt(line) != nil && l.commentAt(line).col >= col {
		line++
	}
	if line == to && !final {
		return from
	}
	return line
}

// tailOf returns the line after the last comment that is indented deeper than the key. A
// key added above such a comment would seem to own it.
func (l *layout) tailOf(from, to, col int) int {
	for line := to; line > from; line-- {
		if c := l.commentAt(line - 1); c != nil && c.col > col {
			return line
		}
	}
	return from
}

// headStart returns the first line of the comment that ends directly above line to.
func (l *layout) headStart(from, to, col int) int {
	line := to
	for line > from && l.commentAt(line-1) != nil && l.commentAt(line-1).col == col {
		line--
	}
	return line
}

// isBlock reports whether n is a block mapping that may be edited key by key.
func isBlock(n *Node) bool {
	return n.Kind == MappingNode && n.Style&FlowStyle == 0 && len(n.Content) > 0
}

// isFlow reports whether n is a mapping in braces.
func isFlow(n *Node) bool {
	return n.Kind == MappingNode && !isBlock(n)
}

// colon returns the offset after the colon that follows a key.
func (l *layout) colon(key *Node) int {
	at := l.spans[key].end
	for at < len(l.data) && l.data[at] != ':' {
		at++
	}
	return min(at+1, len(l.data))
}
