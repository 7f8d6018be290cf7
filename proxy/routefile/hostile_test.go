package routefile

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestHostileFiles feeds what would cost a careless reader its stack, its
// memory or minutes. The test's own deadline is the only clock.
func TestHostileFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	for _, test := range []struct {
		name, text, want string
	}{
		{"brackets", "version: 1\nroutes: " + strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "r.yaml:2:1: not YAML: nests deeper than 100 levels"},
		{"open brackets", "version: 1\nroutes: " + strings.Repeat("[", 20000), "r.yaml:2:1: not YAML: nests deeper than 100 levels"},
		{"braces", "version: 1\nroutes: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000), "levels"},
		{"dashes", strings.Repeat("- ", 20000), "not YAML: nests deeper than 100 levels"},
		{"block", indented(2000), "nests deeper than 100 levels"},
		{"alias bomb", aliasBomb(9000), "aliases expand to more than 1000000 values"},
		{"merge bomb", mergeBomb(60), "aliases expand to more than 1000000 values"},
		{"merges itself", "version: 1\nroutes: &r {<<: [*r, *r, *r]}\n", "r.yaml:2:9: routes nests deeper than 100 levels (does an alias contain itself?)"},
		{"too large", "version: 1\n" + strings.Repeat("#", MaxBytes), "r.yaml:1:1: the file has 16777227 bytes, wanted at most 16MiB"},
		{"not UTF-8", "version: 1\nroutes: {\xff: x}", "r.yaml:2:10: byte 0xff is not UTF-8"},
		{"NUL", "version: 1\n\x00", "r.yaml:2:1: the character U+0000 is not allowed in a routes file"},
		{"truncated rune", "a: \xe2\x82", "r.yaml:1:4: byte 0xe2 is not UTF-8"},
		{"lone carriage return", "version: 1\rroutes: {}", "r.yaml:1:11: a carriage return without a line feed"},
		{"UTF-16", "\xff\xfev\x00", "r.yaml:1:1: byte 0xff is not UTF-8"},
		{"line separator", "version: 1 # \u2028", "r.yaml:1:14: the character U+2028 is not allowed in a routes file"},
		{"second byte order mark", bom + "version: 1 # " + bom, "r.yaml:1:14: the character U+FEFF is not allowed in a routes file"},
		{"aliases of a long text", "version: 1\nroutes:\n  a: {to: &a \"" + strings.Repeat("x", 1<<20) + "\"}\n" + aliasesTo("a", 10000), "aliases expand to more than 1000000 values"},
		{"mistakes below a long key", "version: 1\nroutes:\n  ? " + strings.Repeat("k", 4<<20) + "\n  : {" + strings.ReplaceAll(manyUnknown(5000), "\n", ", ") + "}", "unknown key"},
		{"quote never closed", "a: \"" + strings.Repeat("\n", 1<<20), "r.yaml:1:1: not YAML: a quote here is not closed"},
		{"brace never closed", "a: {b" + strings.Repeat("\n", 1<<20), "r.yaml:1:1: not YAML: a \"{\" here is not closed"},
		{"comments behind a mistake", "a: |\n  x\n b" + strings.Repeat("# c\n", 50000), "r.yaml:3:2: not YAML: this line does not fit the indentation"},
		{"many mistakes", "version: 1\n" + manyUnknown(maxMistakes+5), "r.yaml: more than 10000 mistakes: only the first ones are shown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, errs := Parse("r.yaml", []byte(test.text))
			if len(errs) == 0 || !strings.Contains(errs.Error(), test.want) {
				t.Errorf("got %.300s, want %s", errs.Error(), test.want)
			}
			NewSet(f)
			if err := Check(f).Print(io.Discard, map[string][]byte{"r.yaml": []byte(test.text)}); err != nil {
				t.Error(err)
			}
		})
	}
}

func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// aliasBomb has one route with a list of 2,000 and aliases of it for all others.
func aliasBomb(routes int) string {
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n")
	fmt.Fprintf(&b, "  base: &base {match: {path: /}, to: 'internal://echo', headers: {request: {remove: [%s]}}}\n", strings.Repeat("a, ", 2000))
	for i := range routes {
		fmt.Fprintf(&b, "  r%d: *base\n", i)
	}
	return b.String()
}

// mergeBomb merges each mapping twice into the next: two to the power of depth merges.
func mergeBomb(depth int) string {
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n  x0: &x0 {to: 'internal://echo'}\n")
	for i := 1; i <= depth; i++ {
		fmt.Fprintf(&b, "  x%d: &x%d {<<: [*x%d, *x%d]}\n", i, i, i-1, i-1)
	}
	return b.String()
}

// aliasesTo writes routes whose target is an anchor's text.
func aliasesTo(anchor string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  r%d: {to: *%s}\n", i, anchor)
	}
	return b.String()
}

func manyUnknown(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key-%d: 1\n", i)
	}
	return b.String()
}

// TestOneLine formats and edits a file that is one line, as programs write JSON:
// time must grow with its length and no faster. The test's own deadline is the
// only clock.
func TestOneLine(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"version": 1, "routes": {"first": {"to": "ws://h"}`)
	for i := range 5_000 {
		fmt.Fprintf(&b, `, "r%d": {"match": {"path": "/é%d"}, "to": "ws://h%d:80"}`, i, i, i)
	}
	b.WriteString("}}\n")
	out, err := Editor{Reformat: true}.Edit([]byte(b.String()), InRoutes.Drop("first"))
	if err != nil {
		t.Fatal(err)
	}
	f, errs := Parse("r.yaml", out)
	if len(errs) > 0 || len(f.Routes) != 5_000 || f.Routes["r4999"].Match.Path != "/é4999" {
		t.Errorf("%d routes, mistakes %.300s", len(f.Routes), errs.Error())
	}
}
