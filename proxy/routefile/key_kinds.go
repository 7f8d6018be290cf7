package routefile

import (
	"fmt"
	"iter"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The kinds of keys: each function makes the part of a Key that depends on its kind. It
// reads a value into its field and writes it back.

type (
	dur    = time.Duration
	prefix = netip.Prefix
)

// mapping opens the part of T that the keys fill.
func mapping[T, U any](part func(*T) *U, keys ...*Key) *Key {
	open := func(dst any) any { return part(dst.(*T)) }
	return &Key{Kind: KindMapping, keys: keys, open: open, get: open}
}

// optional opens a part of T that is nil where the key is not written.
func optional[T, U any](part func(*T) **U, keys ...*Key) *Key {
	return &Key{Kind: KindMapping, keys: keys, optional: true, open: func(dst any) any {
		at := part(dst.(*T))
		if *at == nil { // a repeated key was reported already
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

// named makes a mapping of names. Each name opens one U, which the keys fill.
func named[T, U any](section func(*T) map[string]*U, open func(p *parser, dst *T, name string, key node) *U, keys []*Key, more ...func(*Key)) *Key {
	one := &Key{Name: "*", Kind: KindMapping, keys: keys, optional: true, open: same, get: same}
	for _, m := range more {
		m(one)
	}
	return &Key{Kind: KindNamed, keys: []*Key{one}, each: func(p *parser, dst any, name string, key node) any {
		return open(p, dst.(*T), name, key)
	}, all: func(src any) iter.Seq2[string, any] {
		records := section(src.(*T))
		return func(yield func(string, any) bool) {
			for _, name := range sortedNames(records) {
				if !yield(name, records[name]) {
					return
				}
			}
		}
	}}
}

// same opens an entry that the keys fill directly.
func same(dst any) any { return dst }

// listOf makes a list of mappings.
func listOf[T, U any](list func(*T) []U, open func(p *parser, dst *T, item node) *U, item *Key) *Key {
	return &Key{Kind: KindList, keys: []*Key{item}, each: func(p *parser, dst any, _ string, n node) any {
		return open(p, dst.(*T), n)
	}, all: func(src any) iter.Seq2[string, any] {
		items := list(src.(*T))
		return func(yield func(string, any) bool) {
			for i := range items {
				if !yield("", &items[i]) {
					return
				}
			}
		}
	}}
}

// self is for keys that fill T directly.
func self[T any](t *T) *T { return t }

// text reads a text that check accepts; nil accepts any.
func text[T any](field func(*T) *string, check func(string) error) *Key {
	return &Key{Kind: KindText, write: writes(field, yamledit.TextNode), set: func(p *parser, k *Key, n node, dst any) {
		if p.wantText(n, check) && p.wantEnum(k, n) && p.passes(n, check) {
			*field(dst.(*T)) = n.Value
		}
	}}
}

// file reads the path of a file and resolves it against the routes file.
func file[T any](field func(*T) *string) *Key {
	return &Key{Kind: KindText, write: writes(field, yamledit.TextNode), set: func(p *parser, k *Key, n node, dst any) {
		if p.wantText(n, nil) && p.passes(n, checkFilePath) {
			*field(dst.(*T)) = p.file.resolve(n.Value)
		}
	}}
}

// value reads a text that may look like a number or a boolean, as written.
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

// plainSwitch reads true or false; unset is false.
func plainSwitch[T any](field func(*T) *bool) *Key {
	return &Key{Kind: KindSwitch, write: writes(field, word(strconv.FormatBool)), set: func(p *parser, k *Key, n node, dst any) {
		if on, ok := p.boolean(n); ok {
			*field(dst.(*T)) = on
		}
	}}
}

// onlyTrue reads a switch for which only true is allowed.
func onlyTrue[T any](field func(*T) *bool, why string) *Key {
	return &Key{Kind: KindSwitch, Enum: []string{"true"}, write: writes(field, word(strconv.FormatBool)), set: func(p *parser, k *Key, n node, dst any) {
		on, ok := p.boolean(n)
		if ok && !on {
			p.bad(n, "only true is allowed; %s", why)
		}
		*field(dst.(*T)) = on
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
		if v, ok := p.number(k, n); ok {
			*field(dst.(*T)) = v
		}
	}}
}

// statusKey reads one of a few statuses.
func statusKey[T any](field func(*T) *int, statuses ...int) *Key {
	words := strings.Fields(strings.Trim(fmt.Sprint(statuses), "[]"))
	return &Key{Kind: KindWhole, Enum: words, write: writes(field, word(strconv.Itoa)), set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantScalar(n) {
			return
		}
		for i, word := range words {
			if n.Value == word && isNumber(n) {
				*field(dst.(*T)) = statuses[i]
				return
			}
		}
		p.bad(n, "wanted %s%s", oneOf(words), k.insteadOf(n))
	}}
}

// count reads a whole number from 1 on, or off where zero is set.
func count[T any](field func(*T) *int, zero bool) *Key {
	return &Key{Kind: KindCount, Min: 1, Max: math.MaxInt32, Zero: zero, write: writes(field, word(FormatCount)), set: func(p *parser, k *Key, n node, dst any) {
		if k.Zero && isOff(n) {
			*field(dst.(*T)) = -1
		} else if v, ok := p.number(k, n); ok {
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
			p.bad(n, "wanted a number above 0, such as 5 or 0.5, or off%s", rateFor(k, n))
			return
		}
		*field(dst.(*T)) = v
	}}
}

// rateFor says what to write for n.
func rateFor(k *Key, n node) string {
	if decimal.MatchString(n.Value) && !isNumber(n) {
		return ": write it without quotes"
	}
	return k.insteadOf(n)
}

const percentPattern = `^(100|[1-9][0-9]?)%$`

// percent reads 1% to 100%.
func percent[T any](field func(*T) *int) *Key {
	return &Key{Kind: KindText, Pattern: percentPattern, write: writes(field, func(n int) node { return yamledit.TextNode(strconv.Itoa(n) + "%") }), set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantText(n, checkPercent) || !p.passes(n, checkPercent) {
			return
		}
		*field(dst.(*T)), _ = strconv.Atoi(strings.TrimSuffix(n.Value, "%")) // digits, by the pattern
	}}
}

var percents = regexp.MustCompile(percentPattern)

func checkPercent(s string) error {
	if percents.MatchString(s) {
		return nil
	}
	fix := wholeFor(strings.TrimSuffix(s, "%")) + "%"
	if part, err := strconv.ParseFloat(s, 64); err == nil && part < 1 {
		fix = wholeFor(strconv.FormatFloat(part*100, 'g', 10, 64)) + "%"
	}
	if !percents.MatchString(fix) {
		fix = ""
	}
	return fmt.Errorf("wanted a percentage from 1%% to 100%%%s", instead(fix))
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
		case err != nil && offFor(k, n.Value) != "":
			p.bad(n, "is not a duration: write off")
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
		case err != nil && offFor(k, n.Value) != "":
			p.bad(n, "is not a size: write off")
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
			if (k.Numbers && p.wantScalar(item) || !k.Numbers && p.wantText(item, check)) && p.wantEnum(k, item) && p.passes(item, check) {
				list = append(list, item.Value)
			}
		})
		*field(dst.(*T)) = list
	}}
}

// numbersToo lets the texts of a list be written as numbers.
func numbersToo(k *Key) { k.Numbers = true }

// networks reads a list of CIDRs and bare addresses.
func networks[T any](field func(*T) *[]netip.Prefix) *Key {
	return &Key{Kind: KindNetworks, write: writes(field, networkList), set: func(p *parser, k *Key, n node, dst any) {
		list := []netip.Prefix{}
		p.items(k, n, func(item node) {
			if !p.wantText(item, checkNetwork) {
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

// versionKey accepts 1 alone: a file of another version must not be half understood.
func versionKey() *Key {
	return &Key{Kind: KindWhole, Enum: []string{"1"}, set: func(p *parser, k *Key, n node, dst any) {
		if p.wantScalar(n) && (n.Value != k.Enum[0] || !isNumber(n)) {
			p.bad(n, "this release reads version 1: write version: 1")
		}
	}}
}

// afterwards adds a check across the keys of a mapping.
func afterwards[U any](f func(*parser, node, *U)) func(*Key) {
	return func(k *Key) {
		k.after = func(p *parser, _ *Key, n node, dst any) { f(p, n, dst.(*U)) }
	}
}
