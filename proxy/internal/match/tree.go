package match

// The compiled rules and the way a lookup takes through them.
//
// A lookup does not go through rules, it goes through the request: for the few
// hosts that its host can be matched by (itself, each wildcard above it, none)
// and for the few patterns that its path can be matched by (itself, a walk
// through the segments, each literal prefix that a regex has), it asks maps
// whether there are rules. Each list found is in order of precedence, so its
// first rule that holds is its best; the best of the lists wins. Precedence
// compares priority first, which cuts across hosts and paths: so every rule
// carries its rank among all, every index the least rank within it, and an
// index that cannot beat the best so far is not entered.

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Tree is an immutable set of compiled rules. All methods may be called
// concurrently.
type Tree struct {
	ranked  []*rule // by precedence
	byIndex []*rule // as given to Compile

	hosts     map[string]*hostIndex // exact hosts
	wildcards map[string]*hostIndex // by suffix, dot first
	anyHost   *hostIndex

	// Of a judgement, by the first place of a list.
	shadowIndexes map[**rule]*shadowIndex
	pathIndexes   map[**rule]*pathIndex
}

// Compile returns the tree of rules, or everything that is wrong with them one
// by one, as Invalid problems in the order of rules; then the Tree is nil.
// Rules that clash with each other are no matter of Compile: see Judge.
func Compile(rules []Rule) (*Tree, []Problem) {
	t, problems, _ := CompileContext(context.Background(), rules)
	return t, problems
}

// CompileContext is Compile for as long as ctx lasts; the error is ctx's cause.
func CompileContext(ctx context.Context, rules []Rule) (*Tree, []Problem, error) {
	compiled, problems := newJudgement(ctx).compileAll(rules)
	switch {
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case len(problems) > 0:
		return nil, problems, nil
	}
	for _, r := range compiled {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		r.compileRegexes()
	}
	return newTree(compiled), nil, nil
}

// MaxRegexBytes bounds what the regexes of a set take when they are compiled, each
// that stands several times counted once.
const MaxRegexBytes = 64 << 20

// Form returns what is wrong with rules as they are written, one by one: nothing is
// compiled for it. That is all Invalid problems but for regexes that match no path.
func Form(ctx context.Context, rules []Rule) []Problem {
	_, problems := newJudgement(ctx).readAll(rules)
	return problems
}

// readAll compiles rules but for their regexes, those that are well formed.
func (j *judgement) readAll(rules []Rule) (read []*rule, problems []Problem) {
	read = make([]*rule, 0, len(rules))
	sizes := sizes{counted: make(map[string]bool)}
	for i := range rules {
		if j.cancelled() {
			return nil, nil
		}
		r, wrong := compileRule(&rules[i])
		if len(wrong) > 0 {
			problems = append(problems, wrong...)
			continue
		}
		r.index = i
		if sizes.full() {
			continue // it is read for its mistakes alone
		}
		if wrong, within := sizes.add(r); !within {
			problems = append(problems, wrong)
			read = nil
			continue
		}
		read = append(read, r)
	}
	return read, problems
}

// sizes adds up what the regexes of a set take when they are compiled.
type sizes struct {
	total   int
	counted map[string]bool
}

func (s *sizes) full() bool { return s.total > MaxRegexBytes }

// add reports whether the set is still within its bound with r, or what is wrong.
func (s *sizes) add(r *rule) (wrong Problem, within bool) {
	r.regexes(func(key, text string, size int) bool {
		if s.counted[text] {
			return true
		}
		s.counted[text] = true
		if s.total += size; s.total > MaxRegexBytes {
			wrong = Problem{Kind: Invalid, Rule: r.name, Field: key, Text: fmt.Sprintf(
				"a regex of %d bytes, which takes about %d KiB compiled: with it the regexes of all routes take more than %d MiB; "+
					"want fewer or smaller ones (what {n} repeats counts n times)", len(text), size>>10, MaxRegexBytes>>20)}
		}
		return !s.full()
	})
	return wrong, !s.full()
}

// compileAll compiles the rules that can be compiled, but for their regexes. Where
// some are not well formed none is, and compiled is nil.
func (j *judgement) compileAll(rules []Rule) (compiled []*rule, problems []Problem) {
	read, problems := j.readAll(rules)
	if len(problems) > 0 {
		return nil, problems
	}
	compiled = make([]*rule, 0, len(read))
	for _, r := range read {
		if j.cancelled() {
			return nil, nil
		}
		if err := j.probe(r); err != nil {
			problems = append(problems, Problem{Kind: Invalid, Rule: r.name, Field: Regex.word(), Text: err.Error()})
			continue
		}
		compiled = append(compiled, r)
	}
	return compiled, problems
}

func newTree(rules []*rule) *Tree {
	t := &Tree{
		byIndex:   rules,
		ranked:    slices.Clone(rules),
		hosts:     make(map[string]*hostIndex),
		wildcards: make(map[string]*hostIndex),
	}
	sortRules(t.ranked)
	for _, r := range t.ranked {
		t.hostIndexOf(r).add(r)
	}
	return t
}

// hostIndexOf returns the index that r belongs into, made if need be.
func (t *Tree) hostIndexOf(r *rule) *hostIndex {
	if r.host == "" {
		if t.anyHost == nil {
			t.anyHost = newHostIndex(r)
		}
		return t.anyHost
	}
	in, key := t.hosts, string(r.host)
	if suffix, ok := r.host.suffix(); ok {
		in, key = t.wildcards, suffix
	}
	if in[key] == nil {
		in[key] = newHostIndex(r)
	}
	return in[key]
}

// Lookup returns the index, into the rules given to Compile, of the rule that
// wins for r, or -1 if none matches. If c is not nil it is set to what the rule
// captured. Nothing is allocated, except for a regex over a query value with
// escapes.
func (t *Tree) Lookup(r *Request, c *Captures) int {
	s := search{request: r, path: r.Path, bound: math.MaxInt}
	s.visit(t, r.Host)
	if c != nil {
		c.reset(s.best, r.Path)
	}
	if s.best == nil {
		return -1
	}
	return s.best.index
}

// search is one walk through a Tree: for the rule that wins a request, or for
// the one that hides another rule (see cover.go).
type search struct {
	request *Request
	hidden  *rule // instead of request
	path    string

	best  *rule
	bound int // only rules of a lesser rank are of interest

	// Where a hidden rule is looked for:
	left   *int // steps
	tree   *Tree
	values map[slot]string // of path, once they are needed
}

// visit enters the indexes of every host pattern that matches host.
func (s *search) visit(t *Tree, host string) {
	s.visitHost(t.hosts[host])
	if len(t.wildcards) > 0 {
		for at := strings.IndexByte(host, '.'); at >= 0; {
			if at > 0 {
				s.visitHost(t.wildcards[host[at:]])
			}
			next := strings.IndexByte(host[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	s.visitHost(t.anyHost)
}

// try takes the first rule of a list that fits. The list is by rank, and the
// path is known to match but for regexes.
func (s *search) try(rules []*rule) {
	if s.hidden != nil && len(rules) > fewHiders {
		s.tree.shadowIndexOf(rules).lists(s.hidden, s.tryEach)
		return
	}
	s.tryEach(rules)
}

func (s *search) tryEach(rules []*rule) {
	for _, r := range rules {
		if r.rank >= s.bound || s.hidden != nil && (isPeer(r, s.hidden) || !s.pay(r)) {
			return
		}
		if s.fits(r) {
			s.best, s.bound = r, r.rank
			return
		}
	}
}

// pay takes the steps of a look at r, and reports whether there were some left.
func (s *search) pay(r *rule) bool {
	*s.left -= lookSteps + len(r.conditions)
	if r.path.kind == Regex && s.hidden.path.isLiteral() {
		*s.left -= len(s.path)
	}
	return *s.left > 0
}

func (s *search) fits(r *rule) bool {
	if s.hidden != nil {
		return hides(r, s.hidden)
	}
	return (r.path.kind != Regex || r.path.regexp().MatchString(s.path)) && r.accepts(s.request)
}
