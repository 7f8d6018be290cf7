package match

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestOutlooksApart(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"^/[^/]+/tenant-0001/ws$", "^/[^/]+/tenant-0002/ws$", true},
		{"^/[^/]+/tenant-0001/[^/]+$", "^/[^/]+/tenant-0002/[^/]+$", true},
		{"^/[^/]+/tenant-0001/.*", "^/[^/]+/tenant-0002/.*", true},
		{"^/.*/tenant-0001/[^/]+$", "^/.*/tenant-0002/[^/]+$", true},
		{"^/.*a.{14}00001$", "^/.*b.{14}00002$", true},
		{"^/(v1|v2)/(?i)tenant-a/", "^/(v2|v3)/TENANT-B/", true},
		{"^/(v1|v2)/x", "^/(v3|v4)/x", true},
		{"^/[^/]+$", "^/[^/]+/[^/]+$", true},
		{"^/[^/]+/a[^/]*/x", "^/[^/]+/b[^/]*/x", true},
		{"^/[^/]+/[^/]*a/x", "^/[^/]+/[^/]*b/x", false}, // ends of segments are not followed

		{"^/.*tenant-0001.*$", "^/.*tenant-0002.*$", false},
		{"^/[^/]+/tenant-0001/ws", "^/[^/]+/tenant-0001/ws$", false},
		{"^/a(/b)?$", "^/a/b$", false},
		{"^/a(/b|/c/d)$", "^/a/c/d$", false},
		{"^/[^/]*/b", "^//b", false},
		{"^/x(?i)K", "^/x\u212a", false},
		{"^(?:^/a|^/b)", "^/b", false},
		{"a", "b", false},
		{"^/a$|^/b", "^/b$", false},
		{"^/" + strings.Repeat("(a|b)", 30) + "c", "^/" + strings.Repeat("(b|c)", 30), false},
		{"^/(?:a|b){3}x$", "^/aaax$", false},
	} {
		a, b := outlookOf(test.a, true), outlookOf(test.b, true)
		if a.disjoint(b) != test.want || b.disjoint(a) != test.want {
			t.Errorf("%q and %q are apart: %v and %v, want %v", test.a, test.b, a.disjoint(b), b.disjoint(a), test.want)
		}
	}
}

// FuzzOutlook: a text that a regex matches has its traits, and wants what it does.
func FuzzOutlook(f *testing.F) {
	f.Add("^/[^/]+/a(b|c)?/x$", "/q/ab/x")
	f.Add("^/a(/b)?/", "/a/b/c")
	f.Add("(?i)^/K+x$", "/\u212ax")
	f.Add("^/(|a|ab)/?$", "/ab")
	f.Add("(?m)^a$|b", "x\na\ny")
	f.Fuzz(func(t *testing.T, expr, text string) { checkOutlook(t, expr, text) })
}

func checkOutlook(t *testing.T, expr, text string) bool {
	re, err := regexp.Compile(expr)
	if err != nil || len(expr) > 60 || !re.MatchString(text) {
		return false
	}
	for _, isPath := range []bool{true, false} {
		o, exact := outlookOf(expr, isPath), outlookOf("^"+regexp.QuoteMeta(text)+"$", isPath)
		if o.disjoint(exact) {
			t.Fatalf("%q matches %q, but is apart from it: %+v, %+v", expr, text, o, exact)
		}
		for _, w := range wantsOf(o) {
			for _, v := range wantsOf(exact) {
				if v.slot == w.slot && !slices.ContainsFunc(w.values, func(s string) bool { return slices.Contains(v.values, s) }) {
					t.Fatalf("%q matches %q, but wants %q of %+v, which is %q", expr, text, w.values, w.slot, v.values)
				}
			}
		}
	}
	return true
}

func wantsOf(o *outlook) (all []want) {
	all = o.front.wants(all, slot{})
	all = o.back.wants(all, slot{at: behind})
	for i := range o.segments {
		all = o.segments[i].wants(all, slot{at: i + 1})
	}
	for i := range o.behind {
		all = o.behind[i].wants(all, slot{at: -i - 1})
	}
	return all
}

// TestOutlooksOfManyRegexes: the same over texts and regexes of a grammar in which
// they meet often.
func TestOutlooksOfManyRegexes(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	parts := []string{"a", "b", "/", "[^/]+", "[ab]", "(a|b/)", "(/a)?", ".*", "(?i:A)", "a{2}", "b*", ".", "(|a)", `\b`, "(a|ab)"}
	met := 0
	for range 20_000 {
		expr, text := "^/", "/"
		for range random.IntN(6) {
			expr += parts[random.IntN(len(parts))]
		}
		expr += []string{"", "$"}[random.IntN(2)]
		for range random.IntN(6) {
			text += string("aAb/"[random.IntN(4)])
		}
		if checkOutlook(t, expr, text) {
			met++
		}
	}
	if met < 500 {
		t.Errorf("%d texts met a regex: the grammar says little", met)
	}
}
