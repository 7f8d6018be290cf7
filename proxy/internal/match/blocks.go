package match

// Which rules of a group have to be compared at all. Most groups are large
// because a thousand tenants are told apart by one thing: a header, a network, a
// segment that is a name. Such a group is cut by what its members want there, so
// that the work is near-linear in their number.

import (
	"iter"
	"net/netip"
	"slices"
)

const (
	smallBlock = 16  // not worth a cut
	sampled    = 256 // members that a cut is chosen by
)

// slot is a place of a request where rules may want different things.
type slot struct {
	of     string // a condition's slot; "" is the path
	at     int    // 0 the text itself, i the i-th segment, from the end if it is negative; behind is the reverse
	length int    // of what the text starts with, or the level of a network; 0 is the whole
}

// behind stands for the whole text read from its end.
const behind = 1 << 10

// want is what a rule admits at a slot: one of these and nothing else.
type want struct {
	slot
	values []string
}

// wants lists all that r is known to want. Nothing of it is kept: of a large group
// it would be most of the memory that its judgement takes.
func (r *rule) wants() (all []want) {
	if r.path.kind == Regex {
		o := outlookOf(r.path.text, true)
		all = o.front.wants(all, slot{})
		all = o.back.wants(all, slot{at: behind})
		for i := range o.segments {
			all = o.segments[i].wants(all, slot{at: i + 1})
		}
		for i := range o.behind {
			all = o.behind[i].wants(all, slot{at: -i - 1})
		}
	}
	for _, c := range r.conditions {
		all = c.wants(all)
	}
	return all
}

// wants appends what t says of a text.
func (t *traits) wants(dst []want, at slot) []want {
	if t.whole != nil {
		dst = append(dst, want{at, t.whole})
	}
	shortest := 0
	if len(t.starts) > 0 {
		shortest = len(slices.MinFunc(t.starts, func(a, b string) int { return len(a) - len(b) }))
	}
	for n := 1; n <= shortest; n *= 2 {
		starts := make([]string, len(t.starts))
		for i, text := range t.starts {
			starts[i] = text[:n]
		}
		at.length = n
		dst = append(dst, want{at, starts})
	}
	return dst
}

// at returns what r wants at a slot, without repetition; nil is anything.
func (r *rule) at(s slot) []string {
	for _, w := range r.wants() {
		if w.slot == s {
			return slices.Compact(slices.Sorted(slices.Values(w.values)))
		}
	}
	return nil
}

func (l listenerIs) wants(dst []want) []want {
	return append(dst, want{slot{of: "listener"}, []string{string(l)}})
}

func (m methodIn) wants(dst []want) []want {
	if len(m) > maxTexts {
		return dst
	}
	return append(dst, want{slot{of: "methods"}, m})
}

// wants: of the protocols none is the only one, for a client may name several.
func (u upgradeIs) wants(dst []want) []want {
	if u == upgradeNone {
		return append(dst, want{slot{of: "upgrade"}, []string{"none"}})
	}
	return append(dst, want{slot{of: "upgrade"}, []string{"some"}})
}

func (s subprotocolOffered) wants(dst []want) []want { return dst }

func (c *field) wants(dst []want) []want {
	if c.op == Present {
		return dst
	}
	o := c.drawOutlook()
	dst = o.front.wants(dst, slot{of: c.slotName})
	return o.back.wants(dst, slot{of: c.slotName, at: behind})
}

// wants names the networks of fixed sizes that c's are within.
func (c clientIn) wants(dst []want) []want {
	if len(c) > maxTexts {
		return dst
	}
	for level := 1; level <= 16; level++ {
		values := make([]string, 0, len(c))
		for _, p := range c {
			bits := level * 2
			if p.Addr().Is6() {
				bits = level * 8
			}
			if p.Bits() < bits {
				return dst
			}
			values = append(values, netip.PrefixFrom(p.Addr(), bits).Masked().String())
		}
		dst = append(dst, want{slot{of: "client", length: level}, values})
	}
	return dst
}

// blocks are the lists of rules that each rule has to be compared with. The lists
// are in the order in which rules were given, and shared.
type blocks struct {
	of map[*rule][][]*rule
}

// before yields the rules that r has to be compared with among those given before
// it, in order and each once.
func (b *blocks) before(r *rule) iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		lists := slices.Clone(b.of[r])
		for last := -1; ; {
			var next *rule
			for i, list := range lists {
				for len(list) > 0 && list[0].index <= last {
					list = list[1:]
				}
				lists[i] = list
				if len(list) > 0 && (next == nil || list[0].index < next.index) {
					next = list[0]
				}
			}
			if next == nil || next.index >= r.index || !yield(next) {
				return
			}
			last = next.index
		}
	}
}

// within cuts a group whose members may all meet each other. used are the slots
// that it was cut by already.
func (b *blocks) within(group []*rule, used []slot) {
	s, ok := cut(group, group, used)
	if !ok {
		if len(group) > 1 {
			b.add(group, group)
		}
		return
	}
	byValue, valued, rest := split(group, s)
	used = append(slices.Clip(used), s)
	for _, same := range byValue {
		b.within(same.rules, used)
	}
	b.across(rest, valued, used)
	b.within(rest, used)
}

// across is for two groups, whose members do not meet those of their own.
func (b *blocks) across(first, second []*rule, used []slot) {
	if len(first) == 0 || len(second) == 0 {
		return
	}
	s, ok := cut(first, second, used)
	if !ok {
		b.add(first, second)
		b.add(second, first)
		return
	}
	used = append(slices.Clip(used), s)
	byFirst, valuedFirst, restFirst := split(first, s)
	bySecond, _, restSecond := split(second, s)
	others := make(map[string][]*rule, len(bySecond))
	for _, same := range bySecond {
		others[same.value] = same.rules
	}
	for _, same := range byFirst {
		b.across(same.rules, others[same.value], used)
	}
	b.across(valuedFirst, restSecond, used)
	b.across(restFirst, second, used)
}

// add has each of rules compared with others.
func (b *blocks) add(rules, others []*rule) {
	for _, r := range rules {
		b.of[r] = append(b.of[r], others)
	}
}

// same are the rules that admit a value.
type same struct {
	value string
	rules []*rule
}

// split puts rules together that admit the same value; a rule that admits several
// stands several times. rest are those that admit anything, valued the others. The
// order of rules is kept.
func split(group []*rule, s slot) (byValue []same, valued, rest []*rule) {
	places := make(map[string]int)
	for _, r := range group {
		values := r.at(s)
		if values == nil {
			rest = append(rest, r)
			continue
		}
		valued = append(valued, r)
		for _, value := range values {
			at, known := places[value]
			if !known {
				at = len(byValue)
				places[value] = at
				byValue = append(byValue, same{value: value})
			}
			byValue[at].rules = append(byValue[at].rules, r)
		}
	}
	return byValue, valued, rest
}

// cut returns the slot that leaves the fewest pairs between two groups, as far as
// a sample shows; false if none makes it worth while.
func cut(first, second []*rule, used []slot) (best slot, ok bool) {
	if len(first)*len(second) < smallBlock*smallBlock {
		return slot{}, false
	}
	a, b := tally(first), tally(second)
	least := a.size * b.size * 3 / 4
	for _, s := range a.slots {
		if slices.Contains(used, s) {
			continue
		}
		t, o := a.by[s], b.by[s]
		pairs := (a.size - t.rules) * b.size
		if o == nil {
			o = &count{}
		}
		pairs += t.rules * (b.size - o.rules)
		for value, n := range t.values {
			pairs += n * o.values[value]
		}
		if pairs < least {
			best, least, ok = s, pairs, true
		}
	}
	return best, ok
}

// tallied counts what the rules of a sample want.
type tallied struct {
	size  int
	slots []slot // in the order in which they were met
	by    map[slot]*count
}

type count struct {
	rules  int
	values map[string]int
}

func tally(group []*rule) tallied {
	t := tallied{by: make(map[slot]*count)}
	step := max(1, len(group)/sampled)
	for i := 0; i < len(group); i += step {
		t.size++
		for _, w := range group[i].wants() {
			c := t.by[w.slot]
			if c == nil {
				c = &count{values: make(map[string]int)}
				t.by[w.slot] = c
				t.slots = append(t.slots, w.slot)
			}
			c.rules++
			for _, value := range w.values {
				c.values[value]++
			}
		}
	}
	return t
}
