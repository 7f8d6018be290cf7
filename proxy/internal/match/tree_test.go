package match

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"testing"
)

func mustCompile(t testing.TB, rules []Rule) *Tree {
	t.Helper()
	tree, problems := Compile(rules)
	for _, p := range problems {
		t.Errorf("rule %s: %s: %s", p.Rule, p.Field, p.Text)
	}
	if tree == nil {
		t.FailNow()
	}
	return tree
}

// checkLookup compares one set of rules, with many requests, to the slow
// matcher, and Explain with both.
func checkLookup(t *testing.T, c *chooser, rules []Rule, requests int) (matched int) {
	t.Helper()
	tree := mustCompile(t, rules)
	for range requests {
		r := c.request()
		want := slowLookup(rules, r)
		got := tree.Lookup(r, nil)
		if len(want) == 0 && got != -1 || len(want) > 0 && got != want[0] {
			t.Fatalf("Lookup(%+v) = %d, want the first of %v among\n%s", *r, got, want, list(rules))
		}
		checkExplain(t, tree, rules, r, want)
		matched += min(1, len(want))
	}
	return matched
}

// checkExplain compares Explain with the slow matcher. Undecided rules are
// ordered by name by both.
func checkExplain(t *testing.T, tree *Tree, rules []Rule, r *Request, want []int) {
	t.Helper()
	var matching []int
	for i, v := range tree.Explain(r) {
		if v.Matches != (v.Reason == "") || v.Rule != rules[v.Index].Name || v.Wins != (v.Matches && matching == nil) {
			t.Fatalf("Explain(%+v)[%d] = %+v", *r, i, v)
		}
		if v.Matches {
			matching = append(matching, v.Index)
		}
	}
	if fmt.Sprint(matching) != fmt.Sprint(want) {
		t.Fatalf("Explain(%+v) says that %v match, want %v", *r, matching, want)
	}
}

func list(rules []Rule) (text string) {
	for i, r := range rules {
		text += fmt.Sprintf("%d: %+v\n", i, r)
	}
	return text
}

// rounds is n, and with -short a fifth of it.
func rounds(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

func TestLookupAgainstSlow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	matched, sets := 0, rounds(1000)
	for i := range sets {
		c := randomChooser(random, 4096)
		matched += checkLookup(t, c, c.rules(1+i%40), 20)
	}
	if matched < 5*sets {
		t.Errorf("only %d of %d requests matched: the grammar says little", matched, 20*sets)
	}
}

func FuzzLookup(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 20 {
		f.Add([]byte(*randomChooser(random, 50*n)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := chooser(data)
		checkLookup(t, &c, c.rules(1+c.n(12)), 4)
	})
}

func TestCompareAgainstSlow(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		rules := randomChooser(random, 4096).rules(12)
		for i := range rules {
			for j := range rules {
				got, want := Compare(rules[i], rules[j]), slowCompare(&rules[i], &rules[j])
				sameLength := rules[i].Path.Kind != Exact || rules[j].Path.Kind != Exact || len(compiledKinds(rules[i])) == len(compiledKinds(rules[j]))
				if sameLength && got != want {
					t.Fatalf("Compare(%+v, %+v) = %d, want %d", rules[i], rules[j], got, want)
				}
				if got != -Compare(rules[j], rules[i]) {
					t.Fatalf("Compare(%+v, %+v) is not the opposite of its opposite", rules[i], rules[j])
				}
			}
		}
	}
}

func compiledKinds(r Rule) string {
	p, err := compilePattern(r.Path)
	if err != nil {
		panic(err)
	}
	return p.kinds
}

func TestLookupOrder(t *testing.T) {
	exact, prefix, regex := path(Exact), path(Prefix), path(Regex)
	for _, test := range []struct {
		request string
		rules   []Rule // the first wins
	}{
		{"/a", []Rule{{Priority: 1}, {Host: "h.example.com"}}},
		{"/a", []Rule{{Host: "h.example.com"}, {Host: "*.example.com", Path: exact("/a")}}},
		{"/a", []Rule{{Host: "*.example.com"}, {Host: "*.com", Path: exact("/a")}}},
		{"/a", []Rule{{Host: "*.com"}, {Path: exact("/a")}}},
		{"/a/b", []Rule{{Path: exact("/{x}/{y}")}, {Path: regex("^/a/b$")}}},
		{"/a/b", []Rule{{Path: exact("/a/{y}")}, {Path: exact("/{x}/b")}}},
		{"/a/b", []Rule{{Path: regex("^/a")}, {Path: prefix("/a/b")}}},
		{"/a/b", []Rule{{Path: regex("^/a/")}, {Path: regex("^/[abcdefghijkl]/b$")}}},
		{"/a/b", []Rule{{Path: regex("^/[ab]/b$")}, {Path: regex("^/.*")}}},
		{"/a/b", []Rule{{Path: prefix("/a/")}, {Path: prefix("/a")}}},
		{"/a", []Rule{{Path: prefix("/")}, {Headers: []Field{{Name: "X-A", Op: Present}}}}},
		{"/a", []Rule{{Headers: []Field{{Name: "X-A", Op: Present}}}, {}}},
	} {
		for i := range test.rules {
			test.rules[i].Name = fmt.Sprint("r", i)
		}
		r := &Request{Method: "GET", Host: "h.example.com", Path: test.request, Header: http.Header{"X-A": {"1"}}}
		for _, order := range [][]Rule{{test.rules[0], test.rules[1]}, {test.rules[1], test.rules[0]}} {
			tree := mustCompile(t, order)
			if got := tree.Lookup(r, nil); order[got].Name != "r0" {
				t.Errorf("%s: %+v wins over %+v", test.request, test.rules[1], test.rules[0])
			}
		}
	}
}

func path(kind PathKind) func(string) Path {
	return func(pattern string) Path { return Path{kind, pattern} }
}

func TestPatternsAreNormalised(t *testing.T) {
	for _, test := range []struct {
		rule    Rule
		request Request
	}{
		{Rule{Path: Path{Exact, "/%41//./b"}}, Request{Path: "/A/b"}},
		{Rule{Path: Path{Exact, "/caf\xc3\xa9/{x}"}}, Request{Path: "/caf%C3%A9/1"}},
		{Rule{Path: Path{Prefix, "/%7euser/"}}, Request{Path: "/~user/x"}},
		{Rule{Host: "Chat.Example.COM."}, Request{Host: "chat.example.com"}},
		{Rule{Host: "*.Example.COM"}, Request{Host: "chat.example.com"}},
		{Rule{Host: "::1"}, Request{Host: "[::1]"}},
		{Rule{Host: "[0::1]"}, Request{Host: "[::1]"}},
		{Rule{Upgrade: "WebSocket"}, Request{Upgrade: []string{"websocket"}}},
		{Rule{Headers: []Field{{Name: "x-rOOM", Value: "1"}}}, Request{Header: http.Header{"X-Room": {"1"}}}},
		{Rule{Query: []Field{{Name: "a b", Value: "c&d"}}}, Request{Query: "x&a+b=c%26d"}},
		{Rule{Query: []Field{{Name: "a", Op: Matches, Value: "^é$"}}}, Request{Query: "a=%C3%A9"}},
		{Rule{Clients: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}, Request{Client: netip.MustParseAddr("::ffff:10.0.0.1")}},
		{Rule{Clients: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, Request{Client: netip.MustParseAddr("10.0.0.1")}},
		{Rule{Clients: []netip.Prefix{netip.MustParsePrefix("fe80::/10")}}, Request{Client: netip.MustParseAddr("fe80::1%eth0")}},
	} {
		if mustCompile(t, []Rule{test.rule}).Lookup(&test.request, nil) != 0 {
			t.Errorf("%+v does not match %+v", test.request, test.rule)
		}
	}
}

func TestCaptures(t *testing.T) {
	rules := []Rule{
		{Name: "rooms", Path: Path{Exact, "/rooms/{room}/{user}"}},
		{Name: "app", Path: Path{Regex, "^/(myApp/(?P<what>ws|sse))(/x)?"}},
		{Name: "bare", Path: Path{Regex, "^/ba.e"}},
		{Name: "prefix", Path: Path{Prefix, "/p/"}},
	}
	tree := mustCompile(t, rules)
	var c Captures
	for _, test := range []struct{ path, want string }{
		{"/rooms/1%2B/bob", `rooms 0="/rooms/1%2B/bob" 1="1%2B" 2="bob" room="1%2B" user="bob"`},
		{"/myApp/ws", `app 0="/myApp/ws" 1="myApp/ws" 2="ws" 3="" what="ws"`},
		{"/myApp/sse/xy", `app 0="/myApp/sse/x" 1="myApp/sse" 2="sse" 3="/x" what="sse"`},
		{"/bare/x", `bare 0="/bare"`},
		{"/p/x", `prefix`},
	} {
		got := rules[tree.Lookup(&Request{Path: test.path}, &c)].Name
		for i := -1; i < 5; i++ {
			if text, ok := c.Index(i); ok {
				got += fmt.Sprintf(" %d=%q", i, text)
			}
		}
		for _, name := range []string{"", "room", "user", "what"} {
			if text, ok := c.Get(name); ok {
				got += fmt.Sprintf(" %s=%q", name, text)
			}
		}
		if got != test.want {
			t.Errorf("%s captures\n%s, want\n%s", test.path, got, test.want)
		}
	}
	if tree.Lookup(&Request{Path: "/none"}, &c) != -1 {
		t.Fatal("/none matches")
	}
	if text, ok := c.Index(0); ok {
		t.Errorf("after a lookup that matched nothing, there is a capture %q", text)
	}
}

func TestInvalid(t *testing.T) {
	exact, prefix, regex := path(Exact), path(Prefix), path(Regex)
	header := func(name, value string) Rule { return Rule{Headers: []Field{{Name: name, Value: value}}} }
	for _, test := range []struct {
		rule        Rule
		field, text string
	}{
		{Rule{Host: "a..b"}, "host", `host "a..b": empty label in the host`},
		{Rule{Host: "a:80"}, "host", `host "a:80": want no port; say where a route listens with listener`},
		{Rule{Host: "*"}, "host", `host "*": want no host at all where any will do`},
		{Rule{Host: "a.*"}, "host", `host "a.*": want * only as the first label, *.example.com`},
		{Rule{Host: "*.[::1]"}, "host", `host "*.[::1]": want a name behind the wildcard`},
		{Rule{Host: "*.::1"}, "host", `host "*.::1": want a name behind the wildcard`},
		{Rule{Path: exact("a")}, "path", `path "a": want a leading slash`},
		{Rule{Path: exact("")}, "path", `path "": want a leading slash`},
		{Rule{Path: exact("/a?b")}, "path", `path "/a?b": want a path only; say the query's conditions with query`},
		{Rule{Path: exact("/a%5Cb")}, "path", `path "/a%5Cb": "%5C": want no encoded backslash or control byte`},
		{Rule{Path: exact("/a{b}")}, "path", `path "/a{b}", segment "a{b}": want a capture to be a whole segment, {name}; a literal brace is %7B or %7D`},
		{Rule{Path: exact("/{a")}, "path", `path "/{a", segment "{a": want a capture to be a whole segment, {name}; a literal brace is %7B or %7D`},
		{Rule{Path: exact("/{a}{b}")}, "path", `path "/{a}{b}", segment "{a}{b}": want a capture to be a whole segment, {name}; a literal brace is %7B or %7D`},
		{Rule{Path: exact("/{1a}")}, "path", `path "/{1a}", capture "{1a}": want a letter or _, then letters, digits or _`},
		{Rule{Path: exact("/{}")}, "path", `path "/{}", capture "{}": want a letter or _, then letters, digits or _`},
		{Rule{Path: exact("/{a}/{a}")}, "path", `path "/{a}/{a}", capture "{a}" stands twice: want another name`},
		{Rule{Path: prefix("/{a}")}, "path_prefix", `path_prefix "/{a}": want captures in path or path_regex; a literal brace is %7B or %7D`},
		{Rule{Path: prefix("a")}, "path_prefix", `path_prefix "a": want a leading slash`},
		{Rule{Path: regex("/a")}, "path_regex", `path_regex "/a": want ^ at its start, "^/a"`},
		{Rule{Path: regex("^/a|/b")}, "path_regex", `path_regex "^/a|/b": want every alternative anchored, "^(?:/a|/b)"`},
		{Rule{Path: regex("^/(a")}, "path_regex", "path_regex \"^/(a\": missing closing ) at \"^/(a\": want RE2 syntax"},
		{Rule{Path: regex("^a")}, "path_regex", `path_regex "^a" matches no path as paths are matched: they start with a slash, unreserved characters are decoded, other escapes are in upper case, double slashes and dot segments are gone`},
		{Rule{Methods: []string{"get"}}, "methods", `method "get": want upper case, "GET"`},
		{Rule{Methods: []string{"A B"}}, "methods", "method \"A B\": want letters, digits and !#$%&'*+-.^_`|~ only"},
		{Rule{Upgrade: "h2c"}, "upgrade", `upgrade "h2c" is never tunnelled: want another protocol, any or none`},
		{Rule{Upgrade: "h2"}, "upgrade", `upgrade "h2" is never tunnelled: want another protocol, any or none`},
		{Rule{Upgrade: "TLS/1.0"}, "upgrade", `upgrade "TLS/1.0" is never tunnelled: want another protocol, any or none`},
		{Rule{Upgrade: "a b"}, "upgrade", `upgrade "a b": want a protocol such as websocket, any or none`},
		{Rule{Upgrade: "\u212a"}, "upgrade", "upgrade \"\u212a\": want a protocol such as websocket, any or none"}, // no k
		{Rule{Upgrade: "a/"}, "upgrade", `upgrade "a/": want a version after the slash`},
		{Rule{Subprotocol: "a, b"}, "subprotocol", "subprotocol \"a, b\": want letters, digits and !#$%&'*+-.^_`|~ only"},
		{header("", "1"), "headers.", `header "": want a name`},
		{header("X Y", "1"), "headers.X Y", "header \"X Y\": want letters, digits and !#$%&'*+-.^_`|~ only"},
		{header("host", "1"), "headers.host", `header "host" has a condition of its own: want it said with host`},
		{header("Cookie", "1"), "headers.Cookie", `header "Cookie" has a condition of its own: want it said with cookies`},
		{header("X", " 1"), "headers.X", `header value " 1": want no space at its ends, no request carries it`},
		{header("X", "1\n2"), "headers.X", `header value "1\n2": want no "\n" in it, no request carries it`},
		{Rule{Headers: []Field{{Name: "X-A", Op: Present}, {Name: "x-a", Op: Present}}}, "headers.x-a", `header "x-a" stands twice, names are case-insensitive: want it once`},
		{Rule{Headers: []Field{{Name: "X", Op: Matches, Value: "("}}}, "headers.X", "regex \"(\": missing closing ) at \"(\": want RE2 syntax"},
		{Rule{Query: []Field{{Name: "", Op: Present}}}, "query.", `query parameter "": want a name`},
		{Rule{Query: []Field{{Name: "a"}, {Name: "a"}}}, "query.a", `query parameter "a" stands twice: want it once`},
		{Rule{Cookies: []Field{{Name: "a", Value: "1;2"}}}, "cookies.a", `cookie value "1;2": want no ";" in it, no request carries it`},
		{Rule{Clients: []netip.Prefix{{}}}, "client", `client "invalid Prefix": want a network such as 10.0.0.0/8`},
	} {
		test.rule.Name = "r"
		tree, problems := Compile([]Rule{test.rule})
		if tree != nil || len(problems) != 1 {
			t.Errorf("Compile(%+v): %v, want one problem with %s", test.rule, problems, test.field)
			continue
		}
		p := problems[0]
		if p.Kind != Invalid || p.Rule != "r" || p.Field != test.field || p.Text != test.text {
			t.Errorf("Compile(%+v): %s: %s\nwant %s: %s", test.rule, p.Field, p.Text, test.field, test.text)
		}
	}
}

func TestInvalidAllAtOnce(t *testing.T) {
	_, problems := Compile([]Rule{
		{Name: "a", Host: "..", Path: Path{Regex, "x"}, Methods: []string{"get"}},
		{Name: "b"},
		{Name: "c", Query: []Field{{}}},
	})
	var got []string
	for _, p := range problems {
		got = append(got, p.Rule+" "+p.Field)
	}
	if want := "[a host a path_regex a methods c query.]"; fmt.Sprint(got) != want {
		t.Errorf("problems %v, want %s", got, want)
	}
}
