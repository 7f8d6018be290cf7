package match

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestConflicts(t *testing.T) {
	exact, prefix, regex := path(Exact), path(Prefix), path(Regex)
	header := func(value string) []Field { return []Field{{Name: "X-Room", Value: value}} }
	like := func(expr string) []Field { return []Field{{Name: "X-Room", Op: Matches, Value: expr}} }
	clients := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	for _, test := range []struct {
		name string
		a, b Rule
		want string // of b if nothing else is said
	}{
		{"same path", Rule{Path: exact("/a")}, Rule{Path: exact("/%61")},
			`b: route "a" matches the same request, and neither is more specific: GET /a HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"captures", Rule{Path: exact("/a/{x}")}, Rule{Path: exact("/a/{y}")},
			`b: route "a" matches the same request, and neither is more specific: GET /a/x HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"any path", Rule{Host: "*.h"}, Rule{Host: "*.h"},
			`b: route "a" matches the same request, and neither is more specific: GET / HTTP/1.1, Host: a.h; want a priority on one of them`},
		{"different conditions",
			Rule{Path: prefix("/a/"), Methods: []string{"POST"}, Headers: header("1"), Upgrade: "any", Query: []Field{{Name: "a b", Op: Present}}},
			Rule{Path: prefix("/a/"), Listener: "web", Subprotocol: "v1", Cookies: []Field{{Name: "c", Value: "2"}}, Clients: clients("10.0.0.0/8")},
			`b: route "a" matches the same request, and neither is more specific: POST /a/?a+b=1 HTTP/1.1, Host: example.com, Connection: upgrade, Upgrade: websocket, Cookie: c=2, Sec-Websocket-Protocol: v1, X-Room: 1, on listener web, from 10.0.0.0; want a priority on one of them`},
		{"two protocols", Rule{Upgrade: "websocket"}, Rule{Upgrade: "other"},
			`b: route "a" matches the same request, and neither is more specific: GET / HTTP/1.1, Host: example.com, Connection: upgrade, Upgrade: websocket, other; want a priority on one of them`},
		{"GET and HEAD", Rule{Methods: []string{"GET"}}, Rule{Methods: []string{"HEAD"}},
			`b: route "a" matches the same request, and neither is more specific: HEAD / HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"regexes", Rule{Path: regex("^/[ab]/x$")}, Rule{Path: regex("^/[bc]/.$")},
			`b: route "a" matches the same request, and neither is more specific: GET /b/x HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"a longer regex", Rule{Path: regex("^/a/[0-9]+$")}, Rule{Path: regex("^/a/[0-9a-f]+/?$")},
			`b: route "a" matches the same request, and neither is more specific: GET /a/0 HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"regexes of a header", Rule{Headers: like("^room[0-9]+$")}, Rule{Headers: like("^[a-z]+7$")},
			`b: route "a" matches the same request, and neither is more specific: GET / HTTP/1.1, Host: example.com, X-Room: room7; want a priority on one of them`},
		{"one of two networks", Rule{Clients: clients("10.0.0.0/8")}, Rule{Clients: clients("10.2.0.0/16")},
			`b: route "a" matches the same request, and neither is more specific: GET / HTTP/1.1, Host: example.com, from 10.2.0.0; want a priority on one of them`},
		{"undecidable",
			Rule{Path: regex("^/(a|b)*a(a|b){90}$")}, Rule{Path: regex("^/(a|b)*b(a|b){90}$")},
			`b: route "a" may match the same requests, and neither is more specific: it cannot be decided whether the regexes "^/(a|b)*a(a|b){90}$" and "^/(a|b)*b(a|b){90}$" match a same path; want a priority on one of them`},

		{"priority", Rule{Path: exact("/a"), Priority: 1, Headers: header("1")}, Rule{Path: exact("/a"), Headers: header("2")}, ""},
		{"more conditions", Rule{Path: exact("/a"), Headers: header("1")}, Rule{Path: exact("/a")}, ""},
		{"a longer literal of a regex", Rule{Path: regex("^/a/[0-9]+$")}, Rule{Path: regex("^/[a-z]/.*$")}, ""},
		{"header values", Rule{Headers: header("1")}, Rule{Headers: header("2")}, ""},
		{"header value and regex", Rule{Headers: header("1")}, Rule{Headers: like("^2")}, ""},
		{"header regexes", Rule{Headers: like("^1")}, Rule{Headers: like("^2")}, ""},
		{"header regexes and spaces", Rule{Headers: like("^ 1")}, Rule{Headers: like("^ [0-9]")}, ""},
		{"listeners", Rule{Listener: "a"}, Rule{Listener: "b"}, ""},
		{"methods", Rule{Methods: []string{"GET"}}, Rule{Methods: []string{"POST"}}, ""},
		{"upgrade or not", Rule{Upgrade: "any"}, Rule{Upgrade: "none"}, ""},
		{"networks", Rule{Clients: clients("10.0.0.0/8")}, Rule{Clients: clients("11.0.0.0/8")}, ""},
		{"hosts", Rule{Host: "a.h"}, Rule{Host: "b.h"}, ""},
		{"wildcards", Rule{Host: "*.a.h"}, Rule{Host: "*.b.h"}, ""},
		{"exact paths", Rule{Path: exact("/a/{x}")}, Rule{Path: exact("/b/{x}")}, ""},
		{"crossed captures", Rule{Path: exact("/a/{x}")}, Rule{Path: exact("/{x}/a")}, ""},
		{"prefixes", Rule{Path: prefix("/a")}, Rule{Path: prefix("/b")}, ""},
		{"regex literals", Rule{Path: regex("^/a.$")}, Rule{Path: regex("^/b.$")}, ""},
		{"regexes apart", Rule{Path: regex("^/[ab]/x$")}, Rule{Path: regex("^/[cd]/.$")}, ""},
		{"regexes that share no normal path", Rule{Path: regex("^/[ab.]+[.]/c$")}, Rule{Path: regex("^/[cd.]+[.]/.$")},
			`b: route "a" matches the same request, and neither is more specific: GET /.../c HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"regexes that share only dots", Rule{Path: regex("^/[a.][.]?/c$")}, Rule{Path: regex("^/[c.][.]?/.$")}, ""},

		{"priority hides", Rule{Path: prefix("/a"), Priority: 5}, Rule{Path: exact("/a/b")},
			`b: no request reaches it: route "a" takes every one first, because its priority is 5; want a narrower "a", or a priority above 5 here`},
		{"any path hides", Rule{Priority: 1}, Rule{Host: "h", Path: exact("/a/b"), Headers: header("1")},
			`b: no request reaches it: route "a" takes every one first, because its priority is 1; want a narrower "a", or a priority above 1 here`},
		{"root hides any path", Rule{Path: prefix("/")}, Rule{},
			`b: no request reaches it: route "a" takes every one first, because path_prefix goes before no path at all; want a narrower "a", or a priority above 0 here`},
		{"regex hides prefix", Rule{Path: regex("^/a.*")}, Rule{Path: prefix("/a/b")},
			`b: no request reaches it: route "a" takes every one first, because path_regex goes before path_prefix; want a narrower "a", or a priority above 0 here`},
		{"regexes, one of them wider", Rule{Path: regex("^/a.*")}, Rule{Path: regex("^/a")},
			`b: route "a" matches the same request, and neither is more specific: GET /a HTTP/1.1, Host: example.com; want a priority on one of them`},
		{"exact hides regex", Rule{Path: exact("/a/{x}")}, Rule{Path: regex("^/a/b$")},
			`b: no request reaches it: route "a" takes every one first, because path goes before path_regex; want a narrower "a", or a priority above 0 here`},
		{"capture hides literal", Rule{Path: exact("/{x}/b"), Priority: 1}, Rule{Path: exact("/a/b")},
			`b: no request reaches it: route "a" takes every one first, because its priority is 1; want a narrower "a", or a priority above 1 here`},
		{"wider condition hides", Rule{Path: prefix("/a/"), Upgrade: "any", Methods: []string{"GET"}, Priority: 1}, Rule{Path: exact("/a/b"), Upgrade: "websocket", Methods: []string{"HEAD"}},
			`b: no request reaches it: route "a" takes every one first, because its priority is 1; want a narrower "a", or a priority above 1 here`},
		{"wider network hides", Rule{Clients: clients("10.0.0.0/8"), Priority: 1}, Rule{Clients: clients("10.1.0.0/16")},
			`b: no request reaches it: route "a" takes every one first, because its priority is 1; want a narrower "a", or a priority above 1 here`},
		{"wildcard hides", Rule{Host: "*.h", Priority: 1}, Rule{Host: "*.a.h"},
			`b: no request reaches it: route "a" takes every one first, because its priority is 1; want a narrower "a", or a priority above 1 here`},

		{"wildcard leaves the name itself", Rule{Host: "*.h", Priority: 1}, Rule{Host: "h"}, ""},
		{"slash leaves the path without", Rule{Path: prefix("/a/"), Priority: 1}, Rule{Path: prefix("/a")}, ""},
		{"capture leaves the empty segment", Rule{Path: exact("/{x}"), Priority: 1}, Rule{Path: exact("/")}, ""},
		{"condition leaves the rest", Rule{Path: prefix("/"), Headers: header("1"), Priority: 1}, Rule{Path: exact("/a")}, ""},
		{"narrower condition leaves the rest", Rule{Headers: header("1"), Priority: 1}, Rule{Headers: like("^1")}, ""},
		{"narrower network leaves the rest", Rule{Clients: clients("10.0.0.0/16"), Priority: 1}, Rule{Clients: clients("10.0.0.0/8")}, ""},
		{"end leaves what is below", Rule{Path: regex("^/a$")}, Rule{Path: prefix("/a")}, ""},
	} {
		test.a.Name, test.b.Name = "a", "b"
		rules := []Rule{test.a, test.b}
		var got []string
		for _, p := range Conflicts(rules) {
			got = append(got, p.Rule+": "+p.Text)
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), test.want)
		}
		mustCompile(t, rules)
	}
}

// TestConflictsAgainstSlow: what is reported is so, and no ambiguity is missed
// that a request of the grammar shows.
func TestConflictsAgainstSlow(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	found := make(map[ProblemKind]int)
	sets := rounds(600)
	for i := range sets {
		c := randomChooser(random, 1<<14)
		rules := c.rules(2 + i%30)
		checkConflicts(t, c, rules, 30, found)
	}
	if found[Ambiguous] < sets/12 || found[Unreachable] < sets/12 {
		t.Errorf("found %v: the grammar says little", found)
	}
}

func FuzzConflicts(f *testing.F) {
	random := rand.New(rand.NewPCG(9, 10))
	for n := range 20 {
		f.Add([]byte(*randomChooser(random, 50*n)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := chooser(data)
		checkConflicts(t, &c, c.rules(1+c.n(8)), 4, make(map[ProblemKind]int))
	})
}

func checkConflicts(t *testing.T, c *chooser, rules []Rule, requests int, found map[ProblemKind]int) {
	t.Helper()
	byName := make(map[string]*Rule)
	for i := range rules {
		byName[rules[i].Name] = &rules[i]
	}
	ambiguous, unreachable := make(map[string]int), make(map[string]bool)
	for _, p := range Conflicts(rules) {
		found[p.Kind]++
		if p.Kind == Ambiguous {
			ambiguous[p.Rule+p.Other]++
			ambiguous[p.Rule]++
			checkWitness(t, byName, p)
		} else {
			unreachable[p.Rule] = true
		}
	}
	for range requests {
		r := c.request()
		matching := slowLookup(rules, r)
		for k, i := range matching {
			if k == 0 && unreachable[rules[i].Name] {
				t.Fatalf("%+v reaches %s, which was reported unreachable among\n%s", *r, rules[i].Name, list(rules))
			}
			for _, j := range matching[:k] {
				a, b := rules[min(i, j)].Name, rules[max(i, j)].Name
				if slowCompare(&rules[i], &rules[j]) == 0 && ambiguous[b+a] == 0 && ambiguous[b] < maxClashes {
					t.Fatalf("%+v shows that %s and %s are ambiguous, which was not reported, among\n%s", *r, a, b, list(rules))
				}
			}
		}
	}
}

func checkWitness(t *testing.T, rules map[string]*Rule, p Problem) {
	t.Helper()
	a, b := rules[p.Rule], rules[p.Other]
	switch {
	case p.Witness == nil:
		t.Fatalf("no witness that %+v and %+v are ambiguous: %s", *a, *b, p.Text)
	case !slowMatches(a, p.Witness) || !slowMatches(b, p.Witness):
		t.Fatalf("%+v is no witness that %+v and %+v are ambiguous", *p.Witness, *a, *b)
	case slowCompare(a, b) != 0:
		t.Fatalf("%+v and %+v are not ambiguous", *a, *b)
	}
	if normal, err := NormalizePath(p.Witness.Path); normal != p.Witness.Path || err != nil {
		t.Fatalf("the witness's path %q is not normal: %q, %v", p.Witness.Path, normal, err)
	}
}

func TestConflictsSplitsGroups(t *testing.T) {
	var rules []Rule
	for i := range 100 {
		rules = append(rules, Rule{Name: fmt.Sprint("r", i), Headers: []Field{{Name: "X-Tenant", Value: fmt.Sprint(i % 99)}}})
	}
	rules = append(rules, Rule{Name: "regex", Headers: []Field{{Name: "X-Tenant", Op: Matches, Value: "^5"}}})
	got := make(map[string]bool)
	for _, p := range Conflicts(rules) {
		got[p.Rule+" "+p.Other] = true
	}
	if len(got) != 1+maxClashes || !got["r99 r0"] || !got["regex r5"] {
		t.Errorf("ambiguous: %v, want r99 with r0, and regex with r5 and some more", got)
	}
}

func TestConflictsReportsEachRuleAFewTimes(t *testing.T) {
	var rules []Rule
	for i := range 50 {
		rules = append(rules, Rule{Name: fmt.Sprint("r", i)})
	}
	if n := len(Conflicts(rules)); n > len(rules)*maxClashes || n < len(rules)-1 {
		t.Errorf("%d problems for %d copies of a rule", n, len(rules))
	}
}
