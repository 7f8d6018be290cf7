package routefile

import (
	"bytes"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
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
func Format(data []byte) ([]byte, error) {
	l, err := newLayout(data)
	if err != nil {
		return nil, err
	}
	if err := l.refuseDirectives(); err != nil {
		return nil, err
	}
	out, err := l.format(false)
	if err != nil && len(l.aliases) > 0 {
		// Sorted keys can put an alias before its anchor.
		out, err = l.format(true)
	}
	return out, err
}

// refuseDirectives refuses %YAML and %TAG lines, which the result would lack.
func (l *layout) refuseDirectives() error {
	for line := range l.limit {
		if text := l.text(line); len(text) > 0 && text[0] == '%' {
			return &LayoutError{Pos: Pos{Line: line + 1, Col: 1}, Text: "a directive: a routes file needs none, take it out"}
		} else if len(text) > 0 && text[0] != '#' {
			return nil
		}
	}
	return nil
}

// format prints the file once and proves the result.
func (l *layout) format(unsort bool) ([]byte, error) {
	p := printer{step: 2, src: l, unsort: unsort, remarks: map[*yaml.Node]*remark{}}
	header := l.remark(p.remarks)
	p.comments(0, header)
	if l.root != nil {
		if len(header) > 0 {
			p.comments(0, []string{""})
		}
		p.top()
	}
	for len(p.lines) > 0 && p.lines[len(p.lines)-1] == (printed{}) {
		p.lines = p.lines[:len(p.lines)-1]
	}
	out := []byte(strings.Join(textOf(p.lines), "\n") + "\n")
	if len(p.lines) == 0 {
		out = nil
	}
	return out, l.proveFormat(out, p.shown)
}

// top prints the document's mapping.
func (p *printer) top() {
	if len(p.src.root.Content) == 0 {
		p.put(0, "{}", "")
		return
	}
	p.children(p.src.root, &document, 0)
}

// proveFormat checks that out means what the file means and lacks no comment.
func (l *layout) proveFormat(out []byte, shown int) error {
	if shown != len(l.comments) {
		return fmt.Errorf("refusing to format: %d of %d comments would be lost", len(l.comments)-shown, len(l.comments))
	}
	doc, err := oneDocument(out)
	if err != nil {
		return fmt.Errorf("refusing to format: the result is %w", err)
	}
	if l.root == nil || doc == nil {
		if l.root != nil || doc != nil && len(bytes.TrimSpace(out)) > 0 && doc.Content[0].Kind != yaml.ScalarNode {
			return fmt.Errorf("refusing to format: the result does not mean the same")
		}
		return nil
	}
	if !sameValue(l.root, doc.Content[0]) {
		return fmt.Errorf("refusing to format: the result does not mean the same")
	}
	return nil
}
