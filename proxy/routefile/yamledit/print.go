package yamledit

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The canonical layout, printed from nodes. With a layout nodes keep their spelling and
// comments (Format); without one they are printed from their values (what an edit adds).

const (
	// maxFlowWritten is the width up to which a mapping or list that was written on
	// one line stays there.
	maxFlowWritten = 100
	// maxFlowNew is the width up to which new mappings and lists are printed on one line.
	maxFlowNew = 80
)

// printer collects lines. Not for concurrent use.
type printer struct {
	lines         []printed
	step          int                         // spaces per level
	src           *layout                     // the layout of the nodes; nil if they are new
	attached      map[*Node]*attachedComments // by a pair's key or a list's item
	keepOrder     bool                        // do not sort keys
	commentsShown int                         // number of printed comments
}

// printed is one line and its trailing comment.
type printed struct{ text, note string }

// attachedComments are the comments around one pair or item. An empty text in above or
// below is a blank line.
type attachedComments struct {
	above, below []string
	trailing     string
}

// alignedLines returns the lines with their trailing comments, aligned in neighbouring lines.
func alignedLines(lines []printed) []string {
	all := make([]string, len(lines))
	for i := 0; i < len(lines); {
		n, width := 0, 0
		for i+n < len(lines) && lines[i+n].note != "" {
			width = max(width, utf8.RuneCountInString(lines[i+n].text))
			n++
		}
		for k := i; k < i+n; k++ {
			pad := width - utf8.RuneCountInString(lines[k].text) + 1
			all[k] = lines[k].text + strings.Repeat(" ", pad) + lines[k].note
		}
		if n == 0 {
			all[i] = lines[i].text
			n = 1
		}
		i += n
	}
	return all
}

// put adds a line.
func (p *printer) put(indent int, text, note string) {
	if text != "" {
		text = strings.Repeat(" ", indent) + text
	}
	if note != "" {
		p.commentsShown++
	}
	p.lines = append(p.lines, printed{text, note})
}

// comments adds comment lines, and single blank lines where there were any.
func (p *printer) comments(indent int, texts []string) {
	for _, t := range texts {
		switch {
		case t != "":
			p.put(indent, t, "")
			p.commentsShown++
		case len(p.lines) > 0 && p.lines[len(p.lines)-1] != (printed{}):
			p.put(0, "", "")
		}
	}
}

func (p *printer) commentsOf(n *Node) *attachedComments {
	if r := p.attached[n]; r != nil {
		return r
	}
	return &attachedComments{}
}

// pair prints one key and its value. k is about the value; nil if it is unknown.
func (p *printer) pair(key, value *Node, k Keys, indent int) {
	r := p.commentsOf(key)
	p.comments(indent, r.above)
	text := p.scalar(key) + ":"
	inline, below := p.value(value, k, indent, indent+utf8.RuneCountInString(text)+1)
	if inline != "" {
		text += " " + inline
	}
	p.put(indent, text, r.trailing)
	p.lines = append(p.lines, below...)
	p.comments(indent, r.below)
}

// value returns what follows a key's colon, and the lines below it. used is the width of
// the line so far.
func (p *printer) value(n *Node, k Keys, indent, used int) (string, []printed) {
	props := p.properties(n)
	switch {
	case n.Kind == AliasNode:
		return "*" + n.Value, nil
	case n.Kind == ScalarNode && p.isBlockScalar(n):
		header, body := p.blockText(n, indent)
		return props + header, body
	case n.Kind == ScalarNode:
		return strings.TrimSpace(props + p.scalar(n)), nil
	}
	if p.staysFlow(n, k) {
		if flow := p.flow(n, k); len(n.Content) == 0 || used+utf8.RuneCountInString(flow) <= p.width() {
			return flow, nil
		}
	}
	below := printer{step: p.step, src: p.src, attached: p.attached, keepOrder: p.keepOrder}
	below.children(n, k, indent+p.step)
	p.commentsShown += below.commentsShown
	return strings.TrimSpace(props), below.lines
}

func (p *printer) width() int {
	if p.src != nil {
		return maxFlowWritten
	}
	return maxFlowNew
}

// staysFlow reports whether a collection is printed on one line. Written ones stay as
// they are, except for the sections, which an edit needs as blocks. New ones are printed
// on one line if they hold only single values and lists of them.
func (p *printer) staysFlow(n *Node, k Keys) bool {
	switch {
	case len(n.Content) == 0:
		return true
	case p.src == nil:
		return shallow(n)
	case p.src.records[n]:
		return false
	}
	return n.Style&FlowStyle != 0 && !p.hasComments(n)
}

// hasComments reports whether there are comments between the parts of n.
func (p *printer) hasComments(n *Node) bool {
	for _, c := range n.Content {
		if r := p.commentsOf(c); r.trailing != "" || hasText(r.above) || hasText(r.below) || p.hasComments(c) {
			return true
		}
	}
	return false
}

func hasText(lines []string) bool {
	return slices.ContainsFunc(lines, func(s string) bool { return s != "" })
}

// shallow reports whether n holds only values of one line and lists of them.
func shallow(n *Node) bool {
	for _, c := range n.Content {
		list := c.Kind == SequenceNode && n.Kind == MappingNode && shallow(c)
		if c.Kind != ScalarNode && !list || c.Kind == ScalarNode && fitsLiteral(c.Value) {
			return false
		}
	}
	return true
}

// children prints the parts of a collection as a block. Comments at its end stay there,
// whichever key moves.
func (p *printer) children(n *Node, k Keys, indent int) {
	if n.Kind == SequenceNode {
		for _, item := range n.Content {
			p.item(item, below(k, "[]"), indent)
		}
		return
	}
	order, end := p.order(n, k), len(n.Content)-2
	var trailer []string
	if order[len(order)-1] != end {
		last := p.commentsOf(n.Content[end])
		last.below, trailer = nil, last.below
	}
	for _, i := range order {
		p.pair(n.Content[i], n.Content[i+1], below(k, n.Content[i].Value), indent)
	}
	p.comments(indent, trailer)
}

// order returns the indexes of n's keys in the order of k, merge keys first.
func (p *printer) order(n *Node, k Keys) []int {
	at := make([]int, 0, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		at = append(at, i)
	}
	if k == nil || p.keepOrder {
		return at
	}
	rank := func(i int) int {
		if IsMerge(n.Content[i]) {
			return -1
		}
		return k.Rank(n.Content[i].Value)
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return at
}

// item prints one item of a list, its first key on the line of the dash.
func (p *printer) item(n *Node, k Keys, indent int) {
	r := p.commentsOf(n)
	p.comments(indent, r.above)
	inline, rest := p.value(n, k, indent, indent+2)
	if inline == "" && r.trailing == "" && len(rest) > 0 && !isCommentLine(rest[0].text) {
		inline = p.afterDash() + strings.TrimLeft(rest[0].text, " ")
		p.lines = append(p.lines, printed{strings.Repeat(" ", indent) + "- " + inline, rest[0].note})
		rest = rest[1:]
	} else {
		p.put(indent, strings.TrimRight("- "+inline, " "), r.trailing)
	}
	p.lines = append(p.lines, rest...)
	p.comments(indent, r.below)
}

func isCommentLine(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " "), "#")
}

// afterDash returns the blanks up to the indentation of the lines below.
func (p *printer) afterDash() string { return strings.Repeat(" ", max(0, p.step-2)) }

// flow prints n on one line.
func (p *printer) flow(n *Node, k Keys) string {
	var parts []string
	props := p.properties(n)
	switch n.Kind {
	case AliasNode:
		return "*" + n.Value
	case ScalarNode:
		return props + p.flowScalar(n)
	case SequenceNode:
		for _, item := range n.Content {
			parts = append(parts, p.flow(item, below(k, "[]")))
		}
		return props + "[" + strings.Join(parts, ", ") + "]"
	}
	for _, i := range p.order(n, k) {
		key, value := n.Content[i], n.Content[i+1]
		parts = append(parts, p.scalar(key)+": "+p.flow(value, below(k, key.Value)))
	}
	return props + "{" + strings.Join(parts, ", ") + "}"
}

// flowText returns a new node on one line.
func flowText(n *Node) string {
	p := printer{}
	return p.flow(n, nil)
}
