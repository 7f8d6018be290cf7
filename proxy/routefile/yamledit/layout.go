package yamledit

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"unicode/utf8"
)

// The bytes of every node and comment. yaml.v3 gives each node the line and column (in
// characters) of its start and nothing about its end; splicing needs both ends, and the
// place of every comment.

// LayoutError is a place in a document that cannot be edited without changing what the
// edit does not name. Editor.Reformat avoids some of them.
type LayoutError struct {
	Pos    Pos
	Record string // the record that the place belongs to, `route "chat"`; "" outside of records
	Text   string // the problem, then what to do about it
}

// Error returns the place and the text: `routes.yaml:3:9: the section routes is ...`.
func (e *LayoutError) Error() string {
	if e.Record == "" {
		return e.Pos.String() + ": " + e.Text
	}
	return e.Pos.String() + ": " + e.Record + ": " + e.Text
}

// Pos is a place in a file. Line and Col are 1-based; Col counts characters.
type Pos struct {
	File string
	Line int
	Col  int
}

// String returns "file:line:col"; a position without a line is the file's name alone.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// layout is a parsed document with the bytes of everything in it. Read-only once made.
type layout struct {
	schema  *Schema
	data    []byte
	starts  []int  // offset of each line's first byte, and len(data) after the last
	eol     string // the line end of the file
	root    *Node  // the document's mapping; nil in a document without a value
	unended bool   // the last line break is not the document's, and is left out of the result
	endLine int    // the line after the document: that of "...", or the end of the file

	records   map[*Node]bool // the values of the sections
	spans     map[*Node]span
	comments  []comment // in the order of the file
	commentOn map[int]*comment
	keptBlank map[int]bool      // blank lines that belong to a block scalar
	aliases   map[*Node][]*Node // the aliases of an anchored node

	at   int    // while measuring: everything before it is measured
	last cursor // while measuring: the last node
	err  error
}

// cursor is a line and column as yaml.v3 counts them, and their offset.
type cursor struct{ line, col, at int }

// span is the bytes of a node: its anchor and tag from props on, its value from start to
// end. An implicit null has start == end.
type span struct{ props, start, end int }

// comment is one comment, from its # to the end of its line.
type comment struct {
	start, end int
	line, col  int  // line from 0, column from 1 in characters
	ownLine    bool // only blanks precede it on its line
}

// newLayout parses data and measures it.
func (s *Schema) newLayout(data []byte) (*layout, error) {
	l := &layout{
		schema: s, data: data, starts: lineStarts(data), eol: lineEnd(data),
		records: map[*Node]bool{}, spans: map[*Node]span{}, commentOn: map[int]*comment{}, keptBlank: map[int]bool{}, aliases: map[*Node][]*Node{},
	}
	if err := l.checkBytes(); err != nil {
		return nil, err
	}
	doc, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	l.endLine = l.documentEnd()
	if err := l.setRoot(doc); err != nil {
		return nil, err
	}
	l.measureAll()
	if l.err != nil {
		return nil, l.err
	}
	for i := range l.comments {
		l.commentOn[l.comments[i].line] = &l.comments[i]
	}
	return l, nil
}

// setRoot keeps the document's mapping. A document that is an implicit null counts as empty.
func (l *layout) setRoot(doc *Node) error {
	if doc == nil {
		return nil
	}
	root := doc.Content[0]
	if root.Kind == ScalarNode && root.Value == "" && root.Style == 0 {
		return nil
	}
	if root.Kind != MappingNode {
		return l.errorAt(root, "the file is not a mapping: wanted keys, each followed by a colon")
	}
	l.root = root
	for _, one := range Pairs(root) {
		if slices.Contains(l.schema.Sections, one.Key.Value) {
			l.records[one.Value] = true
		}
	}
	return nil
}

// errorAt makes the error for a node that prevents the edit.
func (l *layout) errorAt(n *Node, format string, args ...any) error {
	return &LayoutError{Pos: Pos{Line: n.Line, Col: n.Column}, Text: fmt.Sprintf(format, args...)}
}

// checkBytes refuses text that is not UTF-8, and characters that end a line in YAML 1.1
// but not in editors: NEL, LS, PS, a carriage return alone.
func (l *layout) checkBytes() error {
	for line := range l.starts[1:] {
		text := l.data[l.starts[line]:l.starts[line+1]]
		what := ""
		switch {
		case !utf8.Valid(text):
			what = "not UTF-8: save the file as UTF-8"
		case bytes.ContainsAny(text, "\u0085\u2028\u2029"):
			what = "a Unicode line separator: write it as an escape in double quotes"
		case bytes.Contains(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), []byte("\r")):
			what = "a carriage return inside of a line: end lines with LF or CRLF"
		case bytes.Contains(text, []byte(slashMark)):
			what = "a Unicode noncharacter: remove it"
		}
		if what != "" {
			return &LayoutError{Pos: Pos{Line: line + 1, Col: 1}, Text: what}
		}
	}
	return nil
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, b := range data {
		if b == '\n' && i+1 < len(data) {
			starts = append(starts, i+1)
		}
	}
	if len(data) > 0 {
		starts = append(starts, len(data))
	}
	return starts
}

// lineEnd returns the end of the first line.
func lineEnd(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineCount returns the number of lines.
func (l *layout) lineCount() int { return len(l.starts) - 1 }

// text returns a line without its end.
func (l *layout) text(line int) []byte {
	return bytes.TrimRight(l.data[l.starts[line]:l.starts[line+1]], "\r\n")
}

func (l *layout) blankLine(line int) bool {
	return len(bytes.Trim(l.text(line), " \t")) == 0
}

// lineOf returns the line of an offset.
func (l *layout) lineOf(offset int) int {
	i := sort.SearchInts(l.starts, offset+1) - 1
	return max(0, min(i, l.lineCount()-1))
}

// lastLine returns the line in which a value ends, given the offset of its end. A blank
// line that a block scalar keeps has no bytes before its end.
func (l *layout) lastLine(end int) int {
	line := l.lineOf(max(end-1, 0))
	if l.keptBlank[line+1] && l.starts[line+1] == end {
		line++
	}
	return line
}

// column returns the 1-based column of an offset, in characters.
func (l *layout) column(offset int) int {
	text := l.data[l.starts[l.lineOf(offset)]:offset]
	return utf8.RuneCount(bytes.TrimPrefix(text, byteOrderMark)) + 1
}

// offset returns the offset of a node's first character. A byte order mark has no column.
// Measuring asks for the nodes of a line from left to right, and each is found from the
// one before, as a file of one line would take quadratic time otherwise.
func (l *layout) offset(n *Node) int {
	if n.Line < 1 || n.Line > l.lineCount() {
		return len(l.data)
	}
	if l.last.line != n.Line || l.last.col > n.Column {
		l.last = l.lineStart(n.Line)
	}
	for ; l.last.col < n.Column && l.last.at < len(l.data); l.last.col++ {
		_, size := utf8.DecodeRune(l.data[l.last.at:])
		l.last.at += size
	}
	return min(l.last.at, len(l.data))
}

// lineStart returns the start of a line, counted from 1.
func (l *layout) lineStart(line int) cursor {
	at := l.starts[line-1]
	if line == 1 && bytes.HasPrefix(l.data, byteOrderMark) {
		at += len(byteOrderMark)
	}
	return cursor{line, 1, at}
}

// documentEnd returns the line of "...", or the number of lines.
func (l *layout) documentEnd() int {
	for line := range l.lineCount() {
		rest, ok := bytes.CutPrefix(l.text(line), []byte("..."))
		if ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			return line
		}
	}
	return l.lineCount()
}

// commentAt returns the comment that is alone on a line, nil if there is none.
func (l *layout) commentAt(line int) *comment {
	if c := l.commentOn[line]; c != nil && c.ownLine {
		return c
	}
	return nil
}
