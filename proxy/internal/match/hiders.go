package match

// Which rules of a list can hide another. Many rules may have one path and differ in a
// condition and in their priorities; to look at all of them for each would be quadratic
// work. What hides a rule asks for nothing that the rule does not ask for, so one condition
// of each is enough to find it by.

import "net/netip"

// hiders finds rules of a list by one of their conditions. Every list is by rank.
type hiders struct {
	free []*rule // without conditions
	by   map[hiderKey][]*rule
}

// hiderKey is what a rule that hides another asks for at a slot.
type hiderKey struct {
	slot  string
	value string // of op, "" for any
	op    hiderOp
}

type hiderOp uint8

const (
	hidesAny     hiderOp = iota // whatever the hidden rule asks for at the slot
	hidesEqual                  // one value
	hidesRegex                  // one regex
	hidesRegexes                // any regex: it may match the hidden rule's value
	hidesNetwork                // networks, of which this is one
)

// fewHiders is how many rules are looked at one by one.
const fewHiders = 16

// hidersOf returns the index of a list, made if need be.
func (t *Tree) hidersOf(list []*rule) *hiders {
	if h := t.hiders[&list[0]]; h != nil {
		return h
	}
	h := &hiders{by: make(map[hiderKey][]*rule)}
	for _, r := range list {
		if len(r.conditions) == 0 {
			h.free = append(h.free, r)
			continue
		}
		for _, key := range r.hiderKeys() {
			h.by[key] = append(h.by[key], r)
		}
	}
	if t.hiders == nil {
		t.hiders = make(map[**rule]*hiders)
	}
	t.hiders[&list[0]] = h
	return h
}

// hiderKeys returns the keys that r is found by: those of the condition that the fewest
// rules are likely to have.
func (r *rule) hiderKeys() (keys []hiderKey) {
	best := hidesAny
	for _, c := range r.conditions {
		found := hiderKeysOf(c)
		if keys == nil || best == hidesAny && found[0].op != hidesAny || best != hidesEqual && found[0].op == hidesEqual {
			keys, best = found, found[0].op
		}
	}
	return keys
}

func hiderKeysOf(c condition) []hiderKey {
	slot := c.slot()
	switch c := c.(type) {
	case *field:
		switch c.op {
		case Equal:
			return []hiderKey{{slot, c.value, hidesEqual}}
		case Matches:
			return []hiderKey{{slot, c.value, hidesRegex}, {slot, "", hidesRegexes}}
		}
	case clientIn:
		keys := make([]hiderKey, 0, len(c))
		for _, p := range c {
			keys = append(keys, hiderKey{slot, p.Masked().String(), hidesNetwork})
		}
		return keys
	}
	return []hiderKey{{slot, "", hidesAny}}
}

// lists yields the lists of all rules that may hide r.
func (h *hiders) lists(r *rule, yield func([]*rule)) {
	yield(h.free)
	for _, c := range r.conditions {
		slot := c.slot()
		yield(h.by[hiderKey{slot, "", hidesAny}])
		switch c := c.(type) {
		case *field:
			switch c.op {
			case Equal:
				yield(h.by[hiderKey{slot, c.value, hidesEqual}])
				yield(h.by[hiderKey{slot, "", hidesRegexes}])
			case Matches:
				yield(h.by[hiderKey{slot, c.value, hidesRegex}])
			}
		case clientIn:
			for bits := c[0].Bits(); bits >= 0; bits-- {
				p := netip.PrefixFrom(c[0].Addr(), bits).Masked()
				yield(h.by[hiderKey{slot, p.String(), hidesNetwork}])
			}
		}
	}
}
