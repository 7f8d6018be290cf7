package routefile

import "testing"

// A clash names both, so that the author of either can find it.
func TestCheckNamesTheOther(t *testing.T) {
	f, errs := Parse("r.yaml", []byte(`version: 1
routes:
  b: {match: {path: /x}, respond: {status: 204}}
  a: {match: {path: /x}, respond: {status: 204}}
  wide: {match: {path_prefix: /w, priority: 1}, respond: {status: 204}}
  hidden: {match: {path: /w/x}, respond: {status: 204}}
  alone: {match: {path: /y, listener: wbe}, respond: {status: 204}}
`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got := map[string]string{}
	for _, e := range Check(f) {
		got[e.Record] = e.Other
	}
	want := map[string]string{`route "b"`: `route "a"`, `route "hidden"`: `route "wide"`, `route "alone"`: ""}
	for record, other := range want {
		if at, found := got[record]; !found || at != other {
			t.Errorf("%s clashes with %q (reported: %t), want %q", record, at, found, other)
		}
	}
}
