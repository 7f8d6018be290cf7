package match

// A rule, compiled, and the order of rules. Everything that must not depend on
// the order in which rules are given depends on compareRules alone.

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// rule is a compiled Rule. It is immutable once its Tree is made, but for bySlot.
type rule struct {
	index      int // into the rules given
	name       string
	priority   int
	host       hostPattern
	hostText   string // as written, for messages
	path       *pattern
	conditions []condition
	bySlot     map[string]condition // made by a judgement when there are many, on rules that it alone knows

	rank int // its place in the order of precedence, 0 first
}

// compileRule returns r compiled as far as it can be, but for its regexes, and all
// that is wrong with its form.
func compileRule(r *Rule) (*rule, []Problem) {
	c := collector{rule: r}
	host, err := compileHost(r.Host)
	if err != nil {
		c.refuse("host", err)
	}
	path, err := compilePattern(r.Path)
	if err != nil {
		c.refuse(r.Path.Kind.word(), err)
		path = &pattern{kind: AnyPath}
	}
	conditions, problems := compileConditions(r)
	return &rule{name: r.Name, priority: r.Priority, host: host, hostText: r.Host, path: path, conditions: conditions},
		append(c.problems, problems...)
}

// regexes yields the texts and sizes of r's regexes, with the key that each stands at.
func (r *rule) regexes(yield func(key, text string, size int) bool) {
	if r.path.kind == Regex && !yield(r.path.kind.word(), r.path.text, r.path.size) {
		return
	}
	for _, c := range r.conditions {
		if f, ok := c.(*field); ok && f.op == Matches && !yield(f.slotName, f.value, f.size) {
			return
		}
	}
}

// compileRegexes makes r ready for concurrent use.
func (r *rule) compileRegexes() {
	if r.path.kind == Regex {
		r.path.regexp()
	}
	for _, c := range r.conditions {
		if f, ok := c.(*field); ok && f.op == Matches {
			f.regexp()
		}
	}
}

// matches reports whether all conditions of r hold.
func (r *rule) matches(req *Request) bool {
	return r.host.matches(req.Host) && r.path.matches(req.Path) && r.accepts(req)
}

// accepts is matches without host and path.
func (r *rule) accepts(req *Request) bool {
	for _, c := range r.conditions {
		if !c.holds(req) {
			return false
		}
	}
	return true
}

// hostPattern is a normal host, "*." and a normal host, or "" for any.
type hostPattern string

func compileHost(text string) (hostPattern, error) {
	if text == "" {
		return "", nil
	}
	if text == "*" {
		return "", errors.New(`host "*": want no host at all where any will do`)
	}
	name, wildcard := strings.CutPrefix(text, "*.")
	host, err := normalHostName(name)
	if err != nil {
		return "", fmt.Errorf("host %q: %w", text, err)
	}
	if wildcard {
		if strings.HasPrefix(host, "[") {
			return "", fmt.Errorf("host %q: want a name behind the wildcard", text)
		}
		host = "*." + host
	}
	return hostPattern(host), nil
}

// normalHostName is canonicalHost for what people write: an IPv6 address may go
// without its brackets, a port gets an error of its own.
func normalHostName(name string) (string, error) {
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is6() {
		name = "[" + name + "]"
	}
	if host, err := cutPort(name); err == nil && host != name {
		return "", errors.New("want no port; say where a route listens with listener")
	}
	if strings.Contains(name, "*") {
		return "", errors.New("want * only as the first label, *.example.com")
	}
	return canonicalHost(name)
}

// suffix is what ends every host that a wildcard matches, dot first.
func (h hostPattern) suffix() (string, bool) {
	return strings.CutPrefix(string(h), "*")
}

func (h hostPattern) matches(host string) bool {
	if suffix, ok := h.suffix(); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
	}
	return h == "" || string(h) == host
}

// whyHost says why r's host does not match.
func (r *rule) whyHost(host string) string {
	if host == "" {
		return fmt.Sprintf("host %s is asked for, and the request names none", r.hostText)
	}
	return fmt.Sprintf("host %s does not match %s", r.hostText, host)
}

// specificity orders hosts: exact, longer wildcard, shorter wildcard, none.
func (h hostPattern) specificity() int {
	if h == "" {
		return 0
	}
	if _, ok := h.suffix(); ok {
		return len(h)
	}
	return 1 << 20 // a host is at most 253 bytes
}

// Compare returns a negative number if a takes precedence over b where both
// match, a positive one if b does, and 0 if they are undecided. What is wrong
// with a rule counts as not said.
func Compare(a, b Rule) int {
	ra, _ := compileRule(&a)
	rb, _ := compileRule(&b)
	return compareRules(ra, rb)
}

// compareRules is the precedence that the package doc promises. It orders any
// two rules, also those that no request matches both of, and is transitive.
func compareRules(a, b *rule) int {
	return cmp.Or(
		cmp.Compare(b.priority, a.priority),
		cmp.Compare(b.host.specificity(), a.host.specificity()),
		comparePatterns(a.path, b.path),
		cmp.Compare(len(b.conditions), len(a.conditions)),
	)
}

// kindOrder is the place of each PathKind, the most specific first.
var kindOrder = [...]int{Exact: 0, Regex: 1, Prefix: 2, AnyPath: 3}

func comparePatterns(a, b *pattern) int {
	if a.kind != b.kind {
		return cmp.Compare(kindOrder[a.kind], kindOrder[b.kind])
	}
	switch a.kind {
	case Exact:
		return strings.Compare(a.kinds, b.kinds)
	case Regex:
		return cmp.Compare(len(b.literal), len(a.literal))
	case Prefix:
		return cmp.Compare(len(b.text), len(a.text))
	}
	return 0
}

// whyBefore says by which rule of precedence a goes before b. What it says of
// paths supposes that some request matches both.
func whyBefore(a, b *rule) string {
	switch {
	case a.priority != b.priority:
		return fmt.Sprintf("its priority is %d", a.priority)
	case a.host.specificity() != b.host.specificity():
		return fmt.Sprintf("its host, %s, is more specific", a.hostText)
	case comparePatterns(a.path, b.path) != 0:
		return whyPathBefore(a.path, b.path)
	}
	return fmt.Sprintf("it has more conditions, %d", len(a.conditions))
}

func whyPathBefore(a, b *pattern) string {
	switch {
	case b.kind == AnyPath:
		return a.kind.word() + " goes before no path at all"
	case a.kind != b.kind:
		return fmt.Sprintf("%s goes before %s", a.kind.word(), b.kind.word())
	case a.kind == Regex:
		return fmt.Sprintf("its path_regex begins with the longer literal, %s", a.literal)
	case a.kind == Prefix:
		return "its path_prefix is longer"
	}
	n := 0
	for a.kinds[n] == b.kinds[n] {
		n++
	}
	return fmt.Sprintf("segment %d of its path is a literal, not a capture", n+1)
}

// sortRules puts rules in order of precedence and ranks them. Undecided rules,
// which Conflicts refuses where it matters, go by their names: the order in
// which they were given must not show.
func sortRules(rules []*rule) {
	slices.SortStableFunc(rules, func(a, b *rule) int {
		return cmp.Or(compareRules(a, b), strings.Compare(a.name, b.name))
	})
	for rank, r := range rules {
		r.rank = rank
	}
}
