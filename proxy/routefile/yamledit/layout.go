package yamledit

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"unicode/utf8"
)

// Where things stand in a file's bytes. yaml.v3 gives each node the line and
// the column (in characters) at which it starts and nothing of where it ends;
// an edit that splices bytes needs both ends, and every comment's place.

// LayoutError is a place in a document that cannot be edited without changing
// what the edit does not name. Editor.Reformat mends some of them.
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

// layout is a parsed file together with the place of everything in it.
// Read-only once made.
type layout struct {
	schema *Schema
	data   []byte
	starts []int  // offset of each line's first byte, and len(data) behind the last
	eol    string // how the file ends its lines
	root   *Node  // the document's mapping; nil in a file without any value
	limit  int    // the line behind the document: that of "...", or the file's end

	records  map[*Node]bool // the values of the sections
	places   map[*Node]place
	comments []comment // in the order of the file
	remarked map[int]*comment
	kept     map[int]bool      // blank lines that belong to a block scalar
	aliases  map[*Node][]*Node // who refers to an anchored node

	at    int  // while measuring: everything before it is measured
	found spot // while measuring: the last node
	err   error
}

// spot is a place as yaml.v3 tells it, and its offset.
type spot struct{ line, col, at int }

// place is a node's bytes: its anchor and tag from props on, its value from
// start to end. A value that is not written has start == end.
type place struct{ props, start, end int }

// comment is one comment, from its # to the end of its line.
type comment struct {
	start, end int
	line, col  int  // line from 0, column from 1 in characters
	alone      bool // nothing but space stands before it on its line
}

// newLayout parses data and measures it.
func (s *Schema) newLayout(data []byte) (*layout, error) {
	l := &layout{
		schema: s, data: data, starts: lineStarts(data), eol: lineEnd(data),
		records: map[*Node]bool{}, places: map[*Node]place{}, remarked: map[int]*comment{}, kept: map[int]bool{}, aliases: map[*Node][]*Node{},
	}
	if err := l.refuseOddBytes(); err != nil {
		return nil, err
	}
	doc, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	l.limit = l.documentEnd()
	if err := l.takeRoot(doc); err != nil {
		return nil, err
	}
	l.measureAll()
	if l.err != nil {
		return nil, l.err
	}
	for i := range l.comments {
		l.remarked[l.comments[i].line] = &l.comments[i]
	}
	return l, nil
}

// takeRoot keeps the document's mapping. A document whose only value is null is
// as good as empty if the null is not written.
func (l *layout) takeRoot(doc *Node) error {
	if doc == nil {
		return nil
	}
	root := doc.Content[0]
	if root.Kind == ScalarNode && root.Value == "" && root.Style == 0 {
		return nil
	}
	if root.Kind != MappingNode {
		return l.refuse(root, "the file is not a mapping: wanted keys, each followed by a colon")
	}
	l.root = root
	for _, one := range Pairs(root) {
		if slices.Contains(l.schema.Sections, one.Key.Value) {
			l.records[one.Value] = true
		}
	}
	return nil
}

// refuse makes the error for a place that is in the way.
func (l *layout) refuse(n *Node, format string, args ...any) error {
	return &LayoutError{Pos: Pos{Line: n.Line, Col: n.Column}, Text: fmt.Sprintf(format, args...)}
}

// refuseOddBytes refuses what YAML 1.1 takes for the end of a line and no
// editor does (NEL, LS, PS, a CR alone), and text that is not UTF-8.
func (l *layout) refuseOddBytes() error {
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

// lineEnd is how the first line ends.
func lineEnd(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineCount is how many lines there are.
func (l *layout) lineCount() int { return len(l.starts) - 1 }

// text is a line without its end.
func (l *layout) text(line int) []byte {
	return bytes.TrimRight(l.data[l.starts[line]:l.starts[line+1]], "\r\n")
}

func (l *layout) blankLine(line int) bool {
	return len(bytes.Trim(l.text(line), " \t")) == 0
}

// lineOf is the line in which an offset stands.
func (l *layout) lineOf(offset int) int {
	i := sort.SearchInts(l.starts, offset+1) - 1
	return max(0, min(i, l.lineCount()-1))
}

// lastLine is the line in which a value that ends at an offset ends. A blank line
// that a block scalar keeps has nothing before its end.
func (l *layout) lastLine(end int) int {
	line := l.lineOf(max(end-1, 0))
	if l.kept[line+1] && l.starts[line+1] == end {
		line++
	}
	return line
}

// column is the 1-based column of an offset, in characters.
func (l *layout) column(offset int) int {
	text := l.data[l.starts[l.lineOf(offset)]:offset]
	return utf8.RuneCount(bytes.TrimPrefix(text, byteOrderMark)) + 1
}

// offset is where a node's first character stands. A byte order mark has no column.
// The nodes of one line are asked for from left to right, so that each is found
// from the one before it: a file may be one line.
func (l *layout) offset(n *Node) int {
	if n.Line < 1 || n.Line > l.lineCount() {
		return len(l.data)
	}
	if l.found.line != n.Line || l.found.col > n.Column {
		l.found = l.lineSpot(n.Line)
	}
	for ; l.found.col < n.Column && l.found.at < len(l.data); l.found.col++ {
		_, size := utf8.DecodeRune(l.data[l.found.at:])
		l.found.at += size
	}
	return min(l.found.at, len(l.data))
}

// lineSpot is where a line, counted from 1, begins.
func (l *layout) lineSpot(line int) spot {
	at := l.starts[line-1]
	if line == 1 && bytes.HasPrefix(l.data, byteOrderMark) {
		at += len(byteOrderMark)
	}
	return spot{line, 1, at}
}

// documentEnd is the line of "...", or the number of lines.
func (l *layout) documentEnd() int {
	for line := range l.lineCount() {
		rest, ok := bytes.CutPrefix(l.text(line), []byte("..."))
		if ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			return line
		}
	}
	return l.lineCount()
}

// commentAt is the comment that has a line to itself, nil if there is none.
func (l *layout) commentAt(line int) *comment {
	if c := l.remarked[line]; c != nil && c.alone {
		return c
	}
	return nil
}
