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

// TestHiddenAmongManyRegexes holds that of many paths below many regexes, every one that a
// regex takes is found, and within the bound.
func TestHiddenAmongManyRegexes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	var rules []Rule
	for i := range 5000 {
		rules = append(rules,
			Rule{Name: fmt.Sprintf("a%05d", i), Path: Path{Regex, fmt.Sprintf("^/[^/]+/tenant-%05d/(ws|WS)$", i)}, Priority: 1},
			Rule{Name: fmt.Sprintf("b%05d", i), Path: Path{Exact, fmt.Sprintf("/rooms/room-%05d/ws", i)}})
	}
	for name, path := range map[string]string{"a01234": "/any/tenant-01234/ws", "a04321": "/x/tenant-04321/WS", "": "/x/tenant-04321/Ws"} {
		hidden := Rule{Name: "hidden", Path: Path{Exact, path}}
		problems, err := Judge(context.Background(), append(slices.Clip(rules), hidden))
		if err != nil {
			t.Fatal(err)
		}
		if name == "" && len(problems) > 0 {
			t.Errorf("%s: %.500v; want no problem", path, problems)
		}
		if name != "" && (len(problems) != 1 || problems[0].Rule != "hidden" || problems[0].Other != name || problems[0].Kind != Unreachable) {
			t.Errorf("%s: %.500v; want it hidden by %s", path, problems, name)
		}
	}
}

// TestPathIndexMissesNone compares the index with a look at every regex.
func TestPathIndexMissesNone(t *testing.T) {
	texts := []string{
		"^/(?i)A%d/x", "^/[^/]+/b%d$", "^/.*c%d$", "^/c%d.*", "^/(x|y)/d%d/?$", "^/.*", "^/[a-z]+/e%d/[0-9]+$", "^/f%[1]d(/g%[1]d)?$", "^/.*h%d.*$", "^/\\bx?i%d",
	}
	var rules []*rule
	for i := range 400 {
		r := Rule{Name: fmt.Sprint(i), Path: Path{Regex, texts[i%len(texts)]}, Priority: i * 7919 % 401}
		if r.Path.Pattern != "^/.*" {
			r.Path.Pattern = fmt.Sprintf(r.Path.Pattern, i%23)
		}
		c, problems := compileRule(&r)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		rules = append(rules, c)
	}
	sortRules(rules)
	index, skipped := newPathIndex(rules, nil), 0
	for n := range 23 {
		for _, shape := range []string{"/a%d/x", "/A%d/xyz", "/q/b%d", "/p/q/c%d", "/c%dd", "/x/d%d", "/y/d%d/", "/abc/e%d/77", "/f%d", "/f%[1]d/g%[1]d", "/1/h%d/2", "/i%d", "/xi%d", "/", "/none", "/\u0130%d"} {
			path := shape
			if shape != "/" && shape != "/none" {
				path = fmt.Sprintf(shape, n)
			}
			looked := make(map[*rule]bool)
			index.lists(valuesOf(path), func(list []*rule) {
				if !slices.IsSortedFunc(list, func(a, b *rule) int { return a.rank - b.rank }) {
					t.Fatal("a list is not by rank")
				}
				for _, r := range list {
					looked[r] = true
				}
			})
			for _, r := range rules {
				if !looked[r] && r.path.matches(path) {
					t.Errorf("%s matches %s and is not looked at", r.path.text, path)
				}
			}
			skipped += len(rules) - len(looked)
		}
	}
	if skipped < 23*16*len(rules)/2 {
		t.Errorf("only %d looks are spared", skipped)
	}
}

// TestHiddenCannotBeDecided holds that a search that ends at its bound says so.
func TestHiddenCannotBeDecided(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	var rules []Rule
	for i := range 5000 {
		rules = append(rules,
			Rule{Name: fmt.Sprintf("a%05d", i), Path: Path{Regex, fmt.Sprintf("^/.*tenant-%05d/.*$", i)}, Priority: i + 1},
			Rule{Name: fmt.Sprintf("b%05d", i), Path: Path{Exact, fmt.Sprintf("/rooms/room-%05d/ws", i)}})
	}
	problems, err := Judge(context.Background(), rules)
	if err != nil || len(problems) != 1 || problems[0].Other != "" {
		t.Errorf("%v, %.500v", err, problems)
	}
}
