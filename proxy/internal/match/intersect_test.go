package match

import (
	"context"
	"regexp"
	"testing"
)

func TestIntersect(t *testing.T) {
	anything := inQuery.inputs()
	for _, test := range []struct {
		name string
		l    inputAutomaton
		a, b string
		want decision
		text string
	}{
		{"empty", anything, "", "", yes, ""},
		{"one", anything, "^abc$", "", yes, "abc"},
		{"unanchored", anything, "b", "a", yes, "ab"},
		{"apart", anything, "^a$", "^b$", no, ""},
		{"lengths", anything, "^(aa)+$", "^(aaa)+$", yes, "aaaaaa"},
		{"parity", anything, "^(aa)*$", "^a(aa)*$", no, ""},
		{"fold", anything, "^(?i)abc$", "^ABC$", yes, "ABC"},
		{"fold beyond ASCII", anything, "^(?i)k$", "^\u212a$", yes, "\u212a"},
		{"ranges", anything, "^[\u0400-\u04ff]$", "^[\u04f0-\u0500]$", yes, "\u04f0"},
		{"word boundary", anything, `^a\b.c$`, "^abc$", no, ""},
		{"word boundary there", anything, `^a\b.c$`, "^a[b/]c$", yes, "a/c"},
		{"no word boundary", anything, `^a\Bb$`, "", yes, "ab"},
		{"end in the middle", anything, "a$b", "", no, ""},
		{"begin in the middle", anything, "a^b", "", no, ""},
		{"what follows does not matter", anything, "^a", "b$", yes, "ab"},
		{"too large", anything, "^([a-z]*[0-9]*){200}~~", "^([a-z]*[0-9]*){200}~q", unknown, ""},
		{"path", pathInputs, "^/(a|b)", "^/[bc]", yes, "/b"},
		{"path with an escape", pathInputs, "^/%2", "^/.*B$", yes, "/%2B"},
		{"no such path", pathInputs, "^/a//b", "", no, ""},
		{"no such escape", pathInputs, "^/%2f", "", no, ""},
		{"decoded escape", pathInputs, "^/%41", "", no, ""},
		{"dots", pathInputs, `^/\.\./`, "", no, ""},
		{"dots at the end", pathInputs, `^/\.\.?$`, "", no, ""},
		{"dots and a parameter", pathInputs, `^/\.\.(;|%3B)`, "", no, ""},
		{"space", pathInputs, `^/a b`, "", no, ""},
		{"header", inHeader.inputs(), "^ *a *$", "", yes, "a"},
		{"header of spaces", inHeader.inputs(), "^ +$", "", no, ""},
		{"cookie", inCookie.inputs(), "^[;\"x]$", "", yes, "x"},
		{"cookie of two", inCookie.inputs(), "a;b", "", no, ""},
	} {
		text, d := intersect(test.l, test.a, test.b)
		if text != test.text || d != test.want {
			t.Errorf("%s: intersect(%q, %q) = %q, %v; want %q, %v", test.name, test.a, test.b, text, d, test.text, test.want)
		}
	}
}

// FuzzIntersect: what is shown matches, and where nothing is to be found, a
// text that both match does not turn up.
func FuzzIntersect(f *testing.F) {
	f.Add("^/a(b|c)$", "^/[ab]+", "/ab")
	f.Add("a+", "(?i)^A*$", "aaA")
	f.Add(`\bx\b`, `^.x`, "/x")
	f.Add(`^\W\B`, `(a|^b)*$`, "--")
	f.Fuzz(func(t *testing.T, a, b, text string) {
		if len(a)+len(b) > 30 {
			t.Skip("large regexes only cost time")
		}
		first, errA := regexp.Compile(a)
		second, errB := regexp.Compile(b)
		if errA != nil || errB != nil {
			t.Skip("not a regex")
		}
		shown, d := intersect(pathInputs, a, b)
		if d == yes && !(first.MatchString(shown) && second.MatchString(shown) && slowNormal(shown)) {
			t.Errorf("intersect(%q, %q) shows %q", a, b, shown)
		}
		if d == no && slowNormal(text) && first.MatchString(text) && second.MatchString(text) {
			t.Errorf("intersect(%q, %q) finds nothing, but both match %q", a, b, text)
		}
	})
}

// intersect is judgement's for two regexes alone.
func intersect(l inputAutomaton, a, b string) (string, decision) {
	j := newJudgement(context.Background())
	j.begin()
	return j.intersect(l, a, b)
}
