package printable

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

var texts = map[string]string{
	"":                            "",
	"routes.yaml: a b":            "routes.yaml: a b",
	"caf\u00e9 \u65e5 \U0001f600": "caf\u00e9 \u65e5 \U0001f600",
	"a\nb\tc":                     "a\nb\tc",
	"\x1b[31mred":                 `\u001b[31mred`,
	"\u009b31m":                   `\u009b31m`,
	"a\rb\x7f\x00":                `a\u000db\u007f\u0000`,
	"\u202ecod.exe\u2066":         `\u202ecod.exe\u2066`,
	"\u200e\u061c\u2028\ufeff":    `\u200e\u061c\u2028\ufeff`,
	"\U000e0041":                  `\udb40\udc41`,
	"a\xffb\xe2\x80":              `a\xffb\xe2\x80`,
}

func TestText(t *testing.T) {
	for in, want := range texts {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
		if got := Bytes([]byte(in)); string(got) != want {
			t.Errorf("Bytes(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Line("a\nb\x1b"); got != `a\u000ab\u001b` {
		t.Errorf("Line: %q", got)
	}
	if got := Line("a\nb"); got != `a\u000ab` {
		t.Errorf("Line: %q", got)
	}
}

// TestJSON holds that a document means what it meant.
func TestJSON(t *testing.T) {
	for in := range texts {
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(Bytes(data), &after) != nil || before != after {
			t.Errorf("%q became %q", before, after)
		}
	}
}

// TestWriter holds that a character may come in two parts.
func TestWriter(t *testing.T) {
	for in, want := range texts {
		var b bytes.Buffer
		w := NewWriter(&b)
		for i := range len(in) {
			if n, err := w.Write([]byte{in[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if want == `a\xffb\xe2\x80` {
			want = `a\xffb` // the rest may still become a character
		}
		if b.String() != want {
			t.Errorf("%q is written as %q, want %q", in, b.String(), want)
		}
	}
	broken := errors.New("broken")
	if _, err := NewWriter(failing{broken}).Write([]byte("a")); err != broken {
		t.Errorf("%v, want the writer's error", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzText(f *testing.F) {
	for in := range texts {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Text(s)
		if again := Text(once); again != once {
			t.Errorf("%q, then %q", once, again)
		}
	})
}
