package routefile

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// samples are files that read without mistakes: the tour and what the printers are tested with.
func samples(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"many": manyRoutes(40)}
	paths, _ := filepath.Glob("testdata/*/*.yaml")
	for _, path := range append(paths, "../../routes.example.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := Parse(path, data); len(errs) == 0 {
			all[path] = data
		}
	}
	return all
}

// What a record says, as plain values and back, is what it said.
func TestPlainKeepsMeaning(t *testing.T) {
	seen := 0
	for path, data := range samples(t) {
		f, _ := Parse("-", data)
		for s, names := range map[Section][]string{InRoutes: sortedNames(f.Routes), InPools: sortedNames(f.Pools), InListeners: sortedNames(f.Listeners)} {
			for _, name := range names {
				seen++
				p := f.Plain(s, name)
				before, after := s.normal(yamledit.Deref(f.recordNode(s, name))), s.normal(s.FromPlain(p))
				if before == nil || after == nil || !yamledit.Same(before, after) {
					t.Errorf("%s: %s changes its meaning: %v", path, s.record(name), p)
				}
				if again := s.plain(s.FromPlain(p)); !reflect.DeepEqual(again, p) {
					t.Errorf("%s: %s: plain values %v, once more %v", path, s.record(name), p, again)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d records seen, want the samples'", seen)
	}
}

func TestPlain(t *testing.T) {
	f, errs := Parse("dir/r.yaml", []byte(`version: 1
defaults: {timeouts: &t {idle: 60s, lifetime: off}}
routes:
  a:
    match: {path: /a, priority: 16, headers: {X-A: 1.10, X-B: {present: true}}, methods: GET, client: 10.0.0.1}
    to: wss://x.example
    keepalive: off
    rewrite_response: false
    upgrade: any
    timeouts: {<<: *t, connect: 3s}
    limits: {tunnels: 10, message_size: 64KiB}
    backend_tls: {ca: ./ca.pem}
    headers: {request: {set: {X-On: yes}, add: {Vary: [a, {file: x}], V: c, W: {file: y}}, default: {D: {file: z}}}}
`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	want := Plain{
		"match": Plain{
			"path": "/a", "priority": int64(16), "methods": []any{"GET"}, "client": []any{"10.0.0.1"},
			"headers": Plain{"X-A": Plain{"value": "1.10"}, "X-B": Plain{"present": true}},
		},
		"to": "wss://x.example", "keepalive": Plain{"ping": "off"}, "upgrade": []any{"any"},
		"rewrite_response": Plain{"location": false, "cookie_path": Plain{}, "cookie_domain": Plain{}},
		"timeouts":         Plain{"idle": "60s", "lifetime": "off", "connect": "3s"},
		"limits":           Plain{"tunnels": "10", "message_size": "64KiB"},
		"backend_tls":      Plain{"ca": "./ca.pem"},
		"headers": Plain{"request": Plain{"set": Plain{"X-On": "yes"}, "add": Plain{"Vary": []any{"a", Plain{"file": "x"}}, "V": []any{"c"}, "W": []any{Plain{"file": "y"}}},
			"default": Plain{"D": Plain{"file": "z"}}}},
	}
	if got := f.Plain(InRoutes, "a"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	if f.Plain(InRoutes, "b") != nil || f.Fingerprint(InRoutes, "b") != "" || f.Plain(InPools, "a") != nil {
		t.Error("a record that is not there has values")
	}
}

// Fingerprints tell meanings apart, and nothing else.
func TestFingerprint(t *testing.T) {
	same := []Plain{
		{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "60s"}},
		{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "1m"}},
		{"match": Plain{"path": "/a", "client": nil}, "to": "ws://x.example", "timeouts": Plain{"idle": "1m0s"}},
	}
	delete(same[2]["match"].(Plain), "client")
	other := []Plain{
		{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "61s"}},
		{"match": Plain{"path": "/a"}, "to": "ws://x.example"},
		{"match": Plain{"path": "/a"}, "to": "nonsense"},
		{"match": Plain{"path": "/a"}, "to": "other nonsense"},
	}
	seen := map[string]Plain{}
	for i, p := range append(same, other...) {
		print := InRoutes.Fingerprint(p)
		if first, ok := seen[print]; ok != (i > 0 && i < len(same)) {
			t.Errorf("%v has the fingerprint of %v: %t", p, first, ok)
		}
		seen[print] = p
	}
}

// Fingerprints are kept in Terraform states and compared between releases, so what a
// record means must keep its fingerprint.
func TestFingerprintIsStable(t *testing.T) {
	f, errs := Parse("-", []byte(`version: 1
listeners:
  w: {address: "unix:./a.sock", tls: {certificates: [{certificate: ./a, key: b}], client_ca: ../c}, http2: false, limits: {}}
pools:
  p:
    backends: {b: {url: "ws://B", drain: false, tier: 0, weight: 1}, a: {url: "ws://a"}}
    sticky: {cookie: a}
    health: {http: {headers: {}, statuses: "200"}, passive: {at_most: 10%, fails: off}}
    queue: {}
    rebalance: {}
  q: {resolve: {dns: "h:1"}}
routes:
  a: {match: {priority: 0, headers: {b: 1, a: {present: true}}, client: [10.0.0.1, "::1/128"]}, respond: {headers: {}, body: ""}, keepalive: off, rewrite_response: false, upgrade: websocket, origins: "https://A.b"}
  b: {to: "pool://p", headers: {request: {set: {}, add: {A: [x], b: [y, z]}, remove: []}}, rewrite_response: {cookie_path: {}}, upgrade: [mqtt], limits: {handshakes_per_second: 0.50, tunnels: 0, body_bytes: 1048576}, retry: {budget: 5%}}
  c: {redirect: {to: /}, match: {headers: {}}, timeouts: {idle: 0, connect: 90s}}
`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{
		"routes.a":    "36a0dc1453427c29da987907eefbc3e8e6e3f7e3d499a4132dbedf160a3e29d1",
		"routes.b":    "1fe81b184adf970c0bbdbfc9fb7e31c20f81ebc3f46b85856c8553fd71a60f61",
		"routes.c":    "ee282ef6e19bdf15b4e57cef031a6db2fc952f20f7f12f972336afdba58b22a7",
		"pools.p":     "a40671171e09e39a2c77bb4d6ad495071b52985b46cf41478edcd28648cb551d",
		"pools.q":     "50b0b222249eb58e491d5fa8a5434e75a234f76ec8881ec69b885ddeb796895f",
		"listeners.w": "f774a814fa2fcaa3b2f0641ff36a9079595473eadb3e37c1ddec3d36580a2be6",
	} {
		section, record, _ := strings.Cut(name, ".")
		if got := f.Fingerprint(Section(section), record); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestInWordsOf(t *testing.T) {
	old := Plain{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "60s", "connect": "3s"}}
	now := Plain{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "1m", "connect": "4s"}}
	want := Plain{"match": Plain{"path": "/a"}, "to": "ws://x.example", "timeouts": Plain{"idle": "60s", "connect": "4s"}}
	if got := InRoutes.InWordsOf(old, now); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// No text that a writer gives can become anything but that text in its place.
func FuzzFromPlain(f *testing.F) {
	for _, seed := range []string{"off", "yes", "1.10", "a: b", "x\nroutes: {}", "{", "*a", "&a", "<<", "~", "\"", "#c", "- a", "!!int 3", "0x10", "é\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := Plain{"respond": Plain{"body": text}, "limits": Plain{"tunnels": text, "message_size": text}, "upgrade": []any{text}}
		printed, err := InRoutes.Print("r", InRoutes.FromPlain(p))
		if err != nil {
			return // not UTF-8
		}
		data := append([]byte("version: 1\nroutes:\n"), append([]byte("  "), bytes.ReplaceAll(printed, []byte("\n"), []byte("\n  "))...)...)
		file, _ := Parse("-", data)
		if got := file.Plain(InRoutes, "r"); !reflect.DeepEqual(got, p) {
			t.Errorf("%q became %v in\n%s", text, got, data)
		}
	})
}
