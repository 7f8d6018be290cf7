package yamledit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFormatGolden(t *testing.T) {
	paths, _ := filepath.Glob("testdata/format/*.in.yaml")
	if len(paths) < 4 {
		t.Fatalf("found %d golden files", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := testSchema.Format(in)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".in.yaml") + ".golden.yaml"
			if *updateLayout {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			checkFormatted(t, in, got)
		})
	}
}

// checkFormatted checks what must hold of every formatted file.
func checkFormatted(t *testing.T, in, out []byte) {
	t.Helper()
	again, err := testSchema.Format(out)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("not stable (%v):\n   in %q\n  out %q\nagain %q", err, in, out, again)
	}
	if bytes.Contains(out, []byte("\r")) || len(out) > 0 && !bytes.HasSuffix(out, []byte("\n")) {
		t.Fatalf("not ended by a line feed: %q", out)
	}
	before, err := testSchema.newLayout(in)
	if err != nil {
		t.Fatal(err)
	}
	after, err := testSchema.newLayout(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(before.comments) != len(after.comments) {
		t.Fatalf("%d comments became %d:\n in %q\nout %q", len(before.comments), len(after.comments), in, out)
	}
	if before.root != nil && !Same(before.root, after.root) {
		t.Fatalf("means something else:\n in %q\nout %q", in, out)
	}
}

func TestFormatUgly(t *testing.T) {
	for _, file := range ugly {
		for _, in := range variants(file) {
			out, err := testSchema.Format([]byte(in))
			if err != nil {
				t.Errorf("%q: %v", in, err)
				continue
			}
			checkFormatted(t, []byte(in), out)
		}
	}
}

// What an edit adds is laid out as Format would.
func TestFormatAgreesWithEdit(t *testing.T) {
	in := []byte("version: 1\n\npools: {}\n\nroutes: {}\n")
	out, err := testEditor.Edit(in, Set("routes", "a", record(t, fullRecord)), Set("routes", "b", record(t, "{to: 'internal://echo'}")),
		Set("pools", "p", record(t, "{backends: {a: {url: 'ws://a.test', drain: true, tls: {ca: ca.pem}}}}")))
	if err != nil {
		t.Fatal(err)
	}
	formatted, err := testSchema.Format(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(formatted, out) {
		t.Errorf("Edit wrote:\n%s\nFormat makes of it:\n%s", out, formatted)
	}
}

func TestFormatRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"directive", "%YAML 1.1\n---\nversion: 1\n", ":1:1: a %YAML or %TAG directive: remove it"},
		{"documents", "a: 1\n---\nb: 1\n", ":2:1: a second document begins here: wanted one document in a file"},
		{"list", "- a\n", ":1:1: the file is not a mapping: wanted keys, each followed by a colon"},
		{"complex key", "? {a: 1}\n: 2\n", ":1:3: this key is not a plain text: write it out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := testSchema.Format([]byte(tt.in))
			if !errors.As(err, new(*LayoutError)) || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func FuzzFormat(f *testing.F) {
	for _, file := range ugly {
		for _, v := range variants(file) {
			f.Add([]byte(v))
		}
	}
	paths, _ := filepath.Glob("testdata/format/*.yaml")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	// Block scalars of blanks alone, which once were not stable.
	f.Add([]byte("0:\n  0: 0\nk: >+1\n "))
	f.Add([]byte("0:\n      body: 0\n      text: >+1\n         "))
	// A tag and an anchor of nothing: the anchor was lost.
	f.Add([]byte("000: ! &0"))
	f.Add([]byte("a: &0 !\nb: *0"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := testSchema.Format(in)
		if err != nil {
			return
		}
		checkFormatted(t, in, out)
	})
}
