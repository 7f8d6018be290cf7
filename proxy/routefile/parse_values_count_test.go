package routefile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// countValues is what valueBeyond counts in data.
func countValues(data []byte) int {
	c := newValueCounter(data, len(data)+1)
	for c.at < len(data) {
		c.token()
	}
	return c.count
}

func countNodes(n node) int {
	count := 1
	for _, child := range n.Content {
		count += countNodes(child)
	}
	return count
}

func TestCountValues(t *testing.T) {
	many := strings.Repeat("1, ", 50)
	for _, test := range []struct {
		name, text string
		most       int // of what is counted, 0 for anything
	}{
		{"flow list", "x: [" + many + "1]\n", 60},
		{"flow mapping", "x: {" + strings.Repeat("a: b, ", 50) + "a: b}\n", 110},
		{"keys without values", "x: {" + strings.Repeat("a, ", 50) + "}\n", 110},
		{"JSON", `{"x":{` + strings.Repeat(`"a":"b",`, 50) + `"c":[1,2]}}`, 120},
		{"block list", "x:\n" + strings.Repeat("- 1\n", 50), 110},
		{"nested lists", "x:\n" + strings.Repeat("- - - 1\n", 50), 0},
		{"empty items", "x:\n" + strings.Repeat("-\n", 50), 60},
		{"block mapping", "x:\n" + strings.Repeat("  a: b\n", 50), 110},
		{"double quotes", `x: "[` + many + "\n  [ '" + many + `"` + "\ny: 1\n", 4},
		{"single quotes", `x: '[` + many + "\n''" + many + "'\ny: 1\n", 4},
		{"a block scalar", "x:\n  y: |\n    [" + many + "\n\n    - a: b\n  z: 1\n", 6},
		{"an empty block scalar", "x: |\ny:\n" + strings.Repeat("- 1\n", 50), 0},
		{"a block scalar in a list", "x:\n- - |\n  - 1\n  - [" + many + "]\n", 0},
		{"a comment", "x: 1 # [" + many + "\n# [" + many + "\ny: 1\n", 4},
		{"a plain scalar", "x: a, [" + many + "\n  \"[" + many + "\ny: 1\n", 4},
		{"a quote that is none", "x: a\n  \"\ny: [" + many + "]\n", 0},
		{"a quote that is none, in a list", "x:\n- a\n - \"\n- [" + many + "]\n", 0},
		{"a quote that is none, in brackets", "x: [a\n \"b, " + many + "c\"]\n", 0},
		{"a quote behind a value alone on its line", "x:\n  a\n  \"\ny: [" + many + "]\n", 0},
		{"a tag", "x: [!<,'> a, " + many + " 'b']\n", 0},
		{"a complex key", "? [" + many + "]\n: [" + many + "]\n", 0},
		{"anchors", "x: &a [" + many + "]\ny: [" + strings.Repeat("*a, ", 50) + "]\n", 110},
		{"a document on the line of its marker", "--- [" + many + "]\n", 0},
		{"a quote on the line of its marker", "--- \"a\"\n", 2},
		{"a key that is quoted", "\"a: b\":\n  \"c\": [" + many + "]\n", 60},
	} {
		doc, _, err := yamledit.Decode(strings.NewReader(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		counted, nodes := countValues([]byte(test.text)), countNodes(doc.Content[0])
		if counted*2 < nodes-1 || test.most > 0 && counted > test.most {
			t.Errorf("%s: counted %d of %d nodes, want at least half and at most %d", test.name, counted, nodes, test.most)
		}
	}
}

// TestCountValuesOfAnything holds the bound for texts that nobody writes: what is decoded
// has no more nodes than were allowed for.
func TestCountValuesOfAnything(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	words := []string{"a", "b: ", "- ", "[", "]", "{", "}", ",", ": ", "\n", "\n  ", "\n ", "\n    ", "\"", "'", "''", "\\", "#", " #", " ",
		"|", "|\n", ">", "&a ", "*a", "!t ", "? ", "---", "--- ", "1", "x:\n", "~", "\t", "%", ":", "?", "-"}
	r := rand.New(rand.NewPCG(1, 2))
	decoded := 0
	for range 50_000 {
		var b bytes.Buffer
		for range 1 + r.IntN(24) {
			b.WriteString(words[r.IntN(len(words))])
		}
		doc, _, err := yamledit.Decode(bytes.NewReader(b.Bytes()))
		if err != nil || len(doc.Content) == 0 {
			continue
		}
		decoded++
		// The document's only value, and a mapping and a null of a key, count with others.
		if counted, nodes := countValues(b.Bytes()), countNodes(doc.Content[0]); counted*3+2 < nodes {
			t.Fatalf("counted %d of %d nodes in %q", counted, nodes, b.String())
		}
	}
	if decoded < 1000 {
		t.Errorf("only %d texts are YAML", decoded)
	}
}

func TestTooManyValues(t *testing.T) {
	list := "version: 1\nroutes: {}\nx:\n  [" + strings.Repeat("1,", MaxValues) + "1]\n"
	_, errs := Parse("r.yaml", []byte(list))
	if want := fmt.Sprintf("r.yaml:4:%d: more than 2000000 keys and values", 4+2*(MaxValues-6)); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want) {
		t.Errorf("%.300v, want %q", errs, want)
	}
	body := "version: 1\nroutes:\n  a: {match: {path: /a}, respond: {body: \"" + strings.Repeat("1,", MaxValues) + "\"}}\n"
	if _, errs := Parse("r.yaml", []byte(body)); len(errs) > 0 {
		t.Errorf("a long text: %.300v", errs)
	}
}
