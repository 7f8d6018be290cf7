package forward

import "testing"

func TestParseElement(t *testing.T) {
	for text, want := range map[string]Element{
		`for=192.0.2.1; Proto=https;host="a:\"1"`: {For: "192.0.2.1", Proto: "https", Host: `a:"1`},
		`FOR="[::1]:80" ;; secret=x`:              {For: "[::1]:80"},
		``:                                        {},
	} {
		if got, ok := ParseElement(text); got != want || !ok {
			t.Errorf("ParseElement(%q) = %+v, %v, want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{"for", "for=", "for=a;For=b", "=a", "f r=a", `for="a`, `for="a"b`, "\u212aey=a"} {
		if got, ok := ParseElement(text); ok {
			t.Errorf("ParseElement(%q) = %+v, want it refused", text, got)
		}
	}
}
