package match

import (
	"context"
	"fmt"
	"regexp"
	"testing"
)

func TestApart(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"^/(v1|v2)/tenant-01/", "^/(v1|v2)/tenant-02/", true},
		{"^/(v1|v2)/tenant-01/", "^/(v2|v3)/tenant-01/x", false},
		{"^a$", "^ab$", true},
		{"^a", "^ab$", false},
		{"^ab?$", "^abc", true},
		{"a", "b", false},
		{"^(?i)k", "^\u212a", false},
		{"^[^a]", "^\u00e9", false},
		{"^[a-z]", "^\u00e9", true},
		{`^a\b.`, `^ab`, true},
		{"^.*a", "^b", false},
		{"^(x?){1000}a", "^(y?){1000}b", false},
	} {
		if got := disjoint(computeFirstRunes(test.a), computeFirstRunes(test.b)); got != test.want {
			t.Errorf("disjoint(%q, %q) = %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

// FuzzFirstRunes: a text that a regex matches is within its first runes.
func FuzzFirstRunes(f *testing.F) {
	f.Add("^a(b|c)*$", "abcb")
	f.Add("b", "ab\u00e9")
	f.Add(`(?i)^K\b.\B`, "\u212a//")
	f.Add("(?s)^.$|^$", "\n")
	f.Fuzz(func(t *testing.T, expr, text string) {
		re, err := regexp.Compile(expr)
		if err != nil || len(expr) > 40 || !re.MatchString(text) {
			t.Skip("no match")
		}
		runes := []rune(text)
		for i, set := range computeFirstRunes(expr) {
			var at runeSet
			switch {
			case i >= len(runes):
				at.add(endOfText)
			default:
				at.add(int(min(runes[i], beyondASCII)))
			}
			if !set.meets(&at) {
				t.Fatalf("%q matches %q, but its first runes exclude rune %d", expr, text, i)
			}
		}
	})
}

func BenchmarkConflictsRegexes(b *testing.B) {
	var rules []Rule
	for i := range 1000 {
		rules = append(rules, Rule{Name: fmt.Sprint("r", i), Path: Path{Regex, fmt.Sprintf("^/(v1|v2)/tenant-%04d/ws$", i)}})
	}
	for b.Loop() {
		if p := Conflicts(rules); p != nil {
			b.Fatal(p[0])
		}
	}
}

func computeFirstRunes(text string) firstRunes {
	j := newJudgement(context.Background())
	j.begin()
	return j.computeFirstRunes(text)
}
