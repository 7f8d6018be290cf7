package routefile

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A file as values and back means what it meant, and is laid out as Format would.
func TestDocumentKeepsMeaning(t *testing.T) {
	for path, data := range samples(t) {
		f, _ := Parse("-", data)
		p := f.Document()
		out, err := EncodeDocument(p)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		again, errs := Parse("-", out)
		if len(errs) > 0 {
			t.Errorf("%s: once more: %v\n%s", path, errs, out)
			continue
		}
		for _, s := range sections {
			for name := range again.named(s) {
				if f.Fingerprint(s, name) != again.Fingerprint(s, name) {
					t.Errorf("%s: %s means something else", path, s.record(name))
				}
			}
		}
		if !reflect.DeepEqual(again.Document(), p) {
			t.Errorf("%s: values\n%v\nonce more\n%v", path, p, again.Document())
		}
		if formatted, err := Format(out); err != nil || !bytes.Equal(formatted, out) {
			t.Errorf("%s: %v: Format would change\n%s\nto\n%s", path, err, out, formatted)
		}
	}
}

// named is the section's part of the document in plain values.
func (f *File) named(s Section) Plain {
	p, _ := f.Document()[string(s)].(Plain)
	return p
}

func TestEncodeDocument(t *testing.T) {
	tests := []struct {
		name string
		p    Plain
		want string
	}{
		{"nothing", Plain{}, "version: 1\n"},
		{"no routes, and meant", Plain{"routes": Plain{}}, "version: 1\nroutes: {}\n"},
		{"another version stays, for Parse to refuse", Plain{"version": int64(2)}, "version: 2\n"},
		{"the reference's order", Plain{
			"routes":          Plain{"b": Plain{"to": "internal://echo", "match": Plain{"path": "/b"}}, "a": Plain{"to": "internal://status"}},
			"defaults":        Plain{"timeouts": Plain{"connect": "3s"}},
			"trusted_proxies": []any{"10.0.0.0/8"},
		}, `version: 1
trusted_proxies: [10.0.0.0/8]
defaults:
  timeouts: {connect: 3s}

routes:
  a:
    to: "internal://status"
  b:
    match: {path: /b}
    to: "internal://echo"
`},
		{"sections stand apart", Plain{"listeners": Plain{"web": Plain{"address": ":80"}}, "shutdown": Plain{"delay": "1s"}, "routes": Plain{}},
			"version: 1\n\nlisteners:\n  web:\n    address: \":80\"\n\nshutdown: {delay: 1s}\nroutes: {}\n"},
		{"a text that YAML would take for something else", Plain{"routes": Plain{"a": Plain{"match": Plain{"host": "1.10"}}}},
			"version: 1\n\nroutes:\n  a:\n    match: {host: \"1.10\"}\n"},
		{"an unknown key", Plain{"rotes": Plain{}}, "version: 1\nrotes: {}\n"},
		{"a list instead of records, for Parse to refuse", Plain{"routes": []any{"a"}}, "version: 1\nroutes: [a]\n"},
	}
	for _, tt := range tests {
		got, err := EncodeDocument(tt.p)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got, tt.want)
		}
	}
}

func TestEncodeDocumentRefuses(t *testing.T) {
	if out, err := EncodeDocument(Plain{"routes": Plain{"a": "\xff"}}); err == nil {
		t.Errorf("written: %q, want an error for what is not UTF-8", out)
	}
}

// EncodeChecked says what Parse says of the text, for values of every kind at every key.
func TestEncodeChecked(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	values := []any{"x", "", "10", "10s", "off", "http://a/$1", "${x}", "a\x00", "10.0.0.0/8", true, false, int64(10), int64(-1), "1.5",
		Plain{}, Plain{"x": "y"}, Plain{"regex": "("}, []any{}, []any{"GET"}, []any{"10.0.0.0/8"}, []any{int64(1), Plain{}}}
	sound := 0
	check := func(p Plain) {
		got, errs, err := EncodeChecked(p)
		text, wantErr := EncodeDocument(p)
		if (err == nil) != (wantErr == nil) || string(got) != string(text) {
			t.Fatalf("%v: %v, %s; want %v, %s", p, err, got, wantErr, text)
		}
		if err != nil {
			return
		}
		_, want := Parse("yaml", text)
		if errs.Error() != want.Error() {
			t.Errorf("%s\nmistakes\n%v\nwant\n%v", text, errs, want)
		}
		if len(want) == 0 {
			sound++
		}
	}
	for _, k := range Keys() {
		path := strings.Split(k.Path, ".")
		if k.Example != "" {
			var example any
			if err := yaml.Unmarshal([]byte(k.Example), &example); err != nil {
				t.Fatal(err)
			}
			check(plainAt(path, plainYAML(example)))
		}
		for _, v := range values {
			check(plainAt(path, v))
		}
	}
	if sound < 200 {
		t.Errorf("%d sound documents, want 200 and more", sound)
	}
}

// plainAt is a document with a value at a key.
func plainAt(path []string, v any) Plain {
	for _, name := range slices.Backward(path) {
		switch name {
		case "[]":
			v = []any{v}
		case "*":
			v = Plain{"name": v}
		default:
			v = Plain{name: v}
		}
	}
	return v.(Plain)
}

// plainYAML is a value of yaml.v3 as plain values.
func plainYAML(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			v[name] = plainYAML(one)
		}
	case []any:
		for i, one := range v {
			v[i] = plainYAML(one)
		}
	case int:
		return int64(v)
	}
	return v
}
