package yamledit

import (
	"bytes"
	"unicode/utf8"
)

// Measuring: one walk in the order of the file that finds the end of each node. Only
// blanks, punctuation and comments are between two nodes, so a # there that follows a
// blank starts a comment, and no other # does.

// measureAll measures the document and the comments after it.
func (l *layout) measureAll() {
	if l.root != nil {
		l.measure(l.root)
	}
	l.scanTo(len(l.data))
}

// fail records that the bytes do not match the nodes. That happens only if yaml.v3 reads
// a file in a way that is not foreseen here; then nothing is written.
func (l *layout) fail(n *Node) {
	if l.err == nil {
		l.err = l.errorAt(n, "this value's end cannot be found: write it on one line")
	}
}

// scanTo advances to offset to and collects the comments on the way.
func (l *layout) scanTo(to int) {
	for l.at < to {
		i := bytes.IndexByte(l.data[l.at:to], '#')
		if i < 0 {
			break
		}
		l.at += i
		if l.at > 0 && !bytes.ContainsRune([]byte(" \t\n\r"), rune(l.data[l.at-1])) && !bytes.HasSuffix(l.data[:l.at], byteOrderMark) {
			l.at++
			continue
		}
		l.addComment()
	}
	l.at = max(l.at, to)
}

// addComment adds the comment that starts here.
func (l *layout) addComment() {
	line := l.lineOf(l.at)
	end := l.starts[line] + len(l.text(line))
	before := bytes.TrimPrefix(l.data[l.starts[line]:l.at], byteOrderMark)
	l.comments = append(l.comments, comment{
		start: l.at, end: end, line: line, col: l.column(l.at),
		ownLine: len(bytes.Trim(before, " \t")) == 0,
	})
	l.at = end
}

// measure finds the span of n and of its children.
func (l *layout) measure(n *Node) {
	if l.err != nil {
		return
	}
	begin := l.offset(n)
	if begin < l.at && !isImplicitNull(n) {
		l.fail(n)
		return
	}
	if isImplicitNull(n) && n.Anchor == "" && n.Style&TaggedStyle == 0 {
		l.spans[n] = span{l.at, l.at, l.at}
		return
	}
	l.scanTo(begin)
	props := l.at
	l.skipProperties(n)
	l.at = l.measureValue(n, props)
}

// isImplicitNull reports whether n is a null without bytes.
func isImplicitNull(n *Node) bool {
	return n.Kind == ScalarNode && n.Value == "" && n.Style&^TaggedStyle == 0
}

// measureValue returns the end of the value that starts here, after its properties.
func (l *layout) measureValue(n *Node, props int) int {
	start, end := l.at, 0
	switch {
	case n.Kind == AliasNode:
		end = start + 1 + len(n.Value)
		l.aliases[n.Alias] = append(l.aliases[n.Alias], n)
	case n.Kind == ScalarNode:
		end = l.scalarEnd(n, start)
	case n.Style&FlowStyle != 0 || len(n.Content) == 0:
		end = l.flowEnd(n)
	default:
		for _, c := range n.Content {
			l.measure(c)
		}
		end = l.at
	}
	if end < start || end > len(l.data) {
		l.fail(n)
		end = start
	}
	l.spans[n] = span{props, start, end}
	return end
}

// skipProperties advances over n's anchor and tag. The node tells whether it has them,
// as the first key of a block collection may have its own.
func (l *layout) skipProperties(n *Node) {
	anchor, tag := n.Anchor != "", n.Style&TaggedStyle != 0 || n.Kind == ScalarNode
	for l.at < len(l.data) {
		b := l.data[l.at]
		if !(b == '&' && anchor) && !(b == '!' && tag) {
			return
		}
		anchor, tag = anchor && b != '&', tag && b != '!'
		end := l.at
		for end < len(l.data) && !bytes.ContainsRune([]byte(" \t\r\n,[]{}"), rune(l.data[end])) {
			end++
		}
		l.at = end
		if !isImplicitNull(n) {
			l.scanTo(l.skipSpace(end))
		} else if next := l.skipBlanks(end); next < len(l.data) && (l.data[next] == '&' || l.data[next] == '!') {
			l.at = next
		}
	}
}

// skipBlanks returns the offset of the next byte of the line that is not a blank.
func (l *layout) skipBlanks(at int) int {
	for at < len(l.data) && (l.data[at] == ' ' || l.data[at] == '\t') {
		at++
	}
	return at
}

// skipSpace returns the offset of the next byte that is neither white space nor part of a comment.
func (l *layout) skipSpace(at int) int {
	for at < len(l.data) {
		switch l.data[at] {
		case ' ', '\t', '\r', '\n':
			at++
		case '#':
			line := l.lineOf(at)
			at = l.starts[line] + len(l.text(line))
		default:
			return at
		}
	}
	return at
}

// scalarEnd returns the end of the scalar that starts at an offset.
func (l *layout) scalarEnd(n *Node, at int) int {
	switch {
	case isImplicitNull(n):
		return at
	case n.Style&DoubleQuotedStyle != 0:
		return l.quotedEnd(n, at, '"')
	case n.Style&SingleQuotedStyle != 0:
		return l.quotedEnd(n, at, '\'')
	case n.Style&(LiteralStyle|FoldedStyle) != 0:
		return l.blockScalarEnd(n, at)
	}
	return l.plainEnd(n, at)
}

// quotedEnd returns the offset after the closing quote. In single quotes a doubled quote
// does not close, in double quotes an escaped one (YAML 1.1, 5.7 and 9.1).
func (l *layout) quotedEnd(n *Node, at int, quote byte) int {
	if at >= len(l.data) || l.data[at] != quote {
		l.fail(n)
		return at
	}
	for i := at + 1; i < len(l.data); i++ {
		switch {
		case quote == '"' && l.data[i] == '\\':
			i++
		case l.data[i] != quote:
		case quote == '\'' && i+1 < len(l.data) && l.data[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	l.fail(n)
	return at
}

// plainEnd matches the value with the bytes. A plain scalar has no escapes; only where it
// is folded do its spaces and newlines stand for other white space.
func (l *layout) plainEnd(n *Node, at int) int {
	for _, r := range n.Value {
		if r == '\n' || r == ' ' && (at >= len(l.data) || l.data[at] != ' ' || l.restIsSpace(at)) {
			at = l.skipFold(at)
			continue
		}
		got, size := utf8.DecodeRune(l.data[at:])
		if got != r {
			l.fail(n)
			return at
		}
		at += size
	}
	return at
}

// restIsSpace reports whether only white space follows on the line.
func (l *layout) restIsSpace(at int) bool {
	for ; at < len(l.data); at++ {
		switch l.data[at] {
		case ' ', '\t':
		case '\r', '\n':
			return true
		default:
			return false
		}
	}
	return true
}

func (l *layout) skipFold(at int) int {
	for at < len(l.data) && bytes.IndexByte([]byte(" \t\r\n"), l.data[at]) >= 0 {
		at++
	}
	return at
}

// blockScalarEnd returns the end of the last line of a literal or folded scalar, without
// its line break. Blank lines after it belong to it only if it keeps them (|+).
func (l *layout) blockScalarEnd(n *Node, at int) int {
	header := l.lineOf(at)
	headerEnd := l.starts[header] + len(l.text(header))
	if i := bytes.Index(l.data[at:headerEnd], []byte(" #")); i >= 0 {
		l.scanTo(at + i)
		l.scanTo(headerEnd)
	}
	l.at = headerEnd
	last, indent := header, -1
	for line := header + 1; line < l.endLine; line++ {
		if l.blankTo(line, indent) {
			continue
		}
		if indent < 0 {
			indent = l.indentation(line) - leadingSpaces(n.Value)
			if indent < 0 || trimmedEmpty(n.Value) {
				break
			}
		}
		if l.indentation(line) < indent {
			break
		}
		last = line
	}
	if bytes.ContainsRune(l.data[at:min(headerEnd, at+3)], '+') {
		for last+1 < l.endLine && l.blankLine(last+1) {
			last++
			l.keptBlank[last] = true
		}
	}
	return l.starts[last] + len(l.text(last))
}

// blankTo reports whether a line has no content for a block scalar of this indentation;
// more blanks than that are content.
func (l *layout) blankTo(line, indent int) bool {
	return l.blankLine(line) && (indent < 0 || l.indentation(line) <= indent)
}

// indentation counts a line's leading spaces.
func (l *layout) indentation(line int) int {
	text := l.text(line)
	return len(text) - len(bytes.TrimLeft(text, " "))
}

// leadingSpaces counts the spaces before the first line of a block scalar's value that is not blank.
func leadingSpaces(value string) int {
	spaces := 0
	for _, r := range value {
		switch r {
		case '\n':
			spaces = 0
		case ' ':
			spaces++
		default:
			return spaces
		}
	}
	return spaces
}

func trimmedEmpty(value string) bool {
	return len(bytes.Trim([]byte(value), "\n")) == 0
}

// flowEnd measures the children of a flow collection and returns the offset after its closing bracket.
func (l *layout) flowEnd(n *Node) int {
	if l.at >= len(l.data) || l.data[l.at] != '{' && l.data[l.at] != '[' {
		if l.at >= len(l.data) || n.Kind != MappingNode || len(n.Content) != 2 {
			l.fail(n)
			return l.at
		}
		return l.pairEnd(n)
	}
	l.at++
	for _, c := range n.Content {
		l.measure(c)
	}
	for l.err == nil && l.at < len(l.data) {
		l.scanTo(l.skipSpace(l.at))
		if l.at == len(l.data) {
			break
		}
		switch l.data[l.at] {
		case '}', ']':
			return l.at + 1
		case ',', ':', '?':
			l.at++
		default:
			l.fail(n)
		}
	}
	l.fail(n)
	return l.at
}

// pairEnd measures a single pair in a flow list, such as [a: b].
func (l *layout) pairEnd(n *Node) int {
	l.measure(n.Content[0])
	l.measure(n.Content[1])
	return l.at
}
