package routefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// mustParse parses text as a file without mistakes.
func mustParse(t testing.TB, path, text string) *File {
	t.Helper()
	f, errs := Parse(path, []byte(text))
	if err := errs.Err(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return f
}

const examplePath = "../../routes.example.yaml"

func TestExampleFile(t *testing.T) {
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	f := mustParse(t, "routes.example.yaml", string(data))
	if errs := Check(f); len(errs) > 0 {
		t.Fatal(errs)
	}
	if errs := CheckFiles(f); len(errs) > 0 {
		t.Fatal(errs)
	}
	s := NewSet(f)
	if got := strings.Join(s.RouteNames(), " "); got != "app-socket echo hidden live live-page old-echo rooms status teapot to-https welcome" {
		t.Errorf("routes: %s", got)
	}
	if inputs := Inputs(s); len(inputs) != 0 {
		t.Errorf("the tour needs other files: %q", inputs)
	}
	for name, r := range s.Routes {
		if to := r.Route.To; to != nil && to.Scheme != "internal" && !strings.Contains(to.Host, "127.0.0.1") && to.Scheme != "pool" {
			t.Errorf("route %q needs another machine: %s", name, to.Raw)
		}
	}
}

// TestBytesAround holds that a byte order mark and CRLF change nothing but themselves.
func TestBytesAround(t *testing.T) {
	plain, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	want := mustParse(t, "r.yaml", string(plain))
	for name, text := range map[string]string{
		"bom":  bom + string(plain),
		"crlf": strings.ReplaceAll(string(plain), "\n", "\r\n"),
		"both": bom + strings.ReplaceAll(string(plain), "\n", "\r\n"),
	} {
		got := mustParse(t, "r.yaml", text)
		if !reflect.DeepEqual(flatten(got), flatten(want)) {
			t.Errorf("%s: another meaning", name)
		}
		if got.Routes["echo"].Pos != want.Routes["echo"].Pos {
			t.Errorf("%s: route echo at %v, want %v", name, got.Routes["echo"].Pos, want.Routes["echo"].Pos)
		}
	}
}

func TestAliasesAndMerges(t *testing.T) {
	f := mustParse(t, "r.yaml", `version: 1
routes:
  a: &base
    match: &m {path: /a, methods: [GET]}
    to: &to internal://echo
    timeouts: {idle: 1m}
  b: {<<: *base, match: {<<: *m, path: /b}}
  c: {<<: [{timeouts: {idle: 2m}}, *base], match: {path: /c}, to: *to}
`)
	b, c := f.Routes["b"], f.Routes["c"]
	if b.Match.Path != "/b" || len(b.Match.Methods) != 1 || b.To == nil || b.Settings.Timeouts.Idle.String() != "1m0s" {
		t.Errorf("b is %+v", b)
	}
	if c.Settings.Timeouts.Idle.String() != "2m0s" || c.Match.Methods != nil {
		t.Errorf("c is %+v: the first of several bases wins", c)
	}
	if errs := Check(f); len(errs) > 0 {
		t.Error(errs)
	}
	if pos, ok := f.KeyPos("routes", "b", "timeouts", "idle"); !ok || pos.String() != "r.yaml:6:22" {
		t.Errorf("routes.b.timeouts.idle is at %v, %v; want where the merged base writes it", pos, ok)
	}
}

func TestKeyPos(t *testing.T) {
	f := mustParse(t, "r.yaml", "version: 1\nroutes:\n  chat: {match: {host: a.example}, to: \"ws://b\"}\n")
	for _, test := range []struct {
		keys []string
		want string
		ok   bool
	}{
		{[]string{"version"}, "r.yaml:1:10", true},
		{[]string{"routes", "chat", "match", "host"}, "r.yaml:3:24", true},
		{[]string{"routes", "chat", "to"}, "r.yaml:3:40", true},
		{[]string{"routes", "chat", "match", "path"}, "r.yaml", false},
		{[]string{"routes", "chat", "to", "x"}, "r.yaml", false},
	} {
		pos, ok := f.KeyPos(test.keys...)
		if pos.String() != test.want || ok != test.ok {
			t.Errorf("KeyPos(%q) = %v, %v; want %s, %v", test.keys, pos, ok, test.want, test.ok)
		}
	}
}

func TestRoutesWritten(t *testing.T) {
	for text, want := range map[string]bool{
		"version: 1\n":                                       false,
		"version: 1\nroutes:\n":                              false,
		"version: 1\nroutes: ~\n":                            false,
		"version: 1\nroutes: {}\n":                           true,
		"version: 1\nroutes: {a: {to: 'internal://echo'}}\n": true,
	} {
		if f := mustParse(t, "r.yaml", text); f.RoutesWritten != want {
			t.Errorf("%q: RoutesWritten is %v", text, f.RoutesWritten)
		}
	}
}

func TestPathsAreResolved(t *testing.T) {
	text := `version: 1
listeners: {s: {address: "unix:run/in.sock", tls: {certificates: [{certificate: a.crt, key: /abs/a.key}], client_ca: ../ca.pem}}}
routes: {a: {to: "wss://x", backend_tls: {ca: b.pem}}}
`
	f := mustParse(t, "/etc/tunnelform/routes.yaml", text)
	if got := f.Listeners["s"].Address; got != "unix:/etc/tunnelform/run/in.sock" {
		t.Errorf("address %q", got)
	}
	want := []string{"/abs/a.key", "/etc/ca.pem", "/etc/tunnelform/a.crt", "/etc/tunnelform/b.pem"}
	if got := Inputs(NewSet(f)); !reflect.DeepEqual(got, want) {
		t.Errorf("Inputs %q, want %q", got, want)
	}
	in := mustParse(t, "-", text)
	if got := in.Routes["a"].Settings.BackendTLS.CA; got != "b.pem" {
		t.Errorf("from standard input %q, want it in the working directory", got)
	}
	if rel := mustParse(t, filepath.Join("conf", "r.yaml"), text); rel.Routes["a"].Settings.BackendTLS.CA != "conf/b.pem" {
		t.Errorf("from a relative path %q", rel.Routes["a"].Settings.BackendTLS.CA)
	}
}

// TestCancelled: what is not wanted any more is neither read nor checked, and says why.
func TestCancelled(t *testing.T) {
	gone := errors.New("the asker has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	data := manyRoutes(100)
	f, errs, err := ParseContext(ctx, "r.yaml", data)
	if err != nil || len(errs) > 0 {
		t.Fatal(errs, err)
	}
	cancel(gone)
	if f, errs, err := ParseContext(ctx, "r.yaml", data); f != nil || errs != nil || err != gone {
		t.Errorf("ParseContext: %v, %v, %v", f, errs, err)
	}
	if errs, err := CheckContext(ctx, f); errs != nil || err != gone {
		t.Errorf("CheckContext: %v, %v", errs, err)
	}
}

// TestJSON: a file that an encoder wrote as JSON is read, escaped slashes and all.
func TestJSON(t *testing.T) {
	f := mustParse(t, "r.yaml", `{"version":1,"routes":{"a":{"match":{"path_prefix":"\/"},"to":"ws:\/\/127.0.0.1:9000"}}}`)
	if errs := Check(f); len(errs) > 0 {
		t.Fatal(errs)
	}
	if r := f.Routes["a"]; r.Match.PathPrefix != "/" || r.To.Raw != "ws://127.0.0.1:9000" {
		t.Errorf("path_prefix %q, to %q", r.Match.PathPrefix, r.To.Raw)
	}
	if pos, _ := f.KeyPos("routes", "a", "to"); pos.Col != 63 {
		t.Errorf("to is at column %d, want 63", pos.Col)
	}
}
