package yamledit

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The editor against an obvious oracle: random files as people write them,
// random operations, and a map from names to values to which the same is done.

// writer writes random files.
type writer struct {
	*rand.Rand
	step    int
	records map[string]map[string]string // the bytes of each record, from its key on
}

func (w *writer) pick(of ...string) string { return of[w.IntN(len(of))] }

// maybe is text in one of three cases.
func (w *writer) maybe(text string) string { return w.pick("", "", text) }

// between is what may stand between two keys.
func (w *writer) between(indent string) string {
	return w.pick("", "", "\n", "\n\n", indent+"# above\n", "\n"+indent+"# above\n", indent+"# below\n\n", "\n"+indent+"# apart\n\n", indent+"  # deep\n")
}

func (w *writer) scalar() string {
	return w.pick("plain", `"quo # ted"`, "'it''s'", "10s", "true", "http://a.test:80/b", "off", "5", "日本", "-1", "~")
}

// value is a value in braces.
func (w *writer) flow(depth int) string {
	if depth == 0 || w.IntN(3) == 0 {
		return w.scalar()
	}
	if w.IntN(3) == 0 {
		return "[" + w.flow(depth-1) + w.pick(",", ", ") + w.flow(depth-1) + "]"
	}
	space := w.pick("", " ")
	return "{" + space + "k1: " + w.flow(depth-1) + ", k2:  " + w.flow(depth-1) + space + "}"
}

// field is one key of a record, as lines.
func (w *writer) field(name, indent string) string {
	inner := indent + strings.Repeat(" ", w.step)
	text := indent + name + w.pick(": ", ":   ")
	note := w.maybe("  # " + name + "'s")
	switch w.IntN(6) {
	case 0:
		return text + w.pick("|", "|-", ">", ">-") + "\n" + inner + "text # none\n\n" + inner + "  more\n"
	case 1:
		return strings.TrimRight(text, " ") + note + "\n" + inner + "k1: " + w.scalar() + "\n" + w.maybe(inner+"# inside\n") + inner + "k2: " + w.flow(1) + "\n"
	case 2:
		return strings.TrimRight(text, " ") + note + "\n" + indent + "- " + w.scalar() + "\n" + indent + "- " + w.flow(1) + "\n"
	case 3:
		return text + "\"a\n" + inner + "b\"" + note + "\n"
	}
	return text + w.flow(2) + note + "\n"
}

func (w *writer) record(name, indent string) string {
	if w.IntN(2) == 0 {
		return indent + name + ": {a: " + w.flow(2) + ", b: " + w.flow(1) + "}" + w.maybe(" # record") + "\n"
	}
	inner := indent + strings.Repeat(" ", w.step)
	text := indent + name + ":" + w.maybe(" # record") + "\n"
	for _, f := range []string{"a", "b", "c"}[:1+w.IntN(3)] {
		text += w.maybe(inner+"# about "+f+"\n") + w.field(f, inner)
	}
	return text
}

func (w *writer) section(sec string) string {
	n := w.IntN(5)
	if n == 0 {
		return sec + ":" + w.pick(" {}", "", " ~", " { }") + w.maybe(" # empty") + "\n"
	}
	indent := strings.Repeat(" ", w.step)
	text := sec + ":" + w.maybe(" # records") + "\n"
	for i := range n {
		name := fmt.Sprintf("r%d", i)
		record := w.record(name, indent)
		w.records[sec][name] = record
		text += w.between(indent) + record
	}
	return text + w.between(indent)
}

func (w *writer) file() string {
	w.step = 2 + w.IntN(3)
	w.records = map[string]map[string]string{}
	parts := []string{w.maybe("# head\n\n") + "version: 1\n", "defaults: {a: 1}\n"}
	for _, sec := range testSchema.Sections {
		w.records[sec] = map[string]string{}
		if w.IntN(4) > 0 {
			parts = append(parts, w.section(sec))
		}
	}
	w.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	text := ""
	for _, p := range parts {
		text += p + w.pick("", "\n", "# between sections\n", "\n# head of the next\n")
	}
	return text
}

// oracle is what should stand in the sections.
type oracle map[string]map[string]any

func readOracle(t *testing.T, data []byte) (oracle, map[string]any) {
	t.Helper()
	var all map[string]any
	if err := Unmarshal(data, &all); err != nil {
		t.Fatalf("%v:\n%s", err, data)
	}
	o := oracle{}
	for _, sec := range testSchema.Sections {
		o[sec], _ = all[sec].(map[string]any)
		if o[sec] == nil {
			o[sec] = map[string]any{}
		}
		delete(all, sec)
	}
	return o, all
}

// operate makes a random operation and does the same to the oracle.
func (w *writer) operate(t *testing.T, o oracle) Op {
	sec := testSchema.Sections[w.IntN(len(testSchema.Sections))]
	name := fmt.Sprintf("r%d", w.IntN(7))
	delete(w.records[sec], name)
	_, there := o[sec][name]
	switch kind := w.IntN(5); {
	case kind == 0:
		delete(o[sec], name)
		return Drop(sec, name)
	case kind == 1 && there && o[sec]["new"] == nil:
		o[sec]["new"] = o[sec][name]
		delete(o[sec], name)
		return Rename(sec, name, "new")
	}
	text := fmt.Sprintf("{a: %s, b: %s}", w.flow(2), w.flow(1))
	if w.IntN(2) == 0 {
		text = fmt.Sprintf("{c: {k1: %s}, a: %s}", w.scalar(), w.flow(2))
	}
	var want any
	n := record(t, text)
	if err := n.Decode(&want); err != nil {
		t.Fatal(err)
	}
	o[sec][name] = want
	return Set(sec, name, n)
}

func TestEditAgainstOracle(t *testing.T) {
	for seed := range uint64(400) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 0))}
		in := w.file()
		eol := w.pick("\n", "\n", "\r\n")
		data := []byte(strings.ReplaceAll(in, "\n", eol))
		want, rest := readOracle(t, data)
		var ops []Op
		for range 1 + w.IntN(4) {
			ops = append(ops, w.operate(t, want))
		}
		out, err := testEditor.Edit(data, ops...)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, in)
		}
		got, left := readOracle(t, out)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(left, rest) {
			t.Fatalf("seed %d: got %v\nwant %v\nin:\n%s\nout:\n%s", seed, got, want, in, out)
		}
		w.checkUntouched(t, seed, in, strings.ReplaceAll(string(out), eol, "\n"))
		if again, err := testEditor.Edit(out, slices.DeleteFunc(ops, func(op Op) bool { return op.kind != opSet || got[op.section][op.name] == nil })...); err != nil {
			t.Fatalf("seed %d: again: %v", seed, err)
		} else if formatted, err := testSchema.Format(again); err != nil {
			t.Fatalf("seed %d: format: %v\n%s", seed, err, again)
		} else {
			checkFormatted(t, again, formatted)
		}
	}
}

// checkUntouched checks that the records which no operation named stand there
// byte for byte, as do the comments that are set apart.
func (w *writer) checkUntouched(t *testing.T, seed uint64, in, out string) {
	for _, sec := range testSchema.Sections {
		for name, text := range w.records[sec] {
			if !strings.Contains(out, text) {
				t.Fatalf("seed %d: %s %s changed\nin:\n%s\nout:\n%s", seed, sec, name, in, out)
			}
		}
	}
	for _, lone := range []string{"# apart", "# head", "# empty", "# records", "# between sections"} {
		if strings.Count(out, lone) != strings.Count(in, lone) {
			t.Fatalf("seed %d: comments %q were lost\nin:\n%s\nout:\n%s", seed, lone, in, out)
		}
	}
}
