package routefile

import (
	"fmt"
	"strings"
	"testing"
)

func TestRouteBeyond(t *testing.T) {
	for _, test := range []struct {
		name, text, want string // want is of a limit of two, "line:col"
	}{
		{"block", "version: 1\nroutes:\n  a: {to: x}\n  b:\n    to: y\n\n  # c\n  c: {to: z}\n", "8:3"},
		{"block, quoted key and comment", "\"routes\": # all of them\n a: {}\n b: {}\n c: {}\n", "4:2"},
		{"two", "routes:\n  a: {to: x}\n  b: {to: y}\npools:\n  c: {}\n  d: {}\n", ""},
		{"other sections", "pools:\n  a: {}\n  b: {}\n  c: {}\nroutes: {}\n", ""},
		{"flow", "routes: {a: {to: x, match: {path: /}}, b: {to: [x, y]},\n c: {}}\n", "1:55"},
		{"JSON", `{"version": 1, "pools": {"a": 1, "b": 2, "c": 3}, "routes":{"a":{"to":"x,y"},"b":{},"c":{}}}`, "1:84"},
		{"flow of two", "routes: {a: {to: \"x, y: {\"}, b: {to: 'it''s, {'}}\nx: {a, b, c}\n", ""},
		{"a quote over lines", "routes:\n  a: {to: \"x\n  y: z\n  y: z\n  y: z\"}\n", ""},
		{"a quote in a word", "routes:\n  a: {to: it's}\n  b: {to: x}\n  c: {to: it's}\n", "4:3"},
		{"brackets over lines", "routes:\n  a: {\n  to: x,\n  b: y,\n  c: z}\n", ""},
		{"a block scalar", "routes:\n  a:\n    respond:\n      body: |\n        routes: {\n        \"\n  b: {}\n  c: {}\n", "8:3"},
		{"merge", "routes:\n  <<: *x\n  a: {}\n  b: {}\n", ""},
	} {
		got := ""
		if line, col, found := routeBeyond([]byte(test.text), 2); found {
			got = fmt.Sprintf("%d:%d", line, col)
		}
		if got != test.want {
			t.Errorf("%s: beyond at %q, want %q", test.name, got, test.want)
		}
	}
}

// TestRouteBeyondAgrees with what is read, for a file of every kind that there is.
func TestRouteBeyondAgrees(t *testing.T) {
	data := manyRoutes(500)
	f := mustParse(t, "r.yaml", string(data))
	if _, _, found := routeBeyond(data, len(f.Routes)); found {
		t.Error("a route is counted that is not there")
	}
	if line, _, found := routeBeyond(data, len(f.Routes)-1); !found || line != f.Routes["route-499"].Pos.Line {
		t.Errorf("the last route is at line %d, %t", line, found)
	}
}

func TestTooManyRoutes(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n")
	for i := range MaxRoutes + 1 {
		fmt.Fprintf(&b, "  r%06d: {}\n", i)
	}
	_, errs := Parse("r.yaml", []byte(b.String()))
	if want := "r.yaml:100003:3: more than 100000 routes, from this one on: a set has at most that many"; errs.Error() != want {
		t.Errorf("%.300s, want %s", errs.Error(), want)
	}
}

func TestTooManyRoutesOfASet(t *testing.T) {
	a := mustParse(t, "a.yaml", "version: 1\nroutes: {x: {to: 'internal://echo'}, y: {match: {path: /y}, to: 'internal://echo'}}\n")
	b := mustParse(t, "b.yaml", "version: 1\nroutes: {p: {match: {path: /p}, to: 'internal://echo'}, q: {match: {path: /q}, to: 'internal://echo'}}\n")
	c := newChecker(t.Context(), []*File{b, a})
	if len(c.errs) > 0 {
		t.Fatal(c.errs)
	}
	c.countRoutes(3)
	if len(c.errs) != 1 || c.errs[0].Record != `route "q"` || !c.malformed {
		t.Errorf("%v", c.errs)
	}
}
