package yamledit

import (
	"fmt"
	"slices"
)

// Format: a routes file in the canonical layout.

// Format returns data in the canonical layout, which an edit can splice and
// which Format itself leaves as it is:
//
//   - two spaces a level, lists indented below their key, LF line ends, one at the end;
//   - keys in the order of the reference; names (of pools, routes, backends,
//     listeners) keep their order;
//   - the sections of the top level are blocks; elsewhere a mapping or list that
//     is written in braces or brackets stands on one line while that line is not
//     longer than 100 characters, and becomes a block otherwise; what is written
//     as a block stays one;
//   - comments stay with the key they stand at; those at the ends of neighbouring
//     lines are aligned; runs of blank lines become one, and none begins a block;
//   - values keep their words and quotes; a quoted text that spans lines is
//     written on one.
//
// The result means the same: it is parsed again and compared. The error is a
// *LayoutError where a place is in the way; anything that is no YAML is an
// error too. What the keys mean is Check's business.
func (s *Schema) Format(data []byte) ([]byte, error) {
	l, err := s.newLayout(data)
	if err != nil {
		return nil, err
	}
	if err := l.refuseDirectives(); err != nil {
		return nil, err
	}
	if l.root != nil {
		if err := l.refuseKeys(l.root); err != nil {
			return nil, err
		}
	}
	out, err := l.format(false)
	if err != nil && len(l.aliases) > 0 {
		// Sorted keys can put an alias before its anchor.
		out, err = l.format(true)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// refuseDirectives refuses %YAML and %TAG lines, which the result would lack.
func (l *layout) refuseDirectives() error {
	for line := range l.limit {
		if text := l.text(line); len(text) > 0 && text[0] == '%' {
			return &LayoutError{Pos: Pos{Line: line + 1, Col: 1}, Text: "a %YAML or %TAG directive: remove it"}
		} else if len(text) > 0 && text[0] != '#' {
			return nil
		}
	}
	return nil
}

// format prints the file once and proves the result.
func (l *layout) format(unsort bool) ([]byte, error) {
	p := printer{step: 2, src: l, unsort: unsort, remarks: map[*Node]*remark{}}
	switch {
	case l.root == nil:
		p.comments(0, l.commentLines(l.comments))
	case len(l.root.Content) == 0:
		p.put(0, "{}", "")
		p.comments(0, l.commentLines(l.comments))
	default:
		giver{l, p.remarks}.children(l.root, l.comments)
		p.top()
	}
	var out []byte
	if len(p.lines) > 0 {
		out = joinLines(alignedLines(p.lines))
	}
	return out, l.proveFormat(out, p.shown)
}

// top prints the document's mapping. What stands at the top and, set apart, at the
// end of the file stays there, whichever key moves.
func (p *printer) top() {
	keys := p.src.root.Content
	first, last := p.remark(keys[0]), p.remark(keys[len(keys)-2])
	order := p.order(p.src.root, p.src.schema.Keys)
	if order[0] != 0 && hasText(first.lead) {
		p.comments(0, append(first.lead, ""))
		first.lead = nil
	}
	var trailer []string
	if i := slices.Index(last.foot, ""); i >= 0 && order[len(order)-1] != len(keys)-2 {
		last.foot, trailer = last.foot[:i], last.foot[i:]
	}
	p.children(p.src.root, p.src.schema.Keys, 0)
	p.comments(0, trailer)
}

// refuseKeys refuses keys that are no plain names, and those that carry more
// than a name.
func (l *layout) refuseKeys(n *Node) error {
	for i, c := range n.Content {
		if n.Kind == MappingNode && i%2 == 0 {
			at := l.places[c]
			if c.Kind != ScalarNode || at.start != at.props || at.start == at.end {
				return l.refuse(c, "this key is not a plain text: write it out")
			}
		}
		if err := l.refuseKeys(c); err != nil {
			return err
		}
	}
	return nil
}

// proveFormat checks that out means what the file means and lacks no comment.
func (l *layout) proveFormat(out []byte, shown int) error {
	if shown != len(l.comments) {
		return fmt.Errorf("refusing to format: %d of %d comments would be lost", len(l.comments)-shown, len(l.comments))
	}
	doc, err := parseDocument(out)
	if err != nil {
		return fmt.Errorf("refusing to format: the result is %w", err)
	}
	if same := doc == nil || IsNull(doc.Content[0]); l.root == nil && same {
		return nil
	} else if l.root == nil || doc == nil || !Same(l.root, doc.Content[0]) {
		return fmt.Errorf("refusing to format: the result does not mean the same")
	}
	return nil
}
