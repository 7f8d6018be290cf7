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
		{"encoded slashes beside a guarded route", `
routes:
  api:   {match: {path_prefix: /api}, to: "http://a.test", encoded_slash: keep}
  admin: {match: {host: "*.a.test", path_prefix: /admin, client: [10.0.0.0/8]}, to: "http://a.test"}
  ops:   {match: {path_prefix: /ops, client: [10.0.0.0/8]}, to: "http://a.test"}
`, `r.yaml:3:75: route "api": note: encoded_slash: keep beside route "admin", which has auth or match.client: if the backend decodes %2F, ..%2F leads from this route's paths to that route's`},
		{"encoded slashes by default, both guarded", `
defaults: {encoded_slash: keep}
routes:
  api:   {match: {host: x.a.test, path_prefix: /api, client: [10.0.0.0/8]}, to: "http://a.test"}
  admin: {match: {host: "*.a.test", path_prefix: /admin, client: [10.0.0.0/8]}, to: "http://a.test"}
`, `r.yaml:4:10: route "api": note: encoded_slash: keep beside route "admin", which has auth or match.client: if the backend decodes %2F, ..%2F leads from this route's paths to that route's
r.yaml:5:10: route "admin": note: encoded_slash: keep beside route "api", which has auth or match.client: if the backend decodes %2F, ..%2F leads from this route's paths to that route's`},
		{"encoded slashes elsewhere", `
listeners: {web: {address: ":8080"}, ops: {address: ":8081"}}
routes:
  api:   {match: {host: a.test, path_prefix: /api, listener: web}, to: "http://a.test", encoded_slash: keep}
  host:  {match: {host: "*.a.test", client: [10.0.0.0/8]}, to: "http://a.test"}
  other: {match: {listener: ops, client: [10.0.0.0/8]}, to: "http://a.test"}
`, ""},
		{"encoded slashes that reach no backend", `
routes:
  api:   {match: {path_prefix: /api}, redirect: {to: "https://a.test"}, encoded_slash: keep}
  admin: {match: {client: [10.0.0.0/8]}, to: "http://a.test"}
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
