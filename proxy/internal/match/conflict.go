package match

// Which rules clash: two that the order of precedence leaves undecided although
// they can match one same request, and rules that no request reaches.
//
// Two rules can only be undecided if they agree in everything that precedence
// looks at; among those, only rules with the same host and the same paths (or
// two regexes) meet. So rules are put into groups by all of that first, the
// groups are cut by what their members' conditions and regexes certainly want
// (see blocks.go), and only the members of a block are compared with each other.
// A rule that hides another is found by the tree's own lookup.

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// maxClashes bounds how many ambiguities are reported for one rule: a hundred
// copies of a rule are one mistake, not five thousand.
const maxClashes = 3

// Judge returns everything that is wrong with rules. Mistakes of form, as Form
// finds them, end it before anything is compiled; next come the Invalid problems
// that Compile finds, and rules that have some take no part in what follows: the
// Ambiguous and Unreachable problems of the set, in the order of rules.
//
// Of two ambiguous rules the one given later is Problem.Rule, and Problem.Witness
// is a request that both match. It is nil where that cannot be decided within
// PairSteps, which counts as a clash. Where a set needs more than SetSteps, the
// rules that cost the most are ambiguous too, without an Other.
//
// The answer is a function of rules alone. The error is ctx's cause, and the only
// one.
func Judge(ctx context.Context, rules []Rule) ([]Problem, error) {
	j := newJudgement(ctx)
	compiled, problems := j.compileAll(rules)
	if compiled != nil {
		problems = append(problems, j.conflicts(compiled)...)
	}
	if j.cancelled() {
		return nil, context.Cause(ctx)
	}
	return problems, nil
}

// Conflicts is Judge without the Invalid problems.
func Conflicts(rules []Rule) []Problem {
	j := newJudgement(context.Background())
	compiled, _ := j.compileAll(rules)
	return j.conflicts(compiled)
}

func (j *judgement) conflicts(compiled []*rule) []Problem {
	found := j.ambiguities(compiled)
	found = append(found, j.unreachables(compiled)...)
	slices.SortStableFunc(found, func(a, b clash) int { return a.index - b.index })
	problems := make([]Problem, 0, len(found))
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

func (j *judgement) unreachables(rules []*rule) (found []clash) {
	t := newTree(rules)
	t.indexCovers()
	j.left = HiddenSteps
	for _, r := range rules {
		if j.cancelled() {
			return found
		}
		shadowing := t.shadowedBy(r, j)
		if j.over() {
			text := fmt.Sprintf("it cannot be decided whether another route takes all of its requests: to look for such routes "+
				"takes more than %d steps, most of them for routes that match the same paths and have a higher priority; want fewer of them", HiddenSteps)
			return append(found, clash{r.index, Problem{Kind: Ambiguous, Rule: r.name, Text: text}})
		}
		if shadowing != nil {
			text := fmt.Sprintf("no request reaches it: route %q takes every one first, because %s; "+
				"want a narrower %[1]q, or a priority above %[3]d here",
				shadowing.name, whyBefore(shadowing, r), shadowing.priority)
			found = append(found, clash{r.index, Problem{Kind: Unreachable, Rule: r.name, Other: shadowing.name, Text: text}})
		}
	}
	return found
}

// shadowedBy returns the rule of the highest precedence that hides r, or nil.
func (t *Tree) shadowedBy(r *rule, j *judgement) *rule {
	s := search{hidden: r, path: r.path.sample(), bound: r.rank, left: &j.left, tree: t}
	s.visit(t, r.host.sample())
	return s.best
}

// groupKey is equal for rules that may be undecided and meet.
type groupKey struct {
	priority   int
	host       hostPattern
	kind       PathKind
	shape      string // of regexes, the literal prefix
	conditions int
}

func (r *rule) groupKey() groupKey {
	return groupKey{r.priority, r.host, r.path.kind, r.path.shape, len(r.conditions)}
}

func (j *judgement) ambiguities(rules []*rule) []clash {
	j.left = SetSteps
	clear(j.spent)
	groups := make(map[groupKey][]*rule)
	for _, r := range rules {
		key := r.groupKey()
		groups[key] = append(groups[key], r)
	}
	b := blocks{of: make(map[*rule][][]*rule)}
	for _, r := range rules {
		if group := groups[r.groupKey()]; len(group) > 1 && group[0] == r {
			b.within(group, nil)
		}
	}
	c := comparison{judgement: j}
	for _, r := range rules {
		if !c.all(b.before(r), r) {
			break
		}
	}
	if j.over() {
		c.giveUp(rules)
	}
	return c.found
}

// comparison compares rules by pairs.
type comparison struct {
	*judgement
	found []clash
}

// all compares r with others, which were given before it, until it has clashed
// often enough. It returns false when the judgement is over.
func (c *comparison) all(others iter.Seq[*rule], r *rule) bool {
	clashes := 0
	for o := range others {
		if clashes == maxClashes {
			return true
		}
		if c.over() || c.cancelled() {
			return false
		}
		if c.pair(o, r) {
			clashes++
		}
	}
	return true
}

// pair reports a and b, in the order in which they were given, if they can meet.
func (c *comparison) pair(a, b *rule) bool {
	c.begin()
	w, d := c.meet(a, b)
	c.end(a, b)
	if d == no {
		return false
	}
	p := Problem{Kind: Ambiguous, Rule: b.name, Other: a.name, Witness: w}
	if d == yes {
		p.Text = fmt.Sprintf("route %q matches the same request, and neither is more specific: %s; "+
			"want a priority on one of them", a.name, w.example())
	} else {
		p.Text = fmt.Sprintf("route %q may match the same requests, and neither is more specific: "+
			"it cannot be decided whether %s; want a priority on one of them", a.name, undecided(a, b))
	}
	c.found = append(c.found, clash{b.index, p})
	return true
}

// maxCostly is how many rules are named when a set is too costly to judge.
const maxCostly = 5

// giveUp names the rules that cost the most instead of all that was not decided.
func (c *comparison) giveUp(rules []*rule) {
	costly := slices.Clone(rules)
	slices.SortStableFunc(costly, func(a, b *rule) int { return c.spent[b.index] - c.spent[a.index] })
	costly = costly[:min(maxCostly, len(costly))]
	c.found = slices.DeleteFunc(c.found, func(f clash) bool {
		return f.Witness == nil && !slices.ContainsFunc(costly, func(r *rule) bool { return r.index == f.index })
	})
	for _, r := range costly {
		c.found = append(c.found, clash{r.index, Problem{Kind: Ambiguous, Rule: r.name,
			Text: fmt.Sprintf("it cannot be decided whether it matches the same requests as others: to compare all routes "+
				"takes more than %d steps, and those of this one are among the most; want a priority on it", SetSteps)}})
	}
}

func undecided(a, b *rule) string {
	if a.path.kind == Regex && a.path.text != b.path.text {
		return fmt.Sprintf("the regexes %q and %q match a same path", a.path.text, b.path.text)
	}
	return "the regexes among their conditions match a same value"
}

// meet returns a request that both rules match, if there is one. The rules have
// the same groupKey.
func (j *judgement) meet(a, b *rule) (*Request, decision) {
	w := &Request{Method: http.MethodGet, Host: a.host.example(), Header: make(http.Header)}
	d := j.meetConditions(a, b, w)
	if d != no {
		d = min(d, j.meetPaths(a.path, b.path, w))
	}
	if d != yes {
		return nil, d
	}
	// The check holds whatever the conditions say of themselves: what is
	// shown to a user as proof must be one.
	return w, decide(a.matches(w) && b.matches(w))
}

// meetConditions makes w satisfy the conditions of both rules.
func (j *judgement) meetConditions(a, b *rule, w *Request) decision {
	d := yes
	j.pair -= len(a.conditions) + len(b.conditions)
	for _, c := range a.conditions {
		if d = min(d, c.meet(j, b.on(c.slot()), w)); d == no {
			return no
		}
	}
	for _, c := range b.conditions {
		if a.on(c.slot()) != nil {
			continue
		}
		if d = min(d, c.meet(j, nil, w)); d == no {
			return no
		}
	}
	return d
}

// meetPaths gives w a path that both patterns match.
func (j *judgement) meetPaths(a, b *pattern, w *Request) (d decision) {
	switch a.kind {
	case Exact:
		w.Path = strings.NewReplacer("{", "", "}", "").Replace(a.text)
	case Prefix:
		w.Path = a.text
	case Regex:
		if a.outlook().disjoint(b.outlook()) || disjoint(j.firstRunesOf(&a.firstRunes, a.text), j.firstRunesOf(&b.firstRunes, b.text)) {
			return no
		}
		w.Path, d = j.intersect(pathInputs, a.text, b.text)
		return d
	default:
		w.Path = "/"
	}
	return yes
}

// outlook returns the traits of the paths that p, a regex, matches.
func (p *pattern) outlook() *outlook {
	if p.look == nil {
		p.look = outlookOf(p.text, true)
	}
	return p.look
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
