package match

// Which rules clash: two that the order of precedence leaves undecided although
// they can match one same request, and rules that no request reaches.
//
// Two rules can only be undecided if they agree in everything that precedence
// looks at; among those, only rules with the same host and the same paths (or
// two regexes) meet. So rules are put into groups by all of that first, and only
// the members of a group are compared with each other. A rule that hides another
// is found by the tree's own lookup.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxClashes bounds how many ambiguities are reported for one rule: a hundred
// copies of a rule are one mistake, not five thousand.
const maxClashes = 3

// Conflicts returns what is wrong with rules as a set: Ambiguous and Unreachable
// problems, in the order of rules. Of two ambiguous rules the one given later
// is Problem.Rule, and Problem.Witness is a request that both match; it is nil
// where two regexes are too large to decide whether they have a match in common,
// which counts as a clash. Rules that Compile refuses are left out. The time
// taken is near-linear in the number of rules, but quadratic in that of regexes
// with the same literal prefix and length, and of rules for the same paths that
// differ in conditions other than a single value.
func Conflicts(rules []Rule) []Problem {
	compiled, _ := compileAll(rules)
	found := append(ambiguities(compiled), unreachables(compiled)...)
	slices.SortStableFunc(found, func(a, b clash) int { return a.index - b.index })
	var problems []Problem
	for _, c := range found {
		problems = append(problems, c.Problem)
	}
	return problems
}

// clash is a problem of the rule with that index.
type clash struct {
	index int
	Problem
}

func unreachables(rules []*rule) (found []clash) {
	t := newTree(rules)
	for _, r := range rules {
		if hider := t.hiderOf(r); hider != nil {
			text := fmt.Sprintf("no request reaches it: route %q takes every one first, because %s; want a narrower %[1]q, or a priority above %[3]d here",
				hider.name, reasonOfOrder(hider, r), hider.priority)
			found = append(found, clash{r.index, Problem{Kind: Unreachable, Rule: r.name, Other: hider.name, Text: text}})
		}
	}
	return found
}

// hiderOf returns the rule of the highest precedence that hides r, or nil.
func (t *Tree) hiderOf(r *rule) *rule {
	s := search{hidden: r, path: r.path.sample(), bound: r.rank}
	s.visit(t, r.host.sample())
	return s.best
}

// reasonOfOrder says what puts a, which hides b, before it: of one host, only
// paths can.
func reasonOfOrder(a, b *rule) string {
	switch {
	case a.priority != b.priority:
		return fmt.Sprintf("its priority is %d", a.priority)
	case a.path.kind == b.path.kind:
		// Of two exact paths or prefixes, the more specific is no wider.
		return "its path_regex is longer"
	case b.path.kind == AnyPath:
		return fmt.Sprintf("%s goes before no path at all", a.path.kind.word())
	}
	return fmt.Sprintf("%s goes before %s", a.path.kind.word(), b.path.kind.word())
}

// groupKey is equal for rules that may be undecided and meet.
type groupKey struct {
	priority   int
	host       hostPattern
	kind       PathKind
	shape      string // of regexes, the literal prefix
	source     int    // of regexes, the length
	conditions int
}

func (r *rule) groupKey() groupKey {
	key := groupKey{r.priority, r.host, r.path.kind, r.path.shape, 0, len(r.conditions)}
	if r.path.kind == Regex {
		key.source = len(r.path.text)
	}
	return key
}

func ambiguities(rules []*rule) []clash {
	groups := make(map[groupKey][]*rule)
	for _, r := range rules {
		key := r.groupKey()
		groups[key] = append(groups[key], r)
	}
	c := comparison{clashes: make(map[int]int)}
	for _, r := range rules {
		if group := groups[r.groupKey()]; len(group) > 1 && group[0] == r {
			c.within(group)
		}
	}
	return c.found
}

// comparison compares the members of groups, by pairs but for those that
// certainly exclude each other.
type comparison struct {
	found   []clash
	clashes map[int]int // how many were found for a rule
}

// within compares all rules of a group. Where many have a condition that admits
// a single value each (a thousand tenants, told apart by a header), only those
// with the same value are compared.
func (c *comparison) within(group []*rule) {
	slot := splittingSlot(group)
	if slot == "" {
		for i, b := range group {
			c.with(group[:i], b)
		}
		return
	}
	byValue, rest := split(group, slot)
	for _, same := range byValue {
		c.within(same)
		for _, r := range rest {
			c.with(same, r)
		}
	}
	c.within(rest)
}

// splittingSlot returns the slot that splits a group into the most values, or ""
// if none does or the group is so small that it does not matter.
func splittingSlot(group []*rule) (best string) {
	if len(group) < 16 {
		return ""
	}
	values := make(map[string]map[string]bool)
	for _, r := range group {
		for _, cond := range r.conditions {
			value, ok := cond.only()
			if !ok {
				continue
			}
			slot := cond.slot()
			if values[slot] == nil {
				values[slot] = make(map[string]bool)
			}
			values[slot][value] = true
			if len(values[slot]) > max(1, len(values[best])) {
				best = slot
			}
		}
	}
	return best
}

// split puts rules together whose condition of that slot admits the same value;
// rest are those without such a condition. The order of rules is kept.
func split(group []*rule, slot string) (byValue [][]*rule, rest []*rule) {
	places := make(map[string]int)
	for _, r := range group {
		value, ok := "", false
		if cond := find(r.conditions, slot); cond != nil {
			value, ok = cond.only()
		}
		if !ok {
			rest = append(rest, r)
			continue
		}
		at, known := places[value]
		if !known {
			at = len(byValue)
			places[value] = at
			byValue = append(byValue, nil)
		}
		byValue[at] = append(byValue[at], r)
	}
	return byValue, rest
}

// with compares r with each of others, until it has clashed often enough.
func (c *comparison) with(others []*rule, r *rule) {
	for _, o := range others {
		if c.clashes[r.index] >= maxClashes {
			return
		}
		c.pair(o, r)
	}
}

// pair reports a and b if they can meet.
func (c *comparison) pair(a, b *rule) {
	if a.index > b.index {
		a, b = b, a
	}
	w, d := meet(a, b)
	if d == no {
		return
	}
	p := Problem{Kind: Ambiguous, Rule: b.name, Other: a.name, Witness: w}
	if d == yes {
		p.Text = fmt.Sprintf("route %q matches the same request, and neither is more specific: %s; want a priority on one of them", a.name, w.example())
	} else {
		p.Text = fmt.Sprintf("route %q may match the same requests, and neither is more specific: it cannot be shown that %s; want a priority on one of them", a.name, undecided(a, b))
	}
	c.found = append(c.found, clash{b.index, p})
	c.clashes[b.index]++
}

func undecided(a, b *rule) string {
	if a.path.kind == Regex && a.path.text != b.path.text {
		return fmt.Sprintf("the regexes %q and %q exclude each other", a.path.text, b.path.text)
	}
	return "the regexes among their conditions exclude each other"
}

// meet returns a request that both rules match, if there is one. The rules have
// the same groupKey.
func meet(a, b *rule) (*Request, decision) {
	w := &Request{Method: http.MethodGet, Host: a.host.example(), Header: make(http.Header)}
	d := meetConditions(a, b, w)
	if d != no {
		d = min(d, meetPaths(a.path, b.path, w))
	}
	if d != yes {
		return nil, d
	}
	// The check holds whatever the conditions say of themselves: what is
	// shown to a user as proof must be one.
	return w, decide(a.matches(w) && b.matches(w))
}

// meetConditions makes w satisfy the conditions of both rules.
func meetConditions(a, b *rule, w *Request) decision {
	d := yes
	for _, c := range a.conditions {
		if d = min(d, c.meet(find(b.conditions, c.slot()), w)); d == no {
			return no
		}
	}
	for _, c := range b.conditions {
		if find(a.conditions, c.slot()) != nil {
			continue
		}
		if d = min(d, c.meet(nil, w)); d == no {
			return no
		}
	}
	return d
}

// meetPaths gives w a path that both patterns match.
func meetPaths(a, b *pattern, w *Request) (d decision) {
	switch a.kind {
	case Exact:
		w.Path = strings.NewReplacer("{", "", "}", "").Replace(a.text)
	case Prefix:
		w.Path = a.text
	case Regex:
		if apart(outlined(&a.outline, a.text), outlined(&b.outline, b.text)) {
			return no
		}
		w.Path, d = intersect(pathLanguage, a.text, b.text)
		return d
	default:
		w.Path = "/"
	}
	return yes
}

// example is a host that h matches, for showing.
func (h hostPattern) example() string {
	if suffix, ok := h.suffix(); ok {
		return "a" + suffix
	}
	if h == "" {
		return "example.com"
	}
	return string(h)
}
