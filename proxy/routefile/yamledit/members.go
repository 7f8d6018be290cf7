package yamledit

import (
	"bytes"
)

// Which lines belong to which key of a block mapping: the lines of its value,
// the comment directly above it and the comment directly below it. Dropping a
// key takes all of them along; comments that blank lines set apart stay.

// member is one key of a block mapping. Lines count from 0.
type member struct {
	key, value *Node
	head       int // first line of the comment directly above, or line
	line       int // the key's own
	last       int // last line of the value
	inner      int // behind the comments below that are indented deeper than the key
	end        int // behind all its comments
	tail       int // where a key that follows it may be added: behind what is indented deeper
}

// members lists the keys of the block mapping m, whose lines end before limit.
func (l *layout) members(m *Node, limit int) ([]member, error) {
	list := make([]member, 0, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if err := l.refuseKey(m, key); err != nil {
			return nil, err
		}
		at := l.places[key].props
		last := l.lastLine(max(l.places[key].end, l.places[value].end))
		line := l.lineOf(at)
		list = append(list, member{key: key, value: value, head: line, line: line, last: last})
	}
	for i := range list {
		l.shareComments(list, i, limit)
	}
	return list, nil
}

// refuseKey refuses keys that do not begin their line: `? key`, and mappings
// that begin on the line of a list's dash.
func (l *layout) refuseKey(m, key *Node) error {
	if key.Kind != ScalarNode {
		return l.refuse(key, "this key is not a plain text: write it out")
	}
	at := l.places[key]
	before := bytes.TrimPrefix(l.data[l.starts[l.lineOf(at.props)]:at.props], byteOrderMark)
	if len(bytes.Trim(before, " ")) > 0 || l.lineOf(at.end-1) != l.lineOf(at.props) {
		return l.refuse(key, "the key %q does not stand alone at the start of its line: write it as `key: value`", Clip(key.Value))
	}
	return nil
}

// shareComments gives the comments between member i and the next to one of them, or to none.
func (l *layout) shareComments(list []member, i, limit int) {
	m, from, to := &list[i], list[i].last+1, limit
	final := i == len(list)-1
	if !final {
		to = list[i+1].line
	}
	col := l.column(l.places[m.key].props)
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

// footEnd is behind the comment that stands directly below a value, if it does
// not lead up to the next key.
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

// tailOf is behind the last comment indented deeper than the key: a key added
// above it would seem to own it.
func (l *layout) tailOf(from, to, col int) int {
	for line := to; line > from; line-- {
		if c := l.commentAt(line - 1); c != nil && c.col > col {
			return line
		}
	}
	return from
}

// headStart is the first line of the comment that ends directly above line to.
func (l *layout) headStart(from, to, col int) int {
	line := to
	for line > from && l.commentAt(line-1) != nil && l.commentAt(line-1).col == col {
		line--
	}
	return line
}

// isBlock says whether n is a block mapping that may be edited key by key.
func isBlock(n *Node) bool {
	return n.Kind == MappingNode && n.Style&FlowStyle == 0 && len(n.Content) > 0
}

// isFlow says whether n is a mapping in braces.
func isFlow(n *Node) bool {
	return n.Kind == MappingNode && !isBlock(n)
}

// colon is the offset behind the colon that follows a key.
func (l *layout) colon(key *Node) int {
	at := l.places[key].end
	for at < len(l.data) && l.data[at] != ':' {
		at++
	}
	return min(at+1, len(l.data))
}
