package routefile

import "testing"

func TestNotes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"mixed", `
pools: {p: {backends: {a: {url: "ws://a.test"}, b: {url: "wss://b.test"}}}}
routes:
  one: {match: {path: /1}, to: "pool://p"}
  two: {match: {path: /2}, to: "pool://p"}
`, `r.yaml:2:23: pool "p": note: backend "b" has TLS and gets its own Host, backend "a" has none and gets the client's: to choose, write preserve_host in route "one"`},
		{"written in the route", `
pools: {p: {backends: {a: {url: "ws://a.test"}, b: {url: "wss://b.test"}}}}
routes: {one: {match: {path: /1}, to: "pool://p", preserve_host: false}}
`, ""},
		{"written in the defaults", `
defaults: {preserve_host: true}
pools: {p: {backends: {a: {url: "unix+ws:///a"}, b: {url: "https://b.test"}}}}
routes: {one: {match: {path: /1}, to: "pool://p"}}
`, ""},
		{"of one kind", `
pools: {p: {backends: {a: {url: "ws://a.test"}, b: {url: "unix+http:///b"}}}}
routes: {one: {match: {path: /1}, to: "pool://p"}}
`, ""},
		{"without a route", `
pools: {p: {backends: {a: {url: "ws://a.test"}, b: {url: "wss://b.test"}}}}
routes: {one: {match: {path: /1}, to: "ws://a.test"}}
`, ""},
	} {
		f, errs := Parse("r.yaml", []byte("version: 1"+tt.text))
		if errs = append(errs, Check(f)...); len(errs) > 0 {
			t.Fatalf("%s: %v", tt.name, errs)
		}
		if got := Notes(f).Error(); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}
