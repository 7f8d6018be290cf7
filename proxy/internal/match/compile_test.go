package match

import (
	"context"
	"strings"
	"testing"
)

// FuzzCompile: whatever stands in a routes file is refused with a reason, or
// compiles to what compiles to itself and, if it has an obvious match, matches
// it.
func FuzzCompile(f *testing.F) {
	f.Add("chat.example.com", "/rooms/{room}/ws", "X-Room", "blue", "GET", "websocket")
	f.Add("*.Example.COM.", "/%41/../b//{x}", "a", "^(", "get", "none")
	f.Add("[0::1]", "^/(a|b)/(?P<x>.*)$", "", " ", "", "h2c")
	f.Add("a:80", "/{", "Cookie", ";", "A B", "a/b")
	f.Fuzz(func(t *testing.T, host, pattern, name, value, method, upgrade string) {
		for kind := AnyPath; kind <= Regex; kind++ {
			for op := Equal; op <= Present; op++ {
				fields := []Field{{name, op, value}}
				checkCompile(t, Rule{
					Name: "r", Host: host, Path: Path{kind, pattern}, Methods: []string{method}, Upgrade: upgrade,
					Headers: fields, Query: fields, Cookies: fields,
				})
				checkCompile(t, Rule{Name: "r", Host: host, Path: Path{kind, pattern}})
			}
		}
	})
}

func checkCompile(t *testing.T, r Rule) {
	t.Helper()
	tree, problems := Compile([]Rule{r})
	if (tree == nil) != (len(problems) > 0) {
		t.Fatalf("Compile(%+v) = %v, %v", r, tree, problems)
	}
	for _, p := range problems {
		if p.Kind != Invalid || p.Rule != r.Name || p.Field == "" || p.Text == "" || strings.ContainsAny(p.Text, "\r\n") {
			t.Fatalf("Compile(%+v) says %+v", r, p)
		}
	}
	if found := Conflicts([]Rule{r}); len(found) > 0 {
		t.Fatalf("Conflicts(%+v) = %v", r, found)
	}
	if tree != nil {
		checkNormal(t, tree.ranked[0])
		checkExampleMatches(t, tree, tree.ranked[0])
	}
}

// checkNormal: a compiled pattern is in normal form.
func checkNormal(t *testing.T, r *rule) {
	t.Helper()
	if host, err := compileHost(string(r.host)); host != r.host || err != nil {
		t.Fatalf("host %q compiles to %q, %v", r.host, host, err)
	}
	again, err := compilePattern(Path{r.path.kind, r.path.text})
	if err != nil || again.text != r.path.text || again.shape != r.path.shape {
		t.Fatalf("path %q compiles to %+v, %v", r.path.text, again, err)
	}
}

// checkExampleMatches: the request that meet makes of a rule alone is the
// rule's.
func checkExampleMatches(t *testing.T, tree *Tree, r *rule) {
	t.Helper()
	j := newJudgement(context.Background())
	j.begin()
	w, d := j.meet(r, r)
	if d != yes {
		if len(r.conditions) == 0 && r.path.kind != Regex {
			t.Fatalf("no request is shown for %+v", r)
		}
		return // a regex that is too large, or matches no value of a header
	}
	if normal, err := NormalizePath(w.Path); normal != w.Path || err != nil {
		t.Fatalf("%+v: example path %q: %q, %v", r.path, w.Path, normal, err)
	}
	if tree.Lookup(w, nil) != 0 {
		t.Fatalf("%+v does not take %s", r, w.example())
	}
}
