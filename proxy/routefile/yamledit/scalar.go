package yamledit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Single values in the canonical layout: as written if they are on one line; else plain
// if no YAML parser reads them as anything but text; else in double quotes. New texts of
// several lines are literals.

// plainText matches what needs no quotes, inside of braces and for YAML 1.1 too.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._@%+-]*$`)

// scalar returns a single value on one line.
func (p *printer) scalar(n *Node) string {
	if text, ok := p.asWritten(n); ok {
		return text
	}
	return canonicalScalar(n)
}

// asWritten returns a value's own bytes if they are on one line.
func (p *printer) asWritten(n *Node) (string, bool) {
	if p.src == nil || n.Style&(LiteralStyle|FoldedStyle) != 0 {
		return "", false
	}
	at, ok := p.src.spans[n]
	text := p.src.data[at.start:at.end]
	return string(text), ok && !bytes.Contains(text, []byte("\n"))
}

// flowScalar returns a single value inside of braces, where null must be explicit.
func (p *printer) flowScalar(n *Node) string {
	if text := p.scalar(n); text != "" {
		return text
	}
	return "null"
}

// canonicalScalar returns a single value from its meaning alone.
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
	if plainText.MatchString(s) && s != "..." && !isAmbiguous(s) {
		return s
	}
	return quoted(s)
}

// isAmbiguous reports whether some YAML parser reads a plain s as something other than
// text. "off" stays plain, as routes files use it as a word.
func isAmbiguous(s string) bool {
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

// properties returns a node's anchor and tag as written, each followed by a space.
func (p *printer) properties(n *Node) string {
	if p.src == nil {
		return ""
	}
	at := p.src.spans[n]
	text := ""
	for _, word := range strings.Fields(string(p.src.data[at.props:at.start])) {
		if word[0] != '&' && word[0] != '!' {
			break
		}
		text += word + " "
	}
	return text
}

// isBlockScalar reports whether a single value is printed as a block of lines.
func (p *printer) isBlockScalar(n *Node) bool {
	if p.src == nil {
		return n.ShortTag() == "!!str" && fitsLiteral(n.Value)
	}
	blank := strings.TrimSpace(n.Value) == "" // its indentation could not be detected
	return n.Style&(LiteralStyle|FoldedStyle) != 0 && !blank
}

// fitsLiteral reports whether a text can be written as a literal block without loss.
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

// blockText returns a block scalar's header and its lines.
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

// blockSource returns a block scalar's style, "+" if it keeps blank lines, and its lines
// without their indentation.
func (l *layout) blockSource(n *Node) (style, keep string, body []string) {
	at := l.spans[n]
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
