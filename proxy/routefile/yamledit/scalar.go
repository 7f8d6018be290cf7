package yamledit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Single values in the canonical layout: as written where they were written on
// one line, else plain where no reader of YAML could take them for anything but
// text, else in double quotes; texts of several lines as literals.

// plainText is what may stand without quotes: also inside of braces, and to
// readers of YAML 1.1.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._@%+-]*$`)

// scalar is a single value on one line.
func (p *printer) scalar(n *Node) string {
	if text, ok := p.written(n); ok {
		return text
	}
	return canonicalScalar(n)
}

// written is a value's own bytes if they stand on one line.
func (p *printer) written(n *Node) (string, bool) {
	if p.src == nil || n.Style&(LiteralStyle|FoldedStyle) != 0 {
		return "", false
	}
	at, ok := p.src.places[n]
	text := p.src.data[at.start:at.end]
	return string(text), ok && !bytes.Contains(text, []byte("\n"))
}

// flowScalar is a single value inside of braces, where null must be written.
func (p *printer) flowScalar(n *Node) string {
	if text := p.scalar(n); text != "" {
		return text
	}
	return "null"
}

// canonicalScalar is a single value from its meaning alone.
func canonicalScalar(n *Node) string {
	switch n.ShortTag() {
	case "!!null":
		return "null"
	case "!!str":
		return textValue(n.Value)
	}
	return n.Value
}

// textValue writes a text, plain or in double quotes.
func textValue(s string) string {
	if plainText.MatchString(s) && s != "..." && !otherwiseRead(s) {
		return s
	}
	return quoted(s)
}

// otherwiseRead says whether some reader of YAML takes a plain s for something
// other than text. "off" is the one such word that stays plain: it is one of
// the format's own.
func otherwiseRead(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "true", "false", "null":
		return true
	}
	n := Node{Kind: ScalarNode, Value: s}
	return n.ShortTag() != "!!str"
}

// quoted writes a text in double quotes (YAML 1.1, 5.7).
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '\ufeff':
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// keyText writes a key.
func keyText(name string) string { return textValue(name) }

// properties is a node's anchor and tag as written, a space behind each.
func (p *printer) properties(n *Node) string {
	if p.src == nil {
		return ""
	}
	at := p.src.places[n]
	text := ""
	for _, word := range strings.Fields(string(p.src.data[at.props:at.start])) {
		if word[0] != '&' && word[0] != '!' {
			break
		}
		text += word + " "
	}
	return text
}

// isText says whether a single value is printed as a block of lines.
func (p *printer) isText(n *Node) bool {
	if p.src == nil {
		return n.ShortTag() == "!!str" && fitsLiteral(n.Value)
	}
	blank := strings.TrimSpace(n.Value) == "" // nothing would tell its indentation
	return n.Style&(LiteralStyle|FoldedStyle) != 0 && !blank
}

// fitsLiteral says whether a text reads the same and better as a literal block.
func fitsLiteral(s string) bool {
	body := strings.TrimSuffix(s, "\n")
	if !strings.Contains(body, "\n") || strings.HasSuffix(body, "\n") || strings.HasPrefix(body, " ") || strings.HasPrefix(body, "\n") {
		return false
	}
	for line := range strings.SplitSeq(body, "\n") {
		if strings.TrimSpace(line) == "" && line != "" || strings.HasPrefix(line, "\t") {
			return false
		}
	}
	return !strings.ContainsFunc(body, func(r rune) bool {
		return r != '\n' && r != '\t' && r != ' ' && (!unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '\ufeff')
	})
}

// blockText is a block scalar's header and its lines.
func (p *printer) blockText(n *Node, indent int) (string, []printed) {
	header, body := "|", strings.Split(strings.TrimSuffix(n.Value, "\n"), "\n")
	keep := ""
	if p.src != nil {
		header, keep, body = p.src.blockSource(n)
	}
	if leadingSpaces(n.Value) > 0 {
		header += fmt.Sprint(p.step)
	}
	if !strings.HasSuffix(n.Value, "\n") {
		keep = "-"
	}
	lines := make([]printed, len(body))
	for i, text := range body {
		if text != "" {
			lines[i].text = strings.Repeat(" ", indent+p.step) + text
		}
	}
	return header + keep, lines
}

// blockSource is a block scalar's style, "+" if it keeps blank lines, and its
// lines without their indentation.
func (l *layout) blockSource(n *Node) (style, keep string, body []string) {
	at := l.places[n]
	first, last := l.lineOf(at.start), l.lastLine(at.end)
	header := string(l.data[at.start:min(at.start+3, at.end)])
	if strings.Contains(header, "+") {
		keep = "+"
	}
	indent := -1
	for line := first + 1; line <= last; line++ {
		if indent < 0 && !l.blankLine(line) {
			indent = max(0, l.indentation(line)-leadingSpaces(n.Value))
		}
		text := string(l.text(line))
		body = append(body, text[min(len(text), max(0, indent)):])
	}
	return header[:1], keep, body
}
