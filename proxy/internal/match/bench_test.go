package match

import (
	"fmt"
	"net/http"
	"testing"
)

// literalRules are n routes as a platform has them: exact paths, prefixes and
// captures over a hundred hosts, and a catch-all.
func literalRules(n int) []Rule {
	rules := []Rule{{Name: "site", Path: Path{Prefix, "/"}}}
	for i := 1; i < n; i++ {
		r := Rule{Name: fmt.Sprint("r", i), Host: fmt.Sprintf("h%d.example.com", i%100)}
		switch i % 4 {
		case 0:
			r.Path = Path{Prefix, fmt.Sprintf("/app%d/", i)}
		case 1:
			r.Path = Path{Exact, fmt.Sprintf("/rooms%d/{room}/ws", i)}
		default:
			r.Path = Path{Exact, fmt.Sprintf("/api/v%d/items", i)}
		}
		rules = append(rules, r)
	}
	return rules
}

// requestFor returns a request that rule i of literalRules wins.
func requestFor(rules []Rule, i int) *Request {
	r := &Request{Method: "GET", Host: rules[i].Host, Header: http.Header{}}
	switch i % 4 {
	case 0:
		r.Path = fmt.Sprintf("/app%d/some/thing/below", i)
	case 1:
		r.Path = fmt.Sprintf("/rooms%d/blue/ws", i)
	default:
		r.Path = fmt.Sprintf("/api/v%d/items", i)
	}
	return r
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		rules := literalRules(n)
		tree := mustCompile(b, rules)
		for _, kind := range []struct {
			name   string
			offset int
		}{{"prefix", 0}, {"captures", 1}, {"literal", 2}} {
			var requests []*Request
			for i := range 1024 {
				at := i*7919%(n-4)/4*4 + 4 + kind.offset
				if at >= n {
					at = 4 + kind.offset
				}
				requests = append(requests, requestFor(rules, at))
				if got := tree.Lookup(requests[i], nil); got != at {
					b.Fatalf("request for %d goes to %d", at, got)
				}
			}
			b.Run(fmt.Sprintf("routes=%d/%s", n, kind.name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					tree.Lookup(requests[i%len(requests)], nil)
				}
			})
		}
	}
}

func BenchmarkLookupRegexes(b *testing.B) {
	for _, n := range []int{10, 1_000} {
		var rules []Rule
		for i := range n {
			rules = append(rules, Rule{Name: fmt.Sprint("r", i), Path: Path{Regex, fmt.Sprintf("^/app%d/(ws|sse)$", i)}})
		}
		tree := mustCompile(b, rules)
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			r := &Request{Path: fmt.Sprintf("/app%d/ws", n/2)}
			for b.Loop() {
				tree.Lookup(r, nil)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		rules := literalRules(n)
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compile(rules)
			}
		})
	}
	b.Run("regexes=1000", func(b *testing.B) {
		var rules []Rule
		for i := range 1000 {
			rules = append(rules, Rule{Name: fmt.Sprint("r", i), Path: Path{Regex, fmt.Sprintf("^/app%d/(ws|sse)/[^/]+/.*$", i)}})
		}
		for b.Loop() {
			Compile(rules)
		}
	})
}

func BenchmarkConflicts(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		rules := literalRules(n)
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			for b.Loop() {
				if p := Conflicts(rules); p != nil {
					b.Fatal(p[0])
				}
			}
		})
	}
	b.Run("tenants=10000", func(b *testing.B) {
		var rules []Rule
		for i := range 10_000 {
			rules = append(rules, Rule{
				Name: fmt.Sprint("r", i), Path: Path{Prefix, "/"},
				Headers: []Field{{Name: "X-Tenant", Value: fmt.Sprint(i)}},
			})
		}
		for b.Loop() {
			if p := Conflicts(rules); p != nil {
				b.Fatal(p[0])
			}
		}
	})
}

// TestLookupAllocatesNothing holds the promise of the package doc.
func TestLookupAllocatesNothing(t *testing.T) {
	rules := append(literalRules(1000),
		Rule{Name: "regex", Host: "r", Path: Path{Regex, "^/(a|b)/ws$"}},
		Rule{
			Name: "everything", Host: "*.all", Path: Path{Prefix, "/x"}, Methods: []string{"GET"}, Upgrade: "websocket", Subprotocol: "v2",
			Headers: []Field{{"X-A", Matches, "^1"}}, Query: []Field{{"q", Equal, "a b"}, {"r", Matches, "^[0-9]"}}, Cookies: []Field{{"c", Equal, "1"}},
		})
	tree := mustCompile(t, rules)
	all := &Request{
		Method: "GET", Host: "some.all", Path: "/x/y", Query: "q=a%20b&r=1", Upgrade: []string{"websocket"},
		Header: http.Header{"X-A": {"12"}, "Cookie": {"b=2; c=1"}, subprotocolHeader: {"v1, v2"}},
	}
	var c Captures
	for i, r := range map[int]*Request{
		4: requestFor(rules, 4), 5: requestFor(rules, 5), 6: requestFor(rules, 6),
		0:    {Method: "GET", Host: "other", Path: "/a/b/c"},
		1000: {Host: "r", Path: "/a/ws"},
		1001: all,
	} {
		if got := tree.Lookup(r, &c); got != i {
			t.Errorf("request for %d goes to %d", i, got)
		}
		if allocs := testing.AllocsPerRun(100, func() { tree.Lookup(r, &c) }); allocs != 0 {
			t.Errorf("a lookup that %s wins allocates %v times", rules[i].Name, allocs)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { tree.Lookup(requestFor5, &c); c.Get("room") }); allocs != 0 {
		t.Errorf("a capture of an exact path allocates %v times", allocs)
	}
}

var requestFor5 = &Request{Method: "GET", Host: "h5.example.com", Path: "/rooms5/blue/ws"}
