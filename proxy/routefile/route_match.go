package routefile

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The conditions of a route, for package match.

// Match is the conditions of a route, all of which must hold, as written. Package match
// takes them as a Rule.
type Match struct {
	Listener    string
	Host        string
	Path        string
	PathPrefix  string
	PathRegex   string
	Priority    int
	Methods     []string
	Headers     []Condition // sorted by name
	Query       []Condition
	Cookies     []Condition
	Upgrade     string
	Subprotocol string
	Client      []netip.Prefix
}

// Condition is on one header, query parameter or cookie: exactly one of Value
// (equal), Regex, Present.
type Condition struct {
	Name    string
	Value   string
	Regex   string
	Present bool
}

func matchKeys() []*Key {
	return []*Key{
		key("listener", "Name of the listener that accepted the request.",
			text(func(m *Match) *string { return &m.Listener }, checkName), example("web")),
		key("host", "The requested host without a port: chat.example.com, or *.example.com for every subdomain.",
			text(func(m *Match) *string { return &m.Host }, checkHostPattern), example("chat.example.com")),
		key("path", "The whole path. {name} captures one segment.",
			text(func(m *Match) *string { return &m.Path }, checkPath("path")), example(`"/rooms/{room}/ws"`)),
		key("path_prefix", "The first segments of the path: /a matches /a and /a/b, not /ab; /a/ matches itself and every path below.",
			text(func(m *Match) *string { return &m.PathPrefix }, checkPath("path_prefix")), example("/ws2/")),
		key("path_regex", "An RE2 expression that begins with ^ and need not match the whole path. Groups capture.",
			text(func(m *Match) *string { return &m.PathRegex }, checkRegex), example(`"^/(myApp/ws)$"`)),
		key("priority", "Precedence between routes that match the same request, before all other rules; the highest wins.",
			whole(func(m *Match) *int { return &m.Priority }, -1000000, 1000000), byDefault("0"), example("10")),
		key("methods", "Request methods. GET also matches HEAD.",
			texts(func(m *Match) *[]string { return &m.Methods }, checkMethod), filled, example("[GET, POST]")),
		conditionsKey("headers", "Conditions on headers, by case-insensitive name: an exact value, or one of the keys below.", checkToken, "{X-Room: blue}",
			func(m *Match) *[]Condition { return &m.Headers }),
		conditionsKey("query", "Conditions on query parameters, by name: an exact value, or one of the keys below.", checkNotEmpty, "{v: 2}",
			func(m *Match) *[]Condition { return &m.Query }),
		conditionsKey("cookies", "Conditions on cookies, by name: an exact value, or one of the keys below.", checkToken, "{beta: {present: true}}",
			func(m *Match) *[]Condition { return &m.Cookies }),
		key("upgrade", "The protocol in the Upgrade header, any for any upgrade, or none for requests without one.",
			text(func(m *Match) *string { return &m.Upgrade }, checkMatchUpgrade), example("websocket")),
		key("subprotocol", "A WebSocket subprotocol that the client offers.",
			text(func(m *Match) *string { return &m.Subprotocol }, checkToken), example("chat.v2")),
		key("client", "Networks that contain the client's address.",
			networks(func(m *Match) *[]prefix { return &m.Client }), filled, example("[10.0.0.0/8]")),
	}
}

// conditionsKey makes a mapping of names to conditions.
func conditionsKey(name, meaning string, checkName func(string) error, shown string, field func(*Match) *[]Condition) *Key {
	one := key("*", "An exact value, or one of the keys below.", mapping(self[Condition],
		key("regex", "An RE2 expression that matches in the value.",
			text(func(c *Condition) *string { return &c.Regex }, checkRegex), example(`"^v[0-9]+$"`)),
		key("present", "Matches any value. Only true is allowed.",
			presentKey(), example("true")),
	), example("blue"), shortValue, exactlyOne("regex", "present"))
	k := &Key{Kind: KindNamed, keys: []*Key{one}, each: eachCondition(checkName, field), all: allConditions(field)}
	return key(name, meaning, k, example(shown), afterwards(sortConditions(field)))
}

// eachCondition appends a condition. The pointer is used before the next one grows the list.
func eachCondition(check func(string) error, field func(*Match) *[]Condition) func(*parser, any, string, node) any {
	return func(p *parser, dst any, name string, key node) any {
		if err := check(name); err != nil {
			p.fail(key, "is not a valid name: %v", err)
		}
		list := field(dst.(*Match))
		*list = append(*list, Condition{Name: name})
		return &(*list)[len(*list)-1]
	}
}

// allConditions yields the conditions of a match, which are sorted by name.
func allConditions(field func(*Match) *[]Condition) func(src any) iter.Seq2[string, any] {
	return func(src any) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			list := *field(src.(*Match))
			for i := range list {
				if !yield(list[i].Name, &list[i]) {
					return
				}
			}
		}
	}
}

func sortConditions(field func(*Match) *[]Condition) func(*parser, node, *Match) {
	return func(_ *parser, _ node, m *Match) {
		slices.SortStableFunc(*field(m), func(a, b Condition) int { return strings.Compare(a.Name, b.Name) })
	}
}

// shortValue reads a condition that is a single value: the exact one.
func shortValue(k *Key) {
	k.Short = []Short{{Kind: KindValue, Meaning: "the value is exactly this"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || yamledit.IsNull(n) {
			return false
		}
		dst.(*Condition).Value = n.Value
		return true
	}
	k.write = func(src any) node {
		if c := src.(*Condition); c.Regex == "" && !c.Present {
			return yamledit.TextNode(c.Value)
		}
		return nil
	}
}

func presentKey() *Key {
	return onlyTrue(func(c *Condition) *bool { return &c.Present }, "its absence cannot be matched")
}

type rule = match.Rule

func (r *Route) rule() match.Rule {
	m := &r.Match
	return match.Rule{
		Name: r.Name, Priority: m.Priority, Listener: m.Listener, Host: m.Host, Path: m.pattern(),
		Methods: m.Methods, Headers: conditions(m.Headers), Query: conditions(m.Query), Cookies: conditions(m.Cookies),
		Upgrade: m.Upgrade, Subprotocol: m.Subprotocol, Clients: m.Client,
	}
}

func (m *Match) pattern() match.Path {
	switch {
	case m.Path != "":
		return match.Path{Kind: match.Exact, Pattern: m.Path}
	case m.PathPrefix != "":
		return match.Path{Kind: match.Prefix, Pattern: m.PathPrefix}
	case m.PathRegex != "":
		return match.Path{Kind: match.Regex, Pattern: m.PathRegex}
	}
	return match.Path{}
}

// PathRules returns EncodedSlash and MergeSlashes as package match takes them.
func (s *Settings) PathRules() match.PathRules {
	return match.PathRules{EncodedSlashes: s.EncodedSlash == "keep", KeepSlashes: s.MergeSlashes == Off}
}

func conditions(list []Condition) []match.Field {
	if list == nil {
		return nil
	}
	out := make([]match.Field, len(list))
	for i, c := range list {
		out[i] = match.Field{Name: c.Name, Op: match.Equal, Value: c.Value}
		if c.Present {
			out[i].Op = match.Present
		} else if c.Regex != "" {
			out[i].Op, out[i].Value = match.Matches, c.Regex
		}
	}
	return out
}

// checkMatch compiles the conditions of all routes together.
func (c *checker) checkMatch() error {
	rules := make([]rule, 0, len(c.routes))
	for _, name := range sortedNames(c.routes) {
		rules = append(rules, c.routes[name].it.rule())
	}
	problems, err := c.judge(rules)
	if err != nil {
		return err
	}
	for _, p := range problems {
		r := c.routes[p.Rule]
		keys := []string{"routes", p.Rule, "match"}
		if p.Field != "" {
			keys = append(keys, strings.SplitN(p.Field, ".", 2)...)
		}
		c.at(r.file, keys, recordOf("route", p.Rule), "%s", p.Text)
		if p.Other != "" {
			c.errs[len(c.errs)-1].Other = recordOf("route", p.Other)
		}
	}
	return nil
}

// judge finds all that is wrong with the conditions of a set's routes. Where a file
// has mistakes of its own only their form is looked at: without a condition that
// is misspelt a route would clash with others, and a set that is refused anyway is
// not worth the work.
func (c *checker) judge(rules []rule) ([]match.Problem, error) {
	if c.malformed {
		return match.Form(c.ctx, rules), context.Cause(c.ctx)
	}
	return match.Judge(c.ctx, rules)
}
