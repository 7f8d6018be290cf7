package routefile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// FuzzParse feeds any bytes to Parse and what it made of them to everything
// else: nothing panics, mistakes have places inside the file, and are the same each time.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, errs := Parse("r.yaml", data)
		checkPlaces(t, data, errs)
		all := Check(file)
		checkPlaces(t, data, all)
		if !slices.IsSortedFunc(all, compareErrors) {
			t.Errorf("not sorted:\n%v", all)
		}
		for range 2 {
			again, _ := Parse("r.yaml", data)
			if got := Check(again); !reflect.DeepEqual(got, all) {
				t.Errorf("another time other mistakes:\n%v\nthen\n%v", all, got)
			}
		}
		if len(all) == 0 && (len(errs) > 0 || file.tree == nil) {
			t.Error("Check forgot what Parse found")
		}
		set := NewSet(file)
		Inputs(set)
		for _, r := range set.Routes {
			r.Rule()
		}
		if len(errs) == 0 {
			checkSchema(t, data)
		}
		if err := all.Print(&bytes.Buffer{}, map[string][]byte{"r.yaml": data}); err != nil {
			t.Error(err)
		}
	})
}

// fuzzSchema is parsed once: it is compared with every file that is read.
var fuzzSchema = sync.OnceValue(func() (s map[string]any) {
	if err := json.Unmarshal(Schema(), &s); err != nil {
		panic(err)
	}
	return s
})

// checkSchema holds that the schema accepts what Parse accepted.
func checkSchema(t *testing.T, data []byte) {
	var v, back any
	if err := yamledit.Unmarshal(bytes.TrimPrefix(data, []byte(bom)), &v); err != nil {
		return // yaml.v3's own limit on aliases
	}
	text, err := json.Marshal(v)
	if err != nil {
		return // keys that are no texts in yaml.v3's eyes, infinities
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if s := fuzzSchema(); !fits(s, s, back) {
		t.Errorf("the schema refuses %s", text)
	}
}

func checkPlaces(t *testing.T, data []byte, errs Errors) {
	lines := bytes.Split(bytes.TrimPrefix(data, []byte(bom)), []byte("\n"))
	for _, e := range errs {
		if e.Pos.Line == 0 && len(errs) > maxMistakes {
			continue // the note that there are more
		}
		if e.Pos.Line < 1 || e.Pos.Line > len(lines) || e.Pos.Col < 1 || e.Pos.Col > len(lines[e.Pos.Line-1])+1 {
			t.Errorf("%v: there is no such place", e)
		}
		if e.Text == "" || bytes.ContainsAny([]byte(e.Error()), "\n\x00") {
			t.Errorf("%q is not one line of text", e.Error())
		}
	}
}

func addSeeds(f *testing.F) {
	paths, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, examplePath) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		for _, text := range archiveFiles(string(data)) {
			f.Add(text)
		}
	}
	for _, s := range []string{
		"", "\x00", "\xff", bom, "\r", "version: 1\r\nroutes: {}\r\n", "version: 1\nroutes: &a [*a]\n", "a: \u2028",
		"version: 1\nroutes: &r {<<: [*r, *r], a: {to: 'internal://echo'}}\n", "? ? ? a", "- - - -", "!!map {}", "*a", "&a", "[[[[", "{{{{",
	} {
		f.Add([]byte(s))
	}
}

// FuzzTarget holds what a target may contain to what it is made of.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"ws://h", "wss://h:1/p?q", "unix+ws:///run/a.sock:/p", "pool://p/x", "internal://echo", "ws://[::1]:80/$1",
		"ws://u@h", "ws://$1", "ws://h:{a}/", "http://h/%41", "http://h/%", "http://h/\r\n", "unix+http:///a:/b:/c?d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := parseTarget(s)
		if err != nil {
			return
		}
		if bytes.ContainsAny([]byte(target.Host), "${}@?# \r\n\x00") || target.Host == "" {
			t.Errorf("%q: host %q", s, target.Host)
		}
		if bytes.ContainsAny([]byte(target.Path+target.Query), " \r\n\x00#") || target.Path != "" && target.Path[0] != '/' {
			t.Errorf("%q: path %q, query %q", s, target.Path, target.Query)
		}
		again, err := parseTarget(printTarget(target))
		if again.Raw, target.Raw = "", ""; err != nil || again != target {
			t.Errorf("%q reads as %+v, its print as %+v, %v", s, target, again, err)
		}
	})
}

// printTarget puts a target's parts together again.
func printTarget(t Target) string {
	s := t.Scheme + "://" + t.Host
	if t.Path != "" && (t.Scheme == "unix+ws" || t.Scheme == "unix+http") {
		s += ":"
	}
	s += t.Path
	if t.Query != "" {
		s += "?" + t.Query
	}
	return s
}
