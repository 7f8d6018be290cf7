package match

// Which rules of a list can hide another. Many rules may have one path and differ in a
// condition and in their priorities; to look at all of them for each would be quadratic
// work. What hides a rule asks for nothing that the rule does not ask for, so one condition
// of each is enough to find it by.

import "net/netip"

// shadowIndex finds rules of a list by one of their conditions. Every list is by rank.
type shadowIndex struct {
	free []*rule // without conditions
	by   map[shadowKey][]*rule
}

// shadowKey is what a rule that hides another asks for at a slot.
type shadowKey struct {
	slot  string
	value string // of op, "" for any
	op    shadowOp
}

type shadowOp uint8

const (
	shadowsAny     shadowOp = iota // whatever the hidden rule asks for at the slot
	shadowsEqual                   // one value
	shadowsRegex                   // one regex
	shadowsRegexes                 // any regex: it may match the hidden rule's value
	shadowsNetwork                 // networks, of which this is one
)

// fewHiders is how many rules are looked at one by one.
const fewHiders = 16

// shadowIndexOf returns the index of a list, made if need be.
func (t *Tree) shadowIndexOf(list []*rule) *shadowIndex {
	if h := t.shadowIndexes[&list[0]]; h != nil {
		return h
	}
	h := &shadowIndex{by: make(map[shadowKey][]*rule)}
	for _, r := range list {
		if len(r.conditions) == 0 {
			h.free = append(h.free, r)
			continue
		}
		for _, key := range r.shadowKeys() {
			h.by[key] = append(h.by[key], r)
		}
	}
	if t.shadowIndexes == nil {
		t.shadowIndexes = make(map[**rule]*shadowIndex)
	}
	t.shadowIndexes[&list[0]] = h
	return h
}

// shadowKeys returns the keys that r is found by: those of the condition that the fewest
// rules are likely to have.
func (r *rule) shadowKeys() (keys []shadowKey) {
	best := shadowsAny
	for _, c := range r.conditions {
		found := shadowKeysOf(c)
		if keys == nil || best == shadowsAny && found[0].op != shadowsAny || best != shadowsEqual && found[0].op == shadowsEqual {
			keys, best = found, found[0].op
		}
	}
	return keys
}

func shadowKeysOf(c condition) []shadowKey {
	slot := c.slot()
	switch c := c.(type) {
	case *field:
		switch c.op {
		case Equal:
			return []shadowKey{{slot, c.value, shadowsEqual}}
		case Matches:
			return []shadowKey{{slot, c.value, shadowsRegex}, {slot, "", shadowsRegexes}}
		}
	case clientIn:
		keys := make([]shadowKey, 0, len(c))
		for _, p := range c {
			keys = append(keys, shadowKey{slot, p.Masked().String(), shadowsNetwork})
		}
		return keys
	}
	return []shadowKey{{slot, "", shadowsAny}}
}

// lists yields the lists of all rules that may hide r.
func (h *shadowIndex) lists(r *rule, yield func([]*rule)) {
	yield(h.free)
	for _, c := range r.conditions {
		slot := c.slot()
		yield(h.by[shadowKey{slot, "", shadowsAny}])
		switch c := c.(type) {
		case *field:
			switch c.op {
			case Equal:
				yield(h.by[shadowKey{slot, c.value, shadowsEqual}])
				yield(h.by[shadowKey{slot, "", shadowsRegexes}])
			case Matches:
				yield(h.by[shadowKey{slot, c.value, shadowsRegex}])
			}
		case clientIn:
			for bits := c[0].Bits(); bits >= 0; bits-- {
				p := netip.PrefixFrom(c[0].Addr(), bits).Masked()
				yield(h.by[shadowKey{slot, p.String(), shadowsNetwork}])
			}
		}
	}
}
