package match

// The obviously correct matcher that the clever one is checked against, and a
// grammar of rules and requests so small that they meet often. Nothing here uses
// the code under test.

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// slowLookup returns the rules that match, the winner first.
func slowLookup(rules []Rule, r *Request) []int {
	var matching []int
	for i := range rules {
		if slowMatches(&rules[i], r) {
			matching = append(matching, i)
		}
	}
	slices.SortFunc(matching, func(a, b int) int {
		return cmp.Or(slowCompare(&rules[a], &rules[b]), strings.Compare(rules[a].Name, rules[b].Name))
	})
	return matching
}

func slowMatches(rule *Rule, r *Request) bool {
	return (rule.Listener == "" || rule.Listener == r.Listener) &&
		slowHost(rule.Host, r.Host) &&
		slowPath(rule.Path, r.Path) &&
		slowMethods(rule.Methods, r.Method) &&
		slowUpgrade(rule.Upgrade, r.Upgrade) &&
		slowSubprotocol(rule.Subprotocol, r.Header.Values("Sec-WebSocket-Protocol")) &&
		slowFields(rule.Headers, func(name string) []string { return r.Header.Values(name) }) &&
		slowFields(rule.Query, func(name string) []string { return slowQuery(r.Query)[name] }) &&
		slowFields(rule.Cookies, func(name string) []string { return slowCookies(r.Header, name) }) &&
		slowClients(rule.Clients, r.Client)
}

func slowHost(pattern, host string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, rest) && host != rest
	}
	return pattern == "" || pattern == host
}

var slowCapture = regexp.MustCompile(`\\\{\w+\\\}`)

func slowPath(p Path, path string) bool {
	switch p.Kind {
	case Exact:
		expr := slowCapture.ReplaceAllString(regexp.QuoteMeta(p.Pattern), "[^/]+")
		return regexp.MustCompile("^" + expr + "$").MatchString(path)
	case Prefix:
		below := strings.TrimSuffix(p.Pattern, "/") + "/"
		return path == p.Pattern || strings.HasPrefix(path, below)
	case Regex:
		return regexp.MustCompile(p.Pattern).MatchString(path)
	}
	return true
}

func slowMethods(methods []string, method string) bool {
	return methods == nil || slices.Contains(methods, method) ||
		method == "HEAD" && slices.Contains(methods, "GET")
}

func slowUpgrade(upgrade string, tokens []string) bool {
	tunnelled := slices.DeleteFunc(slices.Clone(tokens), func(token string) bool {
		return regexp.MustCompile("^(h2c|h2|tls|http)(/|$)").MatchString(token)
	})
	switch upgrade {
	case "":
		return true
	case "any":
		return len(tunnelled) > 0
	case "none":
		return len(tunnelled) == 0
	}
	return slices.Contains(tunnelled, strings.ToLower(upgrade))
}

func slowSubprotocol(subprotocol string, offered []string) bool {
	tokens := regexp.MustCompile(`[ ,]+`).Split(strings.Join(offered, ","), -1)
	return subprotocol == "" || slices.Contains(tokens, subprotocol)
}

func slowFields(fields []Field, values func(string) []string) bool {
	for _, f := range fields {
		got := values(f.Name)
		if len(got) == 0 {
			return false
		}
		for _, v := range got {
			if f.Op == Equal && v != f.Value || f.Op == Matches && !regexp.MustCompile(f.Value).MatchString(v) {
				return false
			}
		}
	}
	return true
}

func slowQuery(query string) url.Values {
	values, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return values
}

func slowCookies(h http.Header, name string) (values []string) {
	r := http.Request{Header: h}
	for _, c := range r.CookiesNamed(name) {
		values = append(values, c.Value)
	}
	return values
}

func slowClients(clients []netip.Prefix, client netip.Addr) bool {
	return clients == nil || slices.ContainsFunc(clients, func(p netip.Prefix) bool { return p.Contains(client) })
}

// slowCompare is the package doc's order, clause by clause.
func slowCompare(a, b *Rule) int {
	host := func(r *Rule) (class, length int) {
		switch {
		case r.Host == "":
			return 2, 0
		case strings.HasPrefix(r.Host, "*."):
			return 1, -len(r.Host)
		}
		return 0, 0
	}
	classA, lengthA := host(a)
	classB, lengthB := host(b)
	return cmp.Or(
		-cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(classA, classB),
		cmp.Compare(lengthA, lengthB),
		slowComparePaths(a.Path, b.Path),
		-cmp.Compare(slowConditions(a), slowConditions(b)),
	)
}

func slowComparePaths(a, b Path) int {
	if a.Kind != b.Kind {
		order := []PathKind{Exact, Regex, Prefix, AnyPath}
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	}
	switch a.Kind {
	case Exact:
		as, bs := strings.Split(a.Pattern, "/"), strings.Split(b.Pattern, "/")
		for i := range min(len(as), len(bs)) {
			captureA, captureB := strings.HasPrefix(as[i], "{"), strings.HasPrefix(bs[i], "{")
			if captureA != captureB {
				return map[bool]int{false: -1, true: 1}[captureA]
			}
		}
	case Regex:
		literal := func(p Path) int { return len(slowLiterals[p.Pattern]) }
		return -cmp.Compare(literal(a), literal(b))
	case Prefix:
		return -cmp.Compare(len(a.Pattern), len(b.Pattern))
	}
	return 0
}

func slowConditions(r *Rule) int {
	n := len(r.Headers) + len(r.Query) + len(r.Cookies)
	for _, given := range []bool{r.Listener != "", r.Methods != nil, r.Upgrade != "", r.Subprotocol != "", r.Clients != nil} {
		if given {
			n++
		}
	}
	return n
}

// slowLiterals are the regexes of the grammar, each with its literal prefix as
// a person reads it.
var slowLiterals = map[string]string{
	"^/":           "/",
	"^/.*":         "/",
	"^/a":          "/a",
	"^/a$":         "/a",
	"^/(a)/(b)$":   "/a/b",
	"^/a/.*":       "/a/",
	"^/a/[^/]+$":   "/a/",
	"^/[ab]/b$":    "/",
	"^/[ab]/a$":    "/",
	"^/(a|b)/.$":   "/",
	"^/(?i)A":      "/",
	"^/a|^/b":      "/",
	"^/(?:a/)?b$":  "/",
	"^/b/(a|b|c)$": "/b/",
}

// chooser takes choices from bytes, and the first alternative when they end: so
// a fuzzer's input is a set of rules, and a shorter one a smaller set.
type chooser []byte

func (c *chooser) n(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}

func choose[T any](c *chooser, of ...T) T { return of[c.n(len(of))] }

func randomChooser(r *rand.Rand, n int) *chooser {
	c := make(chooser, n)
	for i := range c {
		c[i] = byte(r.Uint32())
	}
	return &c
}

var slowRegexes = func() (all []string) {
	for expr := range slowLiterals {
		all = append(all, expr)
	}
	slices.Sort(all)
	return all
}()

func (c *chooser) path() Path {
	switch c.n(8) {
	case 0:
		return Path{}
	case 1, 2, 3:
		return Path{Exact, c.segments("a", "b", "{x}", "{y}") + choose(c, "", "", "/")}
	case 4, 5:
		return Path{Prefix, c.segments("a", "b", "ab") + choose(c, "", "/")}
	case 6:
		return Path{Prefix, "/"}
	}
	return Path{Regex, choose(c, slowRegexes...)}
}

// segments chooses one to three segments, without naming a capture twice.
func (c *chooser) segments(of ...string) string {
	path := ""
	for range 1 + c.n(3) {
		s := choose(c, of...)
		if strings.HasPrefix(s, "{") && strings.Contains(path, s) {
			s = "a"
		}
		path += "/" + s
	}
	return path
}

func (c *chooser) fields(names ...string) (fields []Field) {
	if c.n(4) > 0 {
		return nil
	}
	for _, name := range names {
		switch c.n(6) {
		case 1, 2:
			fields = append(fields, Field{name, Equal, choose(c, "1", "2")})
		case 3:
			fields = append(fields, Field{name, Matches, choose(c, "^1", "2$", "^[13]$", "^2?1?$")})
		case 4:
			fields = append(fields, Field{name, Present, ""})
		}
	}
	return fields
}

func (c *chooser) rule(i int) Rule {
	return Rule{
		Name:        fmt.Sprintf("r%d", i),
		Priority:    choose(c, 0, 0, 0, 0, 0, 1, -1),
		Host:        choose(c, "", "", "", "a.b", "*.b", "x.a.b", "*.a.b"),
		Path:        c.path(),
		Listener:    choose(c, "", "", "", "", "", "web"),
		Methods:     choose(c, nil, nil, nil, nil, []string{"GET"}, []string{"POST", "GET"}, []string{"HEAD"}),
		Upgrade:     choose(c, "", "", "", "", "any", "none", "websocket", "Other"),
		Subprotocol: choose(c, "", "", "", "", "", "v1", "v2"),
		Headers:     c.fields("X-A", "X-B"),
		Query:       c.fields("q", "r"),
		Cookies:     c.fields("c"),
		Clients:     choose(c, nil, nil, nil, nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}),
	}
}

func (c *chooser) rules(n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = c.rule(i)
	}
	return rules
}

func (c *chooser) request() *Request {
	r := &Request{
		Listener: choose(c, "web", "other", ""),
		Method:   choose(c, "GET", "GET", "POST", "HEAD"),
		Host:     choose(c, "a.b", "b", "x.a.b", "y.x.a.b", "c", "", "xa.b"),
		Path:     choose(c, "/", c.segments("a", "b", "ab", "c", "A")+choose(c, "", "", "/")),
		Query:    choose(c, "", "q=1", "q=2&r=1", "q=1&q=2", "r=%31", "q=1&r=2", "%71=1&r", "q=12", "r=21&s"),
		Header:   http.Header{},
		Upgrade:  choose(c, nil, nil, []string{"websocket"}, []string{"other"}, []string{"h2c"}, []string{"other", "websocket"}),
		Client:   choose(c, netip.Addr{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("::1")),
	}
	for _, name := range []string{"X-A", "X-B"} {
		if values := choose(c, nil, nil, []string{"1"}, []string{"2"}, []string{"1", "2"}, []string{"21"}, []string{"3"}); values != nil {
			r.Header[name] = values
		}
	}
	if cookie := choose(c, "", "", "c=1", "d=1; c=2", "c=1; c=2", `c="1"`); cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	if offer := choose(c, "", "", "v1", "v1, v2", "v3,v2"); offer != "" {
		r.Header.Set("Sec-WebSocket-Protocol", offer)
	}
	return r
}
