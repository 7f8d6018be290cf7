package yamledit

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestJSONSlash: \/ is an escape in double quotes, and two characters anywhere else.
func TestJSONSlash(t *testing.T) {
	for text, want := range map[string]string{
		`"a\/b"`:                "a/b",
		`"\/\/"`:                "//",
		`"\\/"`:                 `\/`,
		`"\\\/"`:                `\/`,
		`"\\\\/"`:               `\\/`,
		`"\"\/\""`:              `"/"`,
		"\"a\\/\n  b\\/\"":      "a/ b/",
		`'a\/b'`:                `a\/b`,
		`^\/a\\/b$`:             `^\/a\\/b$`,
		"|-\n  a\\/b":           `a\/b`,
		`"` + "\U0001f600\\/\"": "\U0001f600/",
	} {
		text = "k: " + text
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytewise": iotest.OneByteReader(strings.NewReader(text))} {
			doc, _, err := Decode(r)
			if err != nil {
				t.Errorf("%s, %s: %v", text, name, err)
			} else if got := doc.Content[0].Content[1].Value; got != want {
				t.Errorf("%s, %s: %q, want %q", text, name, got, want)
			}
		}
	}
	if _, _, err := Decode(strings.NewReader("k: \"a\\")); err == nil {
		t.Error("a document that ends in an escape is read")
	}
}

// TestJSONSlashKeepsPositions: what comes behind a slash is where the file has it.
func TestJSONSlashKeepsPositions(t *testing.T) {
	doc, _, err := Decode(strings.NewReader(`{"a\/b":"c\/d","e":{"f":"\/"}}`))
	if err != nil {
		t.Fatal(err)
	}
	root := doc.Content[0]
	for i, want := range []int{2, 9, 16, 20} {
		if n := root.Content[i]; n.Line != 1 || n.Column != want {
			t.Errorf("value %q at %d:%d, want 1:%d", n.Value, n.Line, n.Column, want)
		}
	}
}

// TestEditJSON: an edit of a file whose records another program wrote as JSON changes the bytes of
// the record that it names, and no other.
func TestEditJSON(t *testing.T) {
	in := []byte("version: 1\nroutes:\n" + `  "a": {"match":{"path_prefix":"\/"},"to":"ws:\/\/h:1"}` + "\n" + `  "b\/c": {"to":"ws:\/\/h:2"}` + "\n")
	for _, tt := range []struct {
		name, want string
		op         Op
	}{
		{"the same", string(in), Set("routes", "a", record(t, `{match: {path_prefix: /}, to: "ws://h:1"}`))},
		{"one key", strings.Replace(string(in), `"ws:\/\/h:1"`, `"ws://h:3"`, 1), Set("routes", "a", record(t, `{match: {path_prefix: /}, to: "ws://h:3"}`))},
		{"a name with a slash", strings.Replace(string(in), `"ws:\/\/h:2"`, `"ws://h:3"`, 1), Set("routes", "b/c", record(t, `{to: "ws://h:3"}`))},
	} {
		got, err := Editor{Schema: testSchema}.Edit(in, tt.op)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got, tt.want)
		}
	}
	got, err := testSchema.Format(in)
	if err != nil || !bytes.Contains(got, []byte(`"ws:\/\/h:1"`)) {
		t.Errorf("Format: %v\n%s\nwant the texts as they were", err, got)
	}
	checkFormatted(t, in, got)
}

// TestNoncharacter: what stands for a backslash while a document is read is refused in one.
func TestNoncharacter(t *testing.T) {
	if _, err := testSchema.Format([]byte("a: \"" + slashMark + "\"\n")); err == nil || !strings.Contains(err.Error(), "noncharacter") {
		t.Errorf("%v, want an error about the noncharacter", err)
	}
}
