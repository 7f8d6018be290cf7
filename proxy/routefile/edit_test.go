package routefile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// record reads a record for Set.
func record(t testing.TB, text string) node {
	t.Helper()
	n, err := yamledit.ParseRecord([]byte(text))
	if err != nil {
		t.Fatalf("ParseRecord(%q): %v", text, err)
	}
	return n
}

// readOps reads lines such as `set routes chat {to: ...}`.
func readOps(t *testing.T, text []byte) []Op {
	t.Helper()
	var ops []Op
	for line := range strings.Lines(string(text)) {
		word := strings.SplitN(strings.TrimSpace(line), " ", 4)
		sec, name := Section(word[1]), strings.Trim(word[2], `"`)
		switch word[0] {
		case "set":
			ops = append(ops, sec.Set(name, record(t, word[3])))
		case "drop":
			ops = append(ops, sec.Drop(name))
		case "rename":
			ops = append(ops, sec.Rename(name, word[3]))
		default:
			t.Fatalf("unknown operation %q", line)
		}
	}
	return ops
}

// TestEditGolden runs what package yamledit is tested with on the real table of
// keys, and the edits that need to know what a routes file means.
func TestEditGolden(t *testing.T) {
	ours, _ := filepath.Glob("testdata/edit/*.txtar")
	theirs, _ := filepath.Glob("yamledit/testdata/edit/*.txtar")
	if len(ours) < 3 || len(theirs) < 8 {
		t.Fatalf("found %d and %d golden files", len(ours), len(theirs))
	}
	for _, path := range append(ours, theirs...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string][]byte{}
			for _, f := range a.Files {
				part[f.Name] = f.Data
			}
			got, err := Editor{}.Edit(part["in.yaml"], readOps(t, part["ops"])...)
			if err != nil || !bytes.Equal(got, part["out.yaml"]) {
				t.Fatalf("%v; got:\n%s\nwant:\n%s", err, got, part["out.yaml"])
			}
			if bytes.Contains(part["ops"], []byte("rename ")) {
				return
			}
			if again, err := (Editor{}).Edit(got, readOps(t, part["ops"])...); err != nil || !bytes.Equal(again, got) {
				t.Errorf("the same operations once more changed the file (%v):\n%s", err, again)
			}
		})
	}
}

// What an edit adds is laid out as Format would.
func TestFormatAgreesWithEdit(t *testing.T) {
	in := []byte("version: 1\n\npools: {}\n\nroutes: {}\n")
	out, err := Editor{}.Edit(in, InRoutes.Set("a", InRoutes.encode(fullRoute())), InRoutes.Set("b", record(t, "{to: 'internal://echo'}")),
		InPools.Set("p", record(t, "{backends: {a: {url: 'ws://a.test', drain: true, tls: {ca: ca.pem}}}}")))
	if err != nil {
		t.Fatal(err)
	}
	formatted, err := Format(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(formatted, out) {
		t.Errorf("Edit wrote:\n%s\nFormat makes of it:\n%s", out, formatted)
	}
}

// TestFormatGolden orders the keys of files by the table: go test -run FormatGolden -update.
func TestFormatGolden(t *testing.T) {
	ours, _ := filepath.Glob("testdata/format/*.in.yaml")
	theirs, _ := filepath.Glob("yamledit/testdata/format/*.in.yaml")
	if len(ours) < 3 || len(theirs) < 4 {
		t.Fatalf("found %d and %d golden files", len(ours), len(theirs))
	}
	for _, path := range append(ours, theirs...) {
		in, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format(in)
		if err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(path, ".in.yaml") + ".golden.yaml"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got:\n%s\nwant:\n%s", path, got, want)
		}
		if again, err := Format(got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: formatting twice (%v) gives\n%s", path, err, again)
		}
	}
}

// A refused edit names the file, the record and the ways out of a routes file.
func TestEditRefuses(t *testing.T) {
	tests := []struct {
		in   string
		op   Op
		want string
	}{
		{"version: 1\nroutes: {a: {to: x}}\n", InRoutes.Drop("a"), "f.yaml:2:9: the section routes is written in braces: write each record on a line of its own, or run tunnelform fmt"},
		{"routes: {}\n", Section("defaults").Drop("x"), `f.yaml: default "x": unknown section "defaults": wanted listeners, pools or routes`},
		{"pools:\n  p: {}\n", InPools.Rename("q", "r"), `f.yaml: pool "q": not in the file, so it cannot be renamed to "r"`},
	}
	for _, tt := range tests {
		if out, err := (Editor{Path: "f.yaml"}).Edit([]byte(tt.in), tt.op); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %q, %v, want %s", tt.in, out, err, tt.want)
		}
	}
}
