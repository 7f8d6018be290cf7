package yamledit

import (
	"bytes"
	"errors"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateLayout = goflag.Bool("update-layout", false, "rewrite the golden files of Edit and Format")

// record reads a record for Set.
func record(t testing.TB, text string) *Node {
	t.Helper()
	n, err := ParseRecord([]byte(text))
	if err != nil {
		t.Fatalf("ParseRecord(%q): %v", text, err)
	}
	return n
}

// readOps reads lines such as `set routes chat {to: ...}`.
func readOps(t *testing.T, text string) []Op {
	t.Helper()
	var ops []Op
	for line := range strings.Lines(text) {
		word := strings.SplitN(strings.TrimSpace(line), " ", 4)
		sec, name := word[1], strings.Trim(word[2], `"`)
		switch word[0] {
		case "set":
			ops = append(ops, Set(sec, name, record(t, word[3])))
		case "drop":
			ops = append(ops, Drop(sec, name))
		case "rename":
			ops = append(ops, Rename(sec, name, word[3]))
		default:
			t.Fatalf("unknown operation %q", line)
		}
	}
	return ops
}

// archive is a text of several files, each below a line `-- name --` (txtar's
// form); what stands before the first is for the reader.
type archive []struct{ name, text string }

func readArchive(t *testing.T, path string) archive {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := archive{{name: "about"}}
	for line := range strings.Lines(string(data)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		if name, closed := strings.CutSuffix(name, " --"); ok && closed {
			all = append(all, struct{ name, text string }{name: name})
			continue
		}
		all[len(all)-1].text += line
	}
	return all
}

func (a archive) part(name string) *string {
	for i := range a {
		if a[i].name == name {
			return &a[i].text
		}
	}
	return new(string)
}

func (a archive) write(t *testing.T, path string) {
	t.Helper()
	text := a[0].text
	for _, f := range a[1:] {
		text += "-- " + f.name + " --\n" + f.text
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEditGolden(t *testing.T) {
	paths, _ := filepath.Glob("testdata/edit/*.txtar")
	if len(paths) < 8 {
		t.Fatalf("found %d golden files", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a := readArchive(t, path)
			ops, want := *a.part("ops"), a.part("out.yaml")
			got, err := testEditor.Edit([]byte(*a.part("in.yaml")), readOps(t, ops)...)
			if err != nil {
				t.Fatal(err)
			}
			if *updateLayout {
				*want = string(got)
				a.write(t, path)
			}
			if string(got) != *want {
				t.Errorf("got:\n%s\nwant:\n%s", got, *want)
			}
			if strings.Contains(ops, "rename ") {
				return
			}
			again, err := testEditor.Edit(got, readOps(t, ops)...)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("the same operations once more changed the file (%v):\n%s", err, again)
			}
		})
	}
}

// ugly are files as people write them, before line ends, marks and final
// newlines are varied.
var ugly = []string{
	"routes:\n  a: {to: internal://echo}\n",
	"version: 1\nroutes: {}\n",
	"routes: {} # none\npools: {}\n",
	"routes: {}\n  # a comment below\n\n  # and another\n\npools: {}\n",
	"routes:\n\n\n  a:   {to: internal://echo}   \n\n\n  b  :\n      to:   internal://echo\n\n\n\n",
	"routes:\n  a: {to: internal://echo}\n  # foot of a\n\n# head of pools\npools: {}\n",
	"routes:\n  a: {to: internal://echo}\n  # foot of a\n",
	"routes:\n  a: {to: internal://echo}\n# at the end",
	"routes:\n  a: {to: internal://echo}\n      # deep\n   # less deep\n # and less\nversion: 1\n",
	"routes:\n  a: {to: internal://echo}\n  # about pools, oddly indented\npools: {}\n",
	"# licence\n\n# yaml-language-server: $schema=x\n---\nversion: 1   # one\n\nroutes:     # all of them\n    # first\n    a: &a\n        to: 'it''s'\n        respond: {body: \"a # b\\\n          c\"}\n    b: {<<: *a, strict: true}  # merged\n\n    # last\n    c: *a\n\n    # after\n...\n# the end\n",
	"routes:\n  a:\n    respond:\n      body: |\n        text\n          # no comment\n\n\n  # b follows\n  b:\n    respond:\n      body: >+2\n          folded\n\n        text\n\nversion: 1\n",
	"routes:\n  a:\n    respond: {body: a\n      b\n      c} # multi\n  b: [x,\n  # inside\n  y]\n",
	"pools: {p: {backends: {}}}\nroutes:\n  \"a b\": {to: internal://echo}\n  ünï: {to: internal://echo} # ümlaut\n  日本: {to: internal://echo}\n",
	"  version: 1\n  routes:\n     a:\n      match:\n         path: /a\n\n     b:\n      to:\n      - x\n      - y: 1\n        z: 2\n",
	"routes:\n  a:\n  #\n   #\n\n  # at\n    # odd\n",
	"routes:\n  a:\n  b: ~\n  c: !!map {to: x}\n  d: &anchor\n",
	"routes: # c\n  # c1\n\n  # c2\n  a: 1\t# tab\n  \n  b:\t2\n",
}

// variants are a file with both line ends, with and without a byte order mark
// and a final newline.
func variants(file string) []string {
	list := []string{file, strings.TrimRight(file, "\n")}
	for _, v := range list[:2:2] {
		list = append(list, strings.ReplaceAll(v, "\n", "\r\n"), "\ufeff"+v)
	}
	return list
}

func newNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("new-%d", i)
	}
	return names
}

func TestSetThenDropGivesTheBytesBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	value := record(t, "{match: {path: /new, headers: {X-A: {present: true}}}, respond: {body: \"a\\nb\"}}")
	for _, file := range ugly {
		for _, in := range variants(file) {
			names := newNames(10)
			for _, batch := range []bool{true, false} {
				out := mustEdit(t, []byte(in), batch, names, func(name string) Op { return Set("routes", name, value) })
				if _, err := testSchema.newLayout(out); err != nil {
					t.Fatalf("%q: %v", out, err)
				}
				for _, dropBatch := range []bool{true, false} {
					rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
					back := mustEdit(t, out, dropBatch, names, func(name string) Op { return Drop("routes", name) })
					if string(back) != in {
						t.Errorf("set batch %v, drop batch %v:\n in %q\nout %q\nback %q", batch, dropBatch, in, out, back)
					}
				}
			}
		}
	}
}

// mustEdit applies one operation a name, all at once or one after the other.
func mustEdit(t *testing.T, data []byte, batch bool, names []string, op func(string) Op) []byte {
	t.Helper()
	in := data
	var ops []Op
	for _, name := range names {
		ops = append(ops, op(name))
	}
	groups := [][]Op{ops}
	if !batch {
		groups = slices.Collect(slices.Chunk(ops, 1))
	}
	for _, group := range groups {
		out, err := testEditor.Edit(data, group...)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		data = out
	}
	return data
}

func TestEditRefuses(t *testing.T) {
	set := Set("routes", "new", record(t, "{to: x}"))
	tests := []struct {
		name, in string
		op       Op
		want     string
	}{
		{"flow section", "version: 1\nroutes: {a: {to: x}}\n", set, "f.yaml:2:9: the section routes is written in braces: write each record on a line of its own, or run format"},
		{"flow file", "{routes: {}}", set, "f.yaml:1:1: the whole file is written in braces: write its keys on lines of their own, or run format"},
		{"alias section", "pools: &p {}\nroutes: *p\n", set, "f.yaml:2:9: the section routes is an alias: write each record on a line of its own, or run format"},
		{"list section", "routes:\n- a\n", set, "f.yaml:2:1: the section routes is not a mapping: write each record on a line of its own, or run format"},
		{"section used again", "routes: &r\n  a: {to: x}\npools: *r\n", set, "f.yaml:1:9: the whole section is used again in line 3: write it out there first"},
		{"anchored empty section used again", "routes: &r {}\npools: *r\n", set, "f.yaml:1:9: the whole section is used again in line 2: write it out there first"},
		{"anchor used elsewhere", "routes:\n  a: {to: x, drain: &d {code: 4000}}\n  b: {to: x, drain: *d}\n", Drop("routes", "a"),
			`f.yaml:2:21: route "a": the anchor &d is used in line 3: write its value out there first`},
		{"anchor replaced", "routes:\n  a:\n    to: x\n    drain: &d {code: 4000}\n  b: {to: x, drain: *d}\n", Set("routes", "a", record(t, "{to: x, drain: off}")),
			`f.yaml:4:12: route "a": the anchor &d is used in line 5: write its value out there first`},
		{"documents", "routes: {}\n---\nroutes: {}\n", set, "f.yaml:2:1: a second document begins here: wanted one document in a file"},
		{"explicit key", "routes:\n  ? a\n  : {to: x}\n", set, "f.yaml:2:5: the key \"a\" does not begin its line: write it as `key: value`"},
		{"section twice", "routes: {}\nroutes: {}\n", set, `f.yaml:2:1: the key "routes" is repeated, first in line 1: remove one`},
		{"record twice", "routes:\n  a: {to: x}\n  a: {to: y}\n", set, `f.yaml:3:3: route "a": is repeated, first in line 2: remove one`},
		{"carriage return", "routes: {}\rversion: 1\r", set, "f.yaml:1:1: a carriage return inside of a line: end lines with LF or CRLF"},
		{"line separator", "version: 1\nroutes:\u2028  a: 1\n", set, "f.yaml:2:1: a Unicode line separator: write it as an escape in double quotes"},
		{"not utf-8", "routes: {}\n# \xff\n", set, "f.yaml:2:1: not UTF-8: save the file as UTF-8"},
		{"utf-16", "\xff\xfer\x00", set, "f.yaml:1:1: not UTF-8: save the file as UTF-8"},
		{"a list", "- a\n", set, "f.yaml:1:1: the file is not a mapping: wanted keys, each followed by a colon"},
		{"no yaml", "routes: {\n", set, "f.yaml: not readable as yaml: line 1: did not find expected node content"},
		{"rename to taken", "routes:\n  a: {to: x}\n  b: {to: x}\n", Rename("routes", "a", "b"), `f.yaml: route "a": cannot be renamed to "b": that name is taken`},
		{"rename nothing", "routes: {}\n", Rename("routes", "a", "b"), `f.yaml: route "a": not in the file, so it cannot be renamed to "b"`},
		{"no mapping", "routes: {}\n", Set("routes", "a", WordNode("x")), `f.yaml: route "a": the record is not a mapping`},
		{"empty name", "routes: {}\n", Set("routes", "", record(t, "{}")), `f.yaml: route "": empty name`},
		{"anchor in record", "routes: {}\n", Set("routes", "a", record(t, "{x: &a 1}")), `f.yaml: route "a": contains an anchor or an alias: write the value out`},
		{"tag in record", "routes: {}\n", Set("routes", "a", record(t, "{x: !secret y}")), `f.yaml: route "a": contains the tag "!secret": wanted plain values`},
		{"key twice in record", "routes: {}\n", Set("routes", "a", record(t, "{x: 1, x: 2}")), `f.yaml: route "a": contains a repeated key, or one that is not a text`},
		{"kept blank lines at the end", "routes:\n  a:\n    respond: {status: 200}\n    body: |+\n      x", set, `f.yaml: refusing to write: route "a" would not be as wanted`},
		{"unknown section", "routes: {}\n", Drop("defaults", "x"), `f.yaml: default "x": unknown section "defaults": wanted listeners, pools or routes`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Editor{Schema: testSchema, Path: "f.yaml"}.Edit([]byte(tt.in), tt.op)
			if err == nil {
				t.Fatalf("no error, but:\n%s", out)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if plain, err := testEditor.Edit([]byte(tt.in), tt.op); err == nil || out != nil || plain != nil {
				t.Errorf("bytes with an error: %q, %q", out, plain)
			}
		})
	}
}

func TestReformatMakesRoom(t *testing.T) {
	for _, in := range []string{
		"{version: 1, routes: {a: {to: x}}}",
		"routes: {a: {to: x}} # mine\n",
		"routes: {\n  a: {to: x}, # one\n  # two\n  b: {to: y}\n}\n",
	} {
		set := Set("routes", "new", record(t, "{to: z}"))
		if _, err := testEditor.Edit([]byte(in), set); !errors.As(err, new(*LayoutError)) {
			t.Errorf("%q: got %v, want a LayoutError", in, err)
		}
		out, err := Editor{Schema: testSchema, Reformat: true}.Edit([]byte(in), set)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if !strings.HasSuffix(string(out), "  new:\n    to: z\n") || strings.Count(in, "#") != strings.Count(string(out), "#") {
			t.Errorf("%q: got\n%s", in, out)
		}
	}
}

func TestEditChangesNothingThatIsSo(t *testing.T) {
	in := []byte("routes:\n  a: {to: x, strict: true} # c\n")
	out, err := testEditor.Edit(in, Set("routes", "a", record(t, "{strict: true, to: 'x'}")), Drop("routes", "b"),
		Set("routes", "c", record(t, "{to: x}")), Drop("routes", "c"), Drop("pools", "p"))
	if err != nil {
		t.Fatal(err)
	}
	if &out[0] != &in[0] {
		t.Errorf("got a copy: %q", out)
	}
}

// A drop and a set of one name in one edit is a set of what was there.
func TestEditSetsWhatItDropped(t *testing.T) {
	in := "routes:\n  # about a\n  a: {to: x} # c\n"
	out, err := testEditor.Edit([]byte(in), Drop("routes", "a"), Set("routes", "a", record(t, "{to: z}")))
	if want := strings.Replace(in, "to: x", "to: z", 1); err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// An anchor may go together with everything that refers to it.
func TestEditDropsAnchorsWithTheirAliases(t *testing.T) {
	in := "routes:\n  a: {to: x, drain: &d {code: 4000}, limits: *d}\n  b: {to: x, drain: *d}\n  c: {to: &t x, forwarded: *t}\n"
	out, err := testEditor.Edit([]byte(in), Drop("routes", "a"), Drop("routes", "c"), Set("routes", "b", record(t, "{to: x}")))
	if want := "routes:\n  b: {to: x}\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func FuzzEdit(f *testing.F) {
	for _, file := range ugly {
		for _, v := range variants(file) {
			f.Add([]byte(v), "a", "{to: x, match: {path: /a}}")
		}
	}
	f.Add([]byte("routes: {a: 1}\n"), "b", "{a: [1, {b: c}]}")
	f.Fuzz(func(t *testing.T, data []byte, name, text string) {
		value, err := ParseRecord([]byte(text))
		if err != nil {
			value = TextNode("x")
		}
		fuzzFresh(t, data)
		fuzzSet(t, data, name, value)
	})
}

// fuzzFresh sets and drops a name that is not there: the bytes come back, but
// for a section that did not hold anything.
func fuzzFresh(t *testing.T, data []byte) {
	const fresh = "fresh-name"
	if bytes.Contains(data, []byte(fresh)) {
		return
	}
	out, err := testEditor.Edit(data, Set("routes", fresh, record(t, "{match: {path: /x}, to: 'internal://echo'}")))
	if err != nil {
		return
	}
	back, err := testEditor.Edit(out, Drop("routes", fresh))
	if err != nil {
		t.Fatalf("%q was set, but cannot be dropped: %v\n%q", data, err, out)
	}
	if hadRecords(t, data) && !bytes.Equal(back, data) {
		t.Fatalf("\n  in %q\n out %q\nback %q", data, out, back)
	}
}

func hadRecords(t *testing.T, data []byte) bool {
	l, err := testSchema.newLayout(data)
	if err != nil {
		t.Fatal(err)
	}
	routes := fieldsOrNone(l.root)["routes"]
	return routes != nil && len(routes.Content) > 0
}

func fieldsOrNone(n *Node) map[string]*Node {
	if n == nil {
		return nil
	}
	return Fields(n)
}

// fuzzSet sets any name to any record: no other record changes, and the record
// is what was asked for. Decoding is left to yaml.v3 alone.
func fuzzSet(t *testing.T, data []byte, name string, value *Node) {
	out, err := testEditor.Edit(data, Set("routes", name, value))
	if err != nil {
		return
	}
	before, after := routesOf(t, data), routesOf(t, out)
	if len(after) == 0 || after[name] == nil || !Same(after[name], value) {
		t.Fatalf("%q: %q is not there in %q", data, name, out)
	}
	for other, was := range before {
		if other != name && !Same(was, after[other]) {
			t.Fatalf("%q: setting %q changed %q:\n%q", data, name, other, out)
		}
	}
}

func routesOf(t *testing.T, data []byte) map[string]*Node {
	var doc Node
	if err := Unmarshal(bytes.TrimPrefix(data, byteOrderMark), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	routes := fieldsOrNone(doc.Content[0])["routes"]
	if routes == nil {
		return nil
	}
	return Fields(routes)
}

func BenchmarkEdit5000(b *testing.B) {
	var file strings.Builder
	file.WriteString("version: 1\nroutes:\n")
	for i := range 5000 {
		fmt.Fprintf(&file, "  # route %d\n  r%d:\n    match: {path: /r%d, host: h.test}\n    to: http://backend.test:9080\n", i, i, i)
	}
	data := []byte(file.String())
	value := record(b, "{match: {path: /new}, to: 'internal://echo'}")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := testEditor.Edit(data, Set("routes", "r2500", value), Set("routes", "new", value), Drop("routes", "r17")); err != nil {
			b.Fatal(err)
		}
	}
}

// An optional section goes with its last record, unless it has something of its own.
func TestOptionalSection(t *testing.T) {
	drop := []Op{Drop("listeners", "a"), Drop("listeners", "b")}
	for _, tt := range []struct{ name, in, want string }{
		{"between others", "version: 1\nlisteners:\n  a: {x: 1}\n\n  b: {x: 2}\nroutes: {}\n", "version: 1\nroutes: {}\n"},
		{"between blank lines", "version: 1\n\nlisteners:\n  a: {x: 1}\n\nroutes: {}\n", "version: 1\n\nroutes: {}\n"},
		{"at the end", "version: 1\n\nlisteners:\n  a: {x: 1}\n", "version: 1\n"},
		{"at the end without a final line break", "version: 1\r\n\r\nlisteners:\r\n  a: {x: 1}", "version: 1"},
		{"after a text that keeps its blank lines", "version: |+\n  1\n\nlisteners:\n  a: {x: 1}\n", "version: |+\n  1\n\n"},
		{"comments of its records go", "version: 1\nlisteners:\n  # of a\n  a: {x: 1} # too\nroutes: {}\n", "version: 1\nroutes: {}\n"},
		{"a comment above stays", "version: 1\n# mine\nlisteners:\n  a: {x: 1}\n", "version: 1\n# mine\nlisteners: {}\n"},
		{"a comment beside stays", "version: 1\nlisteners: # mine\n  a: {x: 1}\n", "version: 1\nlisteners: {} # mine\n"},
		{"a comment within stays", "version: 1\nlisteners:\n  # mine\n\n  a: {x: 1}\n", "version: 1\nlisteners: {}\n  # mine\n"},
		{"an anchor stays", "version: 1\nlisteners: &x\n  a: {x: 1}\n", "version: 1\nlisteners: &x {}\n"},
		{"the first key stays", "listeners:\n  a: {x: 1}\nroutes: {}\n", "listeners: {}\nroutes: {}\n"},
		{"an empty one stays", "version: 1\nlisteners: {}\n", "version: 1\nlisteners: {}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := testEditor.Edit([]byte(tt.in), drop...)
			if err != nil || string(got) != tt.want {
				t.Errorf("error %v, got\n%q\nwant\n%q", err, got, tt.want)
			}
		})
	}
	const before = "version: 1\nroutes: {}\n"
	added := applyEach(t, before, Set("listeners", "a", record(t, "{x: 1}")), Drop("listeners", "a"))
	if added != before {
		t.Errorf("added and dropped: %q, want %q", added, before)
	}
}

// applyEach makes one edit after the other.
func applyEach(t *testing.T, text string, ops ...Op) string {
	t.Helper()
	data := []byte(text)
	for _, op := range ops {
		out, err := testEditor.Edit(data, op)
		if err != nil {
			t.Fatal(err)
		}
		data = out
	}
	return string(data)
}

// Edits at the places where two changes of bytes meet.
func TestEditBorders(t *testing.T) {
	set := func(name, text string) Op { return Set("routes", name, record(t, text)) }
	for _, tt := range []struct {
		name, in string
		ops      []Op
		want     string
	}{
		{"a key for another, without a final line break", "routes:\n  b:\n    match: {path: /b}\n    to: x", []Op{set("b", "{match: {path: /b}, respond: {status: 1}}")},
			"routes:\n  b:\n    match: {path: /b}\n    respond: {status: 1}"},
		{"the same with CRLF", "routes:\r\n  b:\r\n    match: {path: /b}\r\n    to: x", []Op{set("b", "{match: {path: /b}, respond: {status: 1}}")},
			"routes:\r\n  b:\r\n    match: {path: /b}\r\n    respond: {status: 1}"},
		{"a list becomes a mapping, without a final line break", "routes:\n  b:\n    - x\n    - y", []Op{set("b", "{to: x}")}, "routes:\n  b: {to: x}"},
		{"nested, and a new record, without a final line break", "routes:\n  b:\n    match:\n      path: /b\n      host: h\n    to: x", []Op{set("b", "{match: {path: /c}, redirect: y}"), set("c", "{to: x}")},
			"routes:\n  b:\n    match:\n      path: /c\n    redirect: \"y\"\n  c:\n    to: x"},
		{"all records, with blank lines between them", "version: 1\nroutes:\n  a: {to: x}\n\n\n\n\n  b: {to: y}\n\n\n\n\n  c: {to: z}\n", []Op{Drop("routes", "a"), Drop("routes", "b"), Drop("routes", "c")},
			"version: 1\nroutes: {}\n"},
		{"two of three, with blank lines between them", "version: 1\nroutes:\n  a: {to: x}\n\n\n\n\n  b: {to: y}\n\n  c: {to: z}\n", []Op{Drop("routes", "a"), Drop("routes", "b")},
			"version: 1\nroutes:\n  c: {to: z}\n"},
		{"the last record of a section with an anchor", "routes: &x # all\n  a: {to: x}\n", []Op{Drop("routes", "a")}, "routes: &x {} # all\n"},
		{"the last record of a section with a tag", "routes: !!map &x\n  a: {to: x}\n", []Op{Drop("routes", "a")}, "routes: !!map &x {}\n"},
		{"the first record of a section with an anchor", "routes: &x {} # all\n", []Op{set("a", "{to: x}")}, "routes: &x # all\n  a:\n    to: x\n"},
		{"names in quotes", "routes:\n  \"a\": {to: x}\n  'b': {to: x}\n  c: {to: x}\n  \"d\": {to: x}\n",
			[]Op{Rename("routes", "a", "a2"), Rename("routes", "b", "b2"), Rename("routes", "c", "c2"), Rename("routes", "d", `d"2`)},
			"routes:\n  \"a2\": {to: x}\n  'b2': {to: x}\n  c2: {to: x}\n  \"d\\\"2\": {to: x}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := testEditor.Edit([]byte(tt.in), tt.ops...)
			if err != nil || string(got) != tt.want {
				t.Errorf("error %v, got\n%q\nwant\n%q", err, got, tt.want)
			}
		})
	}
}
