package yamledit

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The canonical layout, printed from nodes. With a layout behind them nodes
// keep their words and comments as written (Format); without one they are
// printed from their values alone (what an edit adds).

const (
	// maxFlowWritten is how wide a line may be for a mapping or list that was
	// written on one line to stay there.
	maxFlowWritten = 100
	// maxFlowNew is the same for what the printer puts on one line by itself.
	maxFlowNew = 80
)

// printer collects lines. Not for concurrent use.
type printer struct {
	lines   []printed
	step    int               // spaces a level
	src     *layout           // where the nodes stand; nil: nowhere
	remarks map[*Node]*remark // by a pair's key or a list's item
	unsort  bool              // keep the order of keys
	shown   int               // comments printed
}

// printed is one line and the comment at its end.
type printed struct{ text, note string }

// remark is the comments around one pair or item. An empty text among lead and
// foot is a blank line.
type remark struct {
	lead, foot []string
	note       string
}

// textOf is the lines with their comments, those of neighbouring lines aligned.
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
		p.shown++
	}
	p.lines = append(p.lines, printed{text, note})
}

// comments adds comment lines, and single blank lines where there were any.
func (p *printer) comments(indent int, texts []string) {
	for _, t := range texts {
		switch {
		case t != "":
			p.put(indent, t, "")
			p.shown++
		case len(p.lines) > 0 && p.lines[len(p.lines)-1] != (printed{}):
			p.put(0, "", "")
		}
	}
}

func (p *printer) remark(n *Node) *remark {
	if r := p.remarks[n]; r != nil {
		return r
	}
	return &remark{}
}

// pair prints one key and its value, indented. k is the table's key for it; nil: unknown.
func (p *printer) pair(key, value *Node, k Keys, indent int) {
	r := p.remark(key)
	p.comments(indent, r.lead)
	text := p.scalar(key) + ":"
	inline, below := p.value(value, k, indent, indent+utf8.RuneCountInString(text)+1)
	if inline != "" {
		text += " " + inline
	}
	p.put(indent, text, r.note)
	p.lines = append(p.lines, below...)
	p.comments(indent, r.foot)
}

// value is what stands behind a key's colon and on the lines below it. used is
// how much of the line is taken.
func (p *printer) value(n *Node, k Keys, indent, used int) (string, []printed) {
	props := p.properties(n)
	switch {
	case n.Kind == AliasNode:
		return "*" + n.Value, nil
	case n.Kind == ScalarNode && p.isText(n):
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
	below := printer{step: p.step, src: p.src, remarks: p.remarks, unsort: p.unsort}
	below.children(n, k, indent+p.step)
	p.shown += below.shown
	return strings.TrimSpace(props), below.lines
}

func (p *printer) width() int {
	if p.src != nil {
		return maxFlowWritten
	}
	return maxFlowNew
}

// staysFlow says whether a collection may stand on one line. As written, except
// for the sections of the top level: an edit needs those as blocks. What
// was not written stands on one line if it holds nothing but single values and
// lists of them.
func (p *printer) staysFlow(n *Node, k Keys) bool {
	switch {
	case len(n.Content) == 0:
		return true
	case p.src == nil:
		return shallow(n)
	case p.src.records[n]:
		return false
	}
	return n.Style&FlowStyle != 0 && !p.remarked(n)
}

// remarked says whether comments stand between the parts of n.
func (p *printer) remarked(n *Node) bool {
	for _, c := range n.Content {
		if r := p.remark(c); r.note != "" || hasText(r.lead) || hasText(r.foot) || p.remarked(c) {
			return true
		}
	}
	return false
}

func hasText(lines []string) bool {
	return slices.ContainsFunc(lines, func(s string) bool { return s != "" })
}

// shallow says whether n holds nothing but values of one line and lists of them.
func shallow(n *Node) bool {
	for _, c := range n.Content {
		list := c.Kind == SequenceNode && n.Kind == MappingNode && shallow(c)
		if c.Kind != ScalarNode && !list || c.Kind == ScalarNode && fitsLiteral(c.Value) {
			return false
		}
	}
	return true
}

// children prints the parts of a collection as a block.
func (p *printer) children(n *Node, k Keys, indent int) {
	if n.Kind == SequenceNode {
		for _, item := range n.Content {
			p.item(item, below(k, "[]"), indent)
		}
		return
	}
	for _, i := range p.order(n, k) {
		p.pair(n.Content[i], n.Content[i+1], below(k, n.Content[i].Value), indent)
	}
}

// order is the indexes of n's keys in the order of the table; names of the
// writer's choice, and keys that the table lacks, stay in theirs. Merge keys stand first.
func (p *printer) order(n *Node, k Keys) []int {
	at := make([]int, 0, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		at = append(at, i)
	}
	if k == nil || p.unsort {
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

// item prints one item of a list: its first key stands on the line of the dash.
func (p *printer) item(n *Node, k Keys, indent int) {
	r := p.remark(n)
	p.comments(indent, r.lead)
	inline, rest := p.value(n, k, indent, indent+2)
	if inline == "" && r.note == "" && len(rest) > 0 && !isCommentLine(rest[0].text) {
		inline = p.afterDash() + strings.TrimLeft(rest[0].text, " ")
		p.lines = append(p.lines, printed{strings.Repeat(" ", indent) + "- " + inline, rest[0].note})
		rest = rest[1:]
	} else {
		p.put(indent, strings.TrimRight("- "+inline, " "), r.note)
	}
	p.lines = append(p.lines, rest...)
	p.comments(indent, r.foot)
}

func isCommentLine(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " "), "#")
}

// afterDash fills up to the indentation of the lines below.
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

// flowText is n on one line without a layout behind it.
func flowText(n *Node) string {
	p := printer{}
	return p.flow(n, nil)
}
