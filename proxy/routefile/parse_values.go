package routefile

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Single values: texts, numbers and lists, and what the parser says of wrong ones.

// items yields the items of a list, or n itself when it is one text.
func (p *parser) items(k *Key, n node, yield func(item node)) {
	if n.Kind == yamledit.ScalarNode {
		yield(n)
		return
	}
	if !p.wantList(k, n) {
		return
	}
	for _, item := range n.Content {
		item, leave := p.enter(item)
		if item == nil {
			return
		}
		yield(item)
		leave()
	}
}

// wantList reports a mistake unless n is a list, with items if the key needs some.
func (p *parser) wantList(k *Key, n node) bool {
	if !p.wantKind(k, n, yamledit.SequenceNode) {
		return false
	}
	if k.Filled && len(n.Content) == 0 {
		p.fail(n, "is an empty list, wanted at least one item")
		return false
	}
	return true
}

// wantText reports a mistake unless n is a text. A value that YAML reads as something else
// is refused with the fix, which quotes alone are not if check, where it is not nil, does not
// accept the text: nobody should need to know what `1.10` becomes.
func (p *parser) wantText(n node, check func(string) error) bool {
	if n.Kind == yamledit.ScalarNode && n.ShortTag() == "!!str" {
		return true
	}
	if isCustomTag(n) {
		return false // inspect has reported it
	}
	if n.Kind == yamledit.ScalarNode && !yamledit.IsNull(n) {
		if p.passes(n, check) {
			p.fail(n, "%s, wanted a text: write %q", describe(n), yamledit.Clip(n.Value))
		}
		return false
	}
	if text, ok := unquotedBraces(n); ok {
		p.fail(n, "%s, wanted a text: write %q", describe(n), yamledit.Clip(text))
		return false
	}
	p.fail(n, "%s, wanted a text", describe(n))
	return false
}

// unquotedBraces returns the text of {name} or [name], which YAML takes for a mapping or a list.
func unquotedBraces(n node) (string, bool) {
	switch {
	case n.Style&yamledit.FlowStyle == 0:
	case n.Kind == yamledit.MappingNode && len(n.Content) == 2 && n.Content[1].Value == "" && yamledit.IsNull(n.Content[1]):
		return "{" + n.Content[0].Value + "}", true
	case n.Kind == yamledit.SequenceNode && len(n.Content) == 1 && strings.Contains(n.Content[0].Value, ":"):
		return "[" + n.Content[0].Value + "]", true
	}
	return "", false
}

// wantScalar reports a mistake unless n is a single value.
func (p *parser) wantScalar(n node) bool {
	if n.Kind == yamledit.ScalarNode && !yamledit.IsNull(n) {
		return true
	}
	p.fail(n, "%s, wanted a single value", describe(n))
	return false
}

func (p *parser) passes(n node, check func(string) error) bool {
	if check == nil {
		return true
	}
	if err := check(n.Value); err != nil {
		p.bad(n, "%v", err)
		return false
	}
	return true
}

// wantEnum reports a mistake unless n is one of the key's values.
func (p *parser) wantEnum(k *Key, n node) bool {
	if k.Enum == nil {
		return true
	}
	for _, v := range k.Enum {
		if n.Value == v {
			return true
		}
	}
	p.bad(n, "wanted %s%s", oneOf(k.Enum), didYouMean(n.Value, k.Enum))
	return false
}

// oneOf writes "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// boolean reads true or false and nothing else; YAML 1.1's other words are refused with the fix.
func (p *parser) boolean(n node) (on, ok bool) {
	if !p.wantScalar(n) {
		return false, false
	}
	if n.ShortTag() == "!!bool" && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true", true
	}
	switch strings.ToLower(n.Value) {
	case "yes", "on", "y", "true", "1", "enabled":
		p.bad(n, "wanted true or false: write true")
	case "no", "off", "n", "false", "0", "disabled":
		p.bad(n, "wanted true or false: write false")
	default:
		p.bad(n, "wanted true or false")
	}
	return false, false
}

// number reads a whole number in decimal between the key's bounds.
func (p *parser) number(k *Key, n node) (int, bool) {
	if !p.wantScalar(n) {
		return 0, false
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || strconv.Itoa(v) != n.Value || !isNumber(n) || v < k.Min || v > k.Max {
		off := ""
		if k.Zero {
			off = ", or off"
		}
		p.bad(n, "wanted a whole number from %d to %d%s%s", k.Min, k.Max, off, k.insteadOf(n))
		return 0, false
	}
	return v, true
}

// insteadOf says what to write for n, which is not as numbers are written.
func (k *Key) insteadOf(n node) string {
	if isDigits(n.Value) && !isNumber(n) {
		return ": write it without quotes"
	}
	fix := cmp.Or(offFor(k, n.Value), wholeFor(n.Value))
	if v, err := strconv.Atoi(fix); fix == n.Value || err == nil && (v < k.Min || k.Max > 0 && v > k.Max) {
		return ""
	}
	return instead(fix)
}

// decimal matches numbers with a fraction, but not 010, which YAML reads as eight.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// maxRate is the largest allowed rate.
const maxRate = 1e9

func isNumber(n node) bool {
	tag := n.ShortTag()
	return tag == "!!int" || tag == "!!float"
}

// isOff reports whether n is the word off, or a bare 0.
func isOff(n node) bool {
	return n.Kind == yamledit.ScalarNode && (n.Value == "off" || n.Value == "0" && isNumber(n))
}
