package routefile

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Where things stand in a file's bytes. yaml.v3 gives each node the line and
// the column (in characters) at which it starts and nothing of where it ends;
// an edit that splices bytes needs both ends, and every comment's place.

// LayoutError is a place in a routes file that cannot be edited without
// touching what the edit does not name. The text says what to do about it;
// some of it Editor.Reformat does by itself.
type LayoutError struct {
	Pos    Pos
	Record string // whose place it is: `route "chat"`; "" outside of records
	Text   string // what is in the way, then the way out
}

// Error gives the place and the way out: `routes.yaml:3:9: routes is ...`.
func (e *LayoutError) Error() string {
	return (&Error{Pos: e.Pos, Record: e.Record, Text: e.Text}).Error()
}

// layout is a parsed file together with the place of everything in it.
// Read-only once made.
type layout struct {
	data   []byte
	starts []int      // offset of each line's first byte, and len(data) behind the last
	eol    string     // how the file ends its lines
	root   *yaml.Node // the document's mapping; nil in a file without any value
	limit  int        // the line behind the document: that of "...", or the file's end

	places   map[*yaml.Node]place
	comments []comment // in the order of the file
	remarked map[int]*comment
	kept     map[int]bool                // blank lines that belong to a block scalar
	aliases  map[*yaml.Node][]*yaml.Node // who refers to an anchored node

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
func newLayout(data []byte) (*layout, error) {
	l := &layout{
		data: data, starts: lineStarts(data), eol: lineEnd(data),
		places: map[*yaml.Node]place{}, remarked: map[int]*comment{}, kept: map[int]bool{}, aliases: map[*yaml.Node][]*yaml.Node{},
	}
	if err := l.refuseOddBytes(); err != nil {
		return nil, err
	}
	doc, err := oneDocument(data)
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
func (l *layout) takeRoot(doc *yaml.Node) error {
	if doc == nil {
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return l.refuse(root, "the file is no mapping: wanted keys such as version and routes")
	}
	l.root = root
	return nil
}

// oneDocument parses data as one document, nil if there is none.
func oneDocument(data []byte) (*yaml.Node, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the file has %s, wanted at most %s", FormatSize(int64(len(data))), FormatSize(MaxBytes))
	}
	doc, second, err := decode(bytes.TrimPrefix(data, utf8BOM))
	if err != nil {
		return nil, fmt.Errorf("not readable as yaml: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if second != nil {
		return nil, &LayoutError{
			Pos:  Pos{Line: max(second.Line, 1), Col: max(second.Column, 1)},
			Text: "a second document begins here: a routes file is one document",
		}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc, nil
}

// refuse makes the error for a place that is in the way.
func (l *layout) refuse(n *yaml.Node, format string, args ...any) error {
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
	return utf8.RuneCount(bytes.TrimPrefix(text, utf8BOM)) + 1
}

var utf8BOM = []byte(bom)

// offset is where a node's first character stands. A byte order mark has no column.
// The nodes of one line are asked for from left to right, so that each is found
// from the one before it: a file may be one line.
func (l *layout) offset(n *yaml.Node) int {
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
	if line == 1 && bytes.HasPrefix(l.data, utf8BOM) {
		at += len(utf8BOM)
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
