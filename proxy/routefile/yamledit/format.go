package yamledit

import "fmt"

// Format: a document in the canonical layout.

// Format returns data in the canonical layout, which an edit can splice and
// which Format itself leaves as it is:
//
//   - two spaces a level, lists indented below their key, LF line ends, one at the end;
//   - keys in the order of Schema.Keys; names that a writer chooses keep their order;
//   - the sections are blocks; elsewhere a mapping or list in braces or brackets stays
//     on one line of up to 100 characters, and becomes a block otherwise; a block stays
//     a block;
//   - comments stay with their key; trailing comments of neighbouring lines are aligned;
//     several blank lines become one, and no block begins with one;
//   - values keep their spelling and quotes; a quoted text of several lines is written
//     on one.
//
// The result is parsed again and has the same meaning and all comments, or the edit is
// refused. The error is a *LayoutError if a place prevents formatting; a document that
// is not YAML is an error too.
func (s *Schema) Format(data []byte) ([]byte, error) {
	l, err := s.newLayout(data)
	if err != nil {
		return nil, err
	}
	if err := l.checkDirectives(); err != nil {
		return nil, err
	}
	if l.root != nil {
		if err := l.checkKeys(l.root); err != nil {
			return nil, err
		}
	}
	out, err := l.format(false)
	if err != nil && len(l.aliases) > 0 {
		// Sorting keys can move an alias before its anchor.
		out, err = l.format(true)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkDirectives refuses %YAML and %TAG lines, as the printer would drop them.
func (l *layout) checkDirectives() error {
	for line := range l.endLine {
		if text := l.text(line); len(text) > 0 && text[0] == '%' {
			return &LayoutError{Pos: Pos{Line: line + 1, Col: 1}, Text: "a %YAML or %TAG directive: remove it"}
		} else if len(text) > 0 && text[0] != '#' {
			return nil
		}
	}
	return nil
}

// format prints the file once and proves the result.
func (l *layout) format(keepOrder bool) ([]byte, error) {
	p := printer{step: 2, src: l, keepOrder: keepOrder, attached: map[*Node]*attachedComments{}}
	switch {
	case l.root == nil:
		p.comments(0, l.commentLines(l.comments))
	case len(l.root.Content) == 0:
		p.put(0, "{}", "")
		p.comments(0, l.commentLines(l.comments))
	default:
		commentAssigner{l, p.attached}.assign(l.root, l.comments)
		p.top()
	}
	var out []byte
	if len(p.lines) > 0 {
		out = joinLines(alignedLines(p.lines))
	}
	return out, l.proveFormat(out, p.commentsShown)
}

// top prints the document's mapping. Comments at the start of the file stay there, whichever
// key moves, as those at its end do.
func (p *printer) top() {
	keys := p.src.root.Content
	first := p.commentsOf(keys[0])
	order := p.order(p.src.root, p.src.schema.Keys)
	if order[0] != 0 && hasText(first.above) {
		p.comments(0, append(first.above, ""))
		first.above = nil
	}
	p.children(p.src.root, p.src.schema.Keys, 0)
}

// checkKeys refuses keys that are not plain texts, or have an anchor or a tag.
func (l *layout) checkKeys(n *Node) error {
	for i, c := range n.Content {
		if n.Kind == MappingNode && i%2 == 0 {
			at := l.spans[c]
			if c.Kind != ScalarNode || at.start != at.props || at.start == at.end {
				return l.errorAt(c, "this key is not a plain text: write it out")
			}
		}
		if err := l.checkKeys(c); err != nil {
			return err
		}
	}
	return nil
}

// proveFormat checks that out means the same and has all comments.
func (l *layout) proveFormat(out []byte, commentsShown int) error {
	if commentsShown != len(l.comments) {
		return fmt.Errorf("refusing to format: %d of %d comments would be lost", len(l.comments)-commentsShown, len(l.comments))
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
