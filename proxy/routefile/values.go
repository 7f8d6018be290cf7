package routefile

import (
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Single values: how each kind of key is read into its field. Every function
// here makes the part of a Key that depends on its kind; the table adds the words.

// mapping opens the part of T that the keys fill.
func mapping[T, U any](part func(*T) *U, keys ...*Key) *Key {
	open := func(dst any) any { return part(dst.(*T)) }
	return &Key{Kind: KindMapping, keys: keys, open: open, get: open}
}

// optional opens a part of T that is nil where the key is not written.
func optional[T, U any](part func(*T) **U, keys ...*Key) *Key {
	return &Key{Kind: KindMapping, keys: keys, optional: true, open: func(dst any) any {
		at := part(dst.(*T))
		if *at == nil { // a key that is repeated was reported already
			*at = new(U)
		}
		return *at
	}, get: func(src any) any {
		if at := part(src.(*T)); *at != nil {
			return *at
		}
		return nil
	}}
}

// text reads a text that check accepts; nil accepts any.
func text[T any](field func(*T) *string, check func(string) error) *Key {
	return &Key{Kind: KindText, write: writes(field, yamledit.TextNode), set: func(p *parser, k *Key, n node, dst any) {
		if p.wantText(n) && p.wantEnum(k, n) && p.passes(n, check) {
			*field(dst.(*T)) = n.Value
		}
	}}
}

// file reads the path of a file and resolves it against the routes file.
func file[T any](field func(*T) *string) *Key {
	return &Key{Kind: KindText, write: writes(field, yamledit.TextNode), set: func(p *parser, k *Key, n node, dst any) {
		if p.wantText(n) && p.passes(n, checkFilePath) {
			*field(dst.(*T)) = p.file.resolve(n.Value)
		}
	}}
}

// value reads a text that may look like a number or a boolean: it is taken as written.
func value[T any](field func(*T) *string, check func(string) error) *Key {
	return &Key{Kind: KindValue, write: writes(field, yamledit.TextNode), set: func(p *parser, k *Key, n node, dst any) {
		if p.wantScalar(n) && p.passes(n, check) {
			*field(dst.(*T)) = n.Value
		}
	}}
}

// toggle reads true or false.
func toggle[T any](field func(*T) *Switch) *Key {
	return &Key{Kind: KindSwitch, write: writes(field, word(formatSwitch)), set: func(p *parser, k *Key, n node, dst any) {
		if on, ok := p.boolean(n); ok {
			*field(dst.(*T)) = switchOf(on)
		}
	}}
}

func switchOf(on bool) Switch {
	if on {
		return On
	}
	return Off
}

// whole reads a whole number between low and high.
func whole[T any](field func(*T) *int, low, high int) *Key {
	return &Key{Kind: KindWhole, Min: low, Max: high, write: writes(field, word(strconv.Itoa)), set: func(p *parser, k *Key, n node, dst any) {
		if v, ok := p.number(n, k.Min, k.Max); ok {
			*field(dst.(*T)) = v
		}
	}}
}

// count reads a whole number from 1 on, or off where zero is set.
func count[T any](field func(*T) *int, zero bool) *Key {
	return &Key{Kind: KindCount, Min: 1, Max: math.MaxInt32, Zero: zero, write: writes(field, word(FormatCount)), set: func(p *parser, k *Key, n node, dst any) {
		if k.Zero && isOff(n) {
			*field(dst.(*T)) = -1
		} else if v, ok := p.number(n, k.Min, k.Max); ok {
			*field(dst.(*T)) = v
		}
	}}
}

// rate reads a number above zero that may have a fraction, or off.
func rate[T any](field func(*T) *float64) *Key {
	return &Key{Kind: KindRate, Zero: true, write: writes(field, word(formatRate)), set: func(p *parser, k *Key, n node, dst any) {
		if isOff(n) {
			*field(dst.(*T)) = -1
			return
		}
		if !p.wantScalar(n) {
			return
		}
		v, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || !decimal.MatchString(n.Value) || !isNumber(n) || v == 0 || v > maxRate {
			p.bad(n, "wanted a number above 0, such as 5 or 0.5, or off")
			return
		}
		*field(dst.(*T)) = v
	}}
}

// duration reads a duration, or off where zero is set.
func duration[T any](field func(*T) *time.Duration, zero bool) *Key {
	return &Key{Kind: KindDuration, Zero: zero, write: writes(field, word(FormatDuration)), set: func(p *parser, k *Key, n node, dst any) {
		if k.Zero && isOff(n) {
			*field(dst.(*T)) = -1
			return
		}
		if !p.wantScalar(n) {
			return
		}
		d, err := parseDuration(n.Value)
		switch {
		case err != nil:
			p.bad(n, "%v", err)
		case d == 0 && !k.Zero:
			p.bad(n, "wanted more than 0")
		case d == 0:
			*field(dst.(*T)) = -1
		default:
			*field(dst.(*T)) = d
		}
	}}
}

// size reads a number of bytes, or off where zero is set.
func size[T any](field func(*T) *int64, zero bool) *Key {
	return &Key{Kind: KindSize, Zero: zero, write: writes(field, word(FormatSize)), set: func(p *parser, k *Key, n node, dst any) {
		if k.Zero && isOff(n) {
			*field(dst.(*T)) = -1
			return
		}
		if !p.wantScalar(n) {
			return
		}
		v, err := parseSize(n.Value)
		switch {
		case err != nil:
			p.bad(n, "%v", err)
		case v == 0 && !k.Zero:
			p.bad(n, "wanted more than 0")
		case v == 0:
			*field(dst.(*T)) = -1
		default:
			*field(dst.(*T)) = v
		}
	}}
}

// texts reads a list of texts that each pass check; one text is a list of one.
func texts[T any](field func(*T) *[]string, check func(string) error) *Key {
	return &Key{Kind: KindTexts, write: writes(field, textList), set: func(p *parser, k *Key, n node, dst any) {
		list := []string{}
		p.items(k, n, func(item node) {
			if p.wantText(item) && p.wantEnum(k, item) && p.passes(item, check) {
				list = append(list, item.Value)
			}
		})
		*field(dst.(*T)) = list
	}}
}

// networks reads a list of CIDRs and bare addresses.
func networks[T any](field func(*T) *[]netip.Prefix) *Key {
	return &Key{Kind: KindNetworks, write: writes(field, networkList), set: func(p *parser, k *Key, n node, dst any) {
		list := []netip.Prefix{}
		p.items(k, n, func(item node) {
			if !p.wantText(item) {
				return
			}
			prefix, err := parseNetwork(item.Value)
			if err != nil {
				p.bad(item, "%v", err)
				return
			}
			list = append(list, prefix)
		})
		*field(dst.(*T)) = list
	}}
}

func networkList(list []netip.Prefix) node {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return textList(texts)
}

// values reads names to one value each; keep stores one.
func values[T any](start func(*T), keep func(p *parser, dst *T, key, value node)) *Key {
	return &Key{Kind: KindValues, set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantKind(k, n, yamledit.MappingNode) {
			return
		}
		start(dst.(*T))
		p.entries(n, func(key, value node) {
			p.inKey(key.Value, func() {
				value, leave := p.enter(value)
				if value == nil {
					return
				}
				defer leave()
				keep(p, dst.(*T), key, value)
			})
		})
	}}
}

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

// wantList notes a mistake unless n is a list, with items where some are needed.
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

// wantText notes a mistake unless n is a text. What YAML reads as something
// else is refused with the fix: nobody should need to know what `1.10` becomes.
func (p *parser) wantText(n node) bool {
	if n.Kind == yamledit.ScalarNode && n.ShortTag() == "!!str" {
		return true
	}
	if oddTag(n) {
		return false // inspect has noted it
	}
	if n.Kind == yamledit.ScalarNode && !yamledit.IsNull(n) {
		p.fail(n, "%s, wanted a text: write %q", describe(n), yamledit.Clip(n.Value))
		return false
	}
	p.fail(n, "%s, wanted a text", describe(n))
	return false
}

// wantScalar notes a mistake unless n is a single value.
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

// wantEnum notes a mistake unless n is one of the key's values.
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
	case "yes", "on", "y", "true":
		p.bad(n, "wanted true or false: write true")
	case "no", "off", "n", "false":
		p.bad(n, "wanted true or false: write false")
	default:
		p.bad(n, "wanted true or false")
	}
	return false, false
}

// number reads a whole number in decimal between low and high.
func (p *parser) number(n node, low, high int) (int, bool) {
	if !p.wantScalar(n) {
		return 0, false
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || strconv.Itoa(v) != n.Value || !isNumber(n) || v < low || v > high {
		p.bad(n, "wanted a whole number from %d to %d%s", low, high, unquote(n))
		return 0, false
	}
	return v, true
}

func unquote(n node) string {
	if isDigits(n.Value) && !isNumber(n) {
		return ", without quotes"
	}
	return ""
}

// decimal is how a number with a fraction is written: YAML reads 010 as eight.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// maxRate is the largest rate that can be written.
const maxRate = 1e9

func isNumber(n node) bool {
	tag := n.ShortTag()
	return tag == "!!int" || tag == "!!float"
}

// isOff says whether n is the word off, or a bare 0.
func isOff(n node) bool {
	return n.Kind == yamledit.ScalarNode && (n.Value == "off" || n.Value == "0" && isNumber(n))
}
