package match

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp/syntax"
	"runtime"
	"strings"
	"testing"
)

// kinds are sets of n rules, each told apart in another way.
var kinds = map[string]func(i int) Rule{
	"segment":       func(i int) Rule { return regexRule("^/[^/]+/tenant-%05d/ws$", i) },
	"end":           func(i int) Rule { return regexRule("^/.*a.{14}%05d$", i) },
	"inner segment": func(i int) Rule { return regexRule("^/[^/]+/tenant-%05d/[^/]+$", i) },
	"open end":      func(i int) Rule { return regexRule("^/[^/]+/tenant-%05d/.*", i) },
	"alternatives":  func(i int) Rule { return regexRule("^/(v1|v2)/(tenant|org)-%05d/(.*)$", i) },
	"fold":          func(i int) Rule { return regexRule("^/(?i)[^/]+/tenant-%05d/ws$", i) },
	"same regex by host": func(i int) Rule {
		return Rule{Host: fmt.Sprintf("h%d.example.com", i), Path: Path{Regex, "^/[^/]+/ws$"}}
	},
	"exact":    func(i int) Rule { return Rule{Path: Path{Exact, fmt.Sprintf("/rooms/{room}/x%d", i)}} },
	"prefix":   func(i int) Rule { return Rule{Path: Path{Prefix, fmt.Sprintf("/a/p%d/", i)}} },
	"wildcard": func(i int) Rule { return Rule{Host: fmt.Sprintf("*.h%d.example.com", i)} },
	"header":   func(i int) Rule { return Rule{Headers: []Field{{"X-T", Equal, fmt.Sprint("t", i)}}} },
	"header regex": func(i int) Rule {
		return Rule{Headers: []Field{{"X-T", Matches, fmt.Sprintf("^t%06d-[0-9]+", i)}}}
	},
	"query":   func(i int) Rule { return Rule{Query: []Field{{"t", Equal, fmt.Sprint("t", i)}}} },
	"cookie":  func(i int) Rule { return Rule{Cookies: []Field{{"t", Equal, fmt.Sprint("t", i)}}} },
	"network": func(i int) Rule { return Rule{Clients: []netip.Prefix{network(i, 24)}} },
	"several networks": func(i int) Rule {
		return Rule{Clients: []netip.Prefix{network(2*i, 24), network(2*i+1, 24)}}
	},
	"method": func(i int) Rule { return Rule{Methods: []string{fmt.Sprint("M", i), fmt.Sprint("N", i)}} },
	"two ways": func(i int) Rule {
		if i%2 == 0 {
			return regexRule("^/[^/]+/tenant-%05d/[^/]+/ws$", i)
		}
		return regexRule("^/.*a.{14}-------------%05d$", i)
	},
}

func regexRule(format string, i int) Rule { return Rule{Path: Path{Regex, fmt.Sprintf(format, i)}} }

func network(i, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 0}), bits)
}

func manyOf(kind func(i int) Rule, n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = kind(i)
		rules[i].Name = fmt.Sprintf("r%06d", i)
	}
	return rules
}

// TestJudgementIsNearLinear counts steps: a rule costs about the same among many
// as among few.
func TestJudgementIsNearLinear(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			const n = 2000
			j := newJudgement(context.Background())
			compiled, problems := j.compileAll(manyOf(kind, n))
			if len(problems) > 0 {
				t.Fatal(problems[0])
			}
			if found := j.ambiguities(compiled); len(found) > 0 {
				t.Fatalf("%+v", found[0].Problem)
			}
			if cost := SetSteps - j.left; cost > 300*n {
				t.Errorf("%d rules are told apart in %d steps, %d each", n, cost, cost/n)
			}
			if found := j.unreachables(compiled); len(found) > 0 {
				t.Fatalf("%+v", found[0].Problem)
			}
			if cost := SetSteps - j.left; cost > 300*n {
				t.Errorf("that none of %d rules hides another is seen in %d steps, %d each", n, cost, cost/n)
			}
		})
	}
}

// TestSetThatCostsTooMuch is judged all the same, and names a few rules.
func TestSetThatCostsTooMuch(t *testing.T) {
	rules := manyOf(func(i int) Rule { return regexRule("^/.*[ab].{14}[cd%05d]+x$", i) }, 1500)
	undecided, without := 0, 0
	for _, p := range Conflicts(rules) {
		switch {
		case p.Kind != Ambiguous || p.Witness != nil:
			t.Fatalf("%+v", p)
		case p.Other == "":
			without++
			if want := fmt.Sprintf("takes more than %d steps", SetSteps); !strings.Contains(p.Text, want) {
				t.Errorf("%q, want %q", p.Text, want)
			}
		default:
			undecided++
		}
	}
	if without != maxCostly || undecided > maxCostly*maxClashes {
		t.Errorf("%d rules are named, and %d pairs", without, undecided)
	}
}

// TestVerdictHasNoHistory: whatever was judged before, what is remembered of it or
// was forgotten, a set is judged the same.
func TestVerdictHasNoHistory(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	formats := []string{"^/[^/]+/t%d/ws$", "^/.*a.{9}%d$", "^/(a|b)*[%d]x$", "^/[^/]+/[%d]+$", "^/x%d.*", "^/a//%d", "^/.*%d.*y$"}
	set := manyOf(func(int) Rule { return Rule{} }, 24)
	edit := func() {
		i := random.IntN(len(set))
		name := set[i].Name
		set[i] = regexRule(formats[random.IntN(len(formats))], random.IntN(30))
		set[i].Name = name
		if random.IntN(4) == 0 {
			set[i].Headers = []Field{{"X", Matches, fmt.Sprintf("[%d]+$", random.IntN(30))}}
		}
	}
	var sets [][]Rule
	var verdicts [][]Problem
	var trees []*Tree
	for range 60 {
		for range 1 + random.IntN(6) {
			edit()
		}
		candidate := append([]Rule(nil), set...)
		sets, verdicts = append(sets, candidate), append(verdicts, judged(t, candidate))
		if tree, _ := Compile(candidate[:4]); tree != nil {
			trees = append(trees, tree) // keeps regexes in use
		}
	}
	runtime.KeepAlive(trees)
	trees = nil
	for _, i := range random.Perm(len(sets)) {
		compiled.mu.Lock()
		clear(compiled.regexes) // as in a new process
		compiled.mu.Unlock()
		if again := judged(t, sets[i]); !reflect.DeepEqual(again, verdicts[i]) {
			t.Fatalf("set %d:\n%+v\nwas\n%+v", i, again, verdicts[i])
		}
	}
}

func judged(t *testing.T, rules []Rule) []Problem {
	t.Helper()
	problems, err := Judge(context.Background(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// TestPairCostsTheSame whether its regexes are remembered or not.
func TestPairCostsTheSame(t *testing.T) {
	rules := manyOf(func(i int) Rule { return regexRule("^/.*[ab].{5}[cd%d]+x$", i) }, 3)
	cost := func(compiled []*rule, j *judgement, a, b int) int {
		c := comparison{judgement: j}
		before := j.left
		c.pair(compiled[a], compiled[b])
		return before - j.left
	}
	fresh := func() ([]*rule, *judgement) {
		j := newJudgement(context.Background())
		compiled, _ := j.compileAll(rules)
		j.programs, j.size = map[string]*program{}, 0
		return compiled, j
	}
	compiled, j := fresh()
	first := cost(compiled, j, 0, 2)
	warm := cost(compiled, j, 0, 2)
	for range 3 {
		warm = cost(compiled, j, 0, 2)
	}
	if drawn := first - warm; drawn < 0 {
		t.Errorf("a pair costs %d steps, then %d", first, warm)
	}
	clear(j.programs)
	if cold := cost(compiled, j, 0, 2); cold != warm {
		t.Errorf("a pair costs %d steps with its programs forgotten, %d with them", cold, warm)
	}
}

func TestJudgeIsCancelled(t *testing.T) {
	wish := errors.New("another edit")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(wish)
	problems, err := Judge(ctx, manyOf(kinds["segment"], 100))
	if problems != nil || err != wish {
		t.Errorf("Judge: %v, %v", problems, err)
	}
	if _, _, err := CompileContext(ctx, manyOf(kinds["exact"], 3)); err != wish {
		t.Errorf("CompileContext: %v", err)
	}
}

// TestNothingIsCompiledOfABadSet: its form is looked at first.
func TestNothingIsCompiledOfABadSet(t *testing.T) {
	rules := manyOf(func(i int) Rule { return regexRule("^/unseen-(?:a{100}){10}%d", i) }, 10)
	rules[9].Host = "a..b"
	problems := judged(t, rules)
	if len(problems) != 1 || problems[0].Field != "host" {
		t.Errorf("%+v", problems)
	}
	if compiled.recall(rules[0].Path.Pattern) != nil {
		t.Error("a regex was compiled")
	}
}

func TestRegexesThatTakeTooMuch(t *testing.T) {
	rules := manyOf(func(i int) Rule { return regexRule("^/(?:a{100}){10}%d", i) }, 2000)
	problems := judged(t, rules)
	if len(problems) != 1 || problems[0].Kind != Invalid || problems[0].Field != "path_regex" || !strings.Contains(problems[0].Text, "more than 64 MiB") {
		t.Errorf("%+v", problems)
	}
	same := manyOf(func(i int) Rule {
		return Rule{Host: fmt.Sprintf("h%d", i), Path: Path{Regex, "^/(?:a{100}){10}"}}
	}, 2000)
	if problems := judged(t, same); len(problems) > 0 {
		t.Errorf("the same regex counts more than once: %+v", problems[0])
	}
}

// TestInstructions: the estimate is no less than what is compiled, and near it.
func TestInstructions(t *testing.T) {
	for _, text := range []string{
		"", "a", "^abc$", "a|b|cd", "(a|b)*c", "[a-z]+x?", "(?:a{100}){10}", "a{3,}", "a{0,5}", "a{0,}", "(|a)*", "(?:(?:a|bc){2,7}d?){3}",
		`\bfoo\B`, "(?i)straße", "((((a))))", "a{0}", "(?:){50}", "x{1000}", "^/[^/]+/tenant-00001/ws$", "(?:a*)*", "(?:a?)+", "[^\\x00-\\x{10FFFF}]",
	} {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		got := instructions(tree) + 3
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(prog.Inst); got < n || got > 3*n+10 {
			t.Errorf("%q: %d instructions are estimated, %d compiled", text, got, n)
		}
	}
}
