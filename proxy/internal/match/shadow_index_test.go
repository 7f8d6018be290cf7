package match

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// TestHiddenAmongMany holds that of many rules with one path and a priority each, every one
// that is hidden is found, whatever their conditions are.
func TestHiddenAmongMany(t *testing.T) {
	const n = 8000
	for name, conditions := range map[string]func(r *Rule, i int){
		"header": func(r *Rule, i int) { r.Headers = []Field{{Name: "X-Tenant", Value: fmt.Sprint(i)}} },
		"regex": func(r *Rule, i int) {
			r.Headers = []Field{{Name: "X-Tenant", Op: Matches, Value: fmt.Sprintf("^t%d$", i)}}
		},
		"cookie": func(r *Rule, i int) { r.Cookies = []Field{{Name: fmt.Sprint("c", i), Op: Present}} },
		"network": func(r *Rule, i int) {
			r.Clients = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := make([]Rule, 0, n+1)
			for i := range n {
				r := Rule{Name: fmt.Sprintf("r%05d", i), Path: Path{Exact, "/a"}, Priority: n - i}
				conditions(&r, i)
				rules = append(rules, r)
			}
			last := rules[n/2] // asks for the same, behind all
			last.Name, last.Priority = "last", -1
			problems, err := Judge(context.Background(), append(rules, last))
			if err != nil || len(problems) != 1 || problems[0].Rule != "last" || problems[0].Other != rules[n/2].Name || problems[0].Kind != Unreachable {
				t.Errorf("%v, %.500v; want last hidden by %s", err, problems, rules[n/2].Name)
			}
		})
	}
}

// TestHidersAreAllFound compares the index with a look at every rule.
func TestHidersAreAllFound(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.1.2.3/32")}
	fields := []Field{{}, {Name: "A", Value: "1"}, {Name: "A", Value: "2"}, {Name: "A", Op: Matches, Value: "^1"}, {Name: "A", Op: Present}, {Name: "A", Op: Matches, Value: "."}}
	var rules []*rule
	for i := range 240 {
		r := Rule{Name: fmt.Sprint(i), Path: Path{Exact, "/a"}, Priority: i * 7919 % 241}
		if f := fields[i%len(fields)]; f.Name != "" {
			r.Headers = []Field{f}
		}
		if i/6%5 < 4 {
			r.Clients = []netip.Prefix{networks[i/6%5]}
		}
		if i/30%3 == 0 {
			r.Methods = []string{"GET"}
		}
		if i/30%3 == 1 {
			r.Upgrade = "websocket"
		}
		c, problems := compileRule(&r)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		c.index = i
		rules = append(rules, c)
	}
	tree := newTree(rules)
	j := newJudgement(context.Background())
	j.left = HiddenSteps
	hidden := 0
	for _, r := range rules {
		var want *rule
		if at := slices.IndexFunc(tree.ranked, func(o *rule) bool { return hides(o, r) }); at >= 0 {
			want = tree.ranked[at]
			hidden++
		}
		if got := tree.shadowedBy(r, j); got != want {
			t.Errorf("%s is hidden by %v, want %v", r.name, got, want)
		}
	}
	if hidden < 50 {
		t.Errorf("only %d rules are hidden", hidden)
	}
}

// TestHiddenCannotBeDecided holds that a search that ends at its bound says so.
func TestHiddenCannotBeDecided(t *testing.T) {
	var rules []Rule
	for i := range 5000 {
		rules = append(rules,
			Rule{Name: fmt.Sprintf("a%05d", i), Path: Path{Regex, fmt.Sprintf("^/[^/]+/tenant-%05d/ws$", i)}, Priority: 1},
			Rule{Name: fmt.Sprintf("b%05d", i), Path: Path{Exact, fmt.Sprintf("/rooms/room-%05d/ws", i)}})
	}
	problems, err := Judge(context.Background(), rules)
	if err != nil || len(problems) != 1 || problems[0].Other != "" {
		t.Errorf("%v, %.500v", err, problems)
	}
}
