package routefile

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files that are generated from the table of keys")

// flatten lists every field of a file's records by its Go path, zero ones too;
// what is one value to a reader of the file (a target, a list) is one field.
func flatten(f *File) map[string]any {
	out := map[string]any{}
	c := *f
	c.Path, c.Revision, c.tree, c.single, c.data, c.errs = "", "", nil, nil, nil, nil
	flattenInto(out, "", reflect.ValueOf(&c))
	return out
}

func flattenInto(out map[string]any, path string, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[Target]():
		t := v.Interface().(Target)
		t.Pos = Pos{}
		out[path] = t
	case v.Type() == reflect.TypeFor[Record]() || v.Type() == reflect.TypeFor[Pos](), units[v.Type()] && v.IsZero():
	case units[v.Type()]:
		out[path] = v.Interface()
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			flattenInto(out, path, v.Elem())
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				flattenInto(out, join(path, field.Name), v.Field(i))
			}
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Pointer:
		for _, k := range v.MapKeys() {
			flattenInto(out, join(path, k.String()), v.MapIndex(k))
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != reflect.TypeFor[Header]() && v.Type().Elem().PkgPath() == reflect.TypeFor[File]().PkgPath():
		for i := range v.Len() {
			flattenInto(out, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case !v.IsZero():
		out[path] = v.Interface()
	}
}

// documentWith writes a file in which one key stands, with its example, and
// what its surroundings require.
func documentWith(t *testing.T, k *Key, with bool) string {
	t.Helper()
	root := map[string]any{"version": 1, "routes": map[string]any{}}
	at, table := root, &document
	steps := strings.Split(k.Path, ".")
	for i, step := range steps {
		below := table.index[step]
		last := i == len(steps)-1
		addRequired(t, at, table, below)
		switch {
		case last && with:
			at[nameFor(steps, i)] = yamlValue(k.Example)
		case last:
			delete(at, nameFor(steps, i))
		case below.Kind == KindList:
			item := map[string]any{}
			at[step] = []any{item}
			at = item
			table = below.index["[]"]
			addRequired(t, at, table, nil)
			if steps[i+1] == "[]" {
				steps[i+1] = ""
			}
			continue
		case step == "":
			continue
		default:
			next := map[string]any{}
			at[nameFor(steps, i)] = next
			at = next
		}
		table = below
	}
	data, err := json.Marshal(root) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func nameFor(steps []string, i int) string {
	switch {
	case steps[i] != "*":
		return steps[i]
	case steps[i-1] == "errors":
		return "502"
	}
	return "x"
}

// addRequired adds the keys without which table's mapping is wrong, apart from key.
func addRequired(t *testing.T, at map[string]any, table, key *Key) {
	for _, below := range table.keys {
		if below.Required && below != key {
			at[below.Name] = yamlValue(below.Example)
		}
	}
	for _, names := range [][]string{table.ExactlyOne, table.Together} {
		for _, name := range names {
			if table.ExactlyOne != nil && (len(at) > 0 || key != nil && slices.Contains(names, key.Name)) {
				break
			}
			at[name] = yamlValue(table.index[name].Example)
		}
	}
}

func leafKeys() []*Key {
	var leaves []*Key
	walkKeys(&document, func(k *Key) {
		if k.set != nil && !k.Reserved && k.Path != "version" {
			leaves = append(leaves, k)
		}
	})
	return leaves
}

// TestEveryKeySetsOneField walks the table: each key's example is read without
// a mistake, changes one field of the records, and no two keys change the same.
func TestEveryKeySetsOneField(t *testing.T) {
	setBy := map[string]string{}
	for _, k := range leafKeys() {
		path := strings.ReplaceAll(k.Path, ".[].", ".")
		if strings.Contains(k.Path, "[]") {
			continue // TestCertificates, TestAuth
		}
		text := documentWith(t, k, true)
		with := mustParse(t, "r.yaml", text)
		without, _ := Parse("r.yaml", []byte(documentWith(t, k, false)))
		changed := differences(flatten(without), flatten(with))
		if len(changed) != 1 {
			t.Errorf("%s: changes %q, want one field\n%s", path, changed, text)
			continue
		}
		if other, twice := setBy[changed[0]]; twice {
			t.Errorf("%s and %s both set %s", other, k.Path, changed[0])
		}
		setBy[changed[0]] = k.Path
	}
	for _, field := range allFields() {
		if setBy[field] == "" {
			t.Errorf("no key sets the field %s", field)
		}
	}
}

func differences(a, b map[string]any) []string {
	var out []string
	for _, path := range sortedNames(b) {
		if strings.HasSuffix(path, ".Name") && strings.Contains(path, "Match.") {
			continue // a condition's name is its key
		}
		if strings.HasSuffix(path, ".Errors.Pages[0].Status") {
			continue // so is a page's status
		}
		if !reflect.DeepEqual(a[path], b[path]) {
			out = append(out, path)
		}
	}
	return out
}

// allFields lists the fields of every kind of record, by reflection alone.
func allFields() []string {
	var out []string
	listFields(&out, "Listeners.x", reflect.TypeFor[Listener]())
	listFields(&out, "TrustedProxies", reflect.TypeFor[[]prefix]())
	listFields(&out, "Defaults", reflect.TypeFor[Settings]())
	listFields(&out, "Shutdown", reflect.TypeFor[Shutdown]())
	listFields(&out, "Pools.x", reflect.TypeFor[Pool]())
	listFields(&out, "Pools.x.Backends.x", reflect.TypeFor[Backend]())
	listFields(&out, "Routes.x", reflect.TypeFor[Route]())
	return out
}

func listFields(out *[]string, path string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[Record]() || t == reflect.TypeFor[map[string]*Backend]() || t == reflect.TypeFor[[]CertificateFiles]() || t == reflect.TypeFor[[]AuthEntry](): // TestCertificates, TestAuth
	case t == reflect.TypeFor[[]Condition]():
		*out = append(*out, path+"[0].Regex", path+"[0].Present")
	case t == reflect.TypeFor[[]ErrorPage]():
		*out = append(*out, path+"[0].File", path+"[0].Body", path+"[0].ContentType")
	case t.Kind() == reflect.Struct && !units[t] && t != reflect.TypeFor[Target]():
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				listFields(out, join(path, f.Name), f.Type)
			}
		}
	default:
		*out = append(*out, path)
	}
}

func TestCertificates(t *testing.T) {
	f := mustParse(t, "/e/r.yaml", `version: 1
listeners:
  x: {address: ":1", tls: {certificates: [{certificate: a, key: b}, {key: d, certificate: c}]}}
routes: {}
`)
	want := []CertificateFiles{
		{Certificate: "/e/a", Key: "/e/b", Pos: Pos{File: "/e/r.yaml", Line: 3, Col: 43}},
		{Certificate: "/e/c", Key: "/e/d", Pos: Pos{File: "/e/r.yaml", Line: 3, Col: 69}},
	}
	if got := f.Listeners["x"].TLS.Certificates; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTableIsWhole holds that the words are there which the schema, the
// reference and a provider need.
func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Path] {
			t.Errorf("%s stands twice", k.Path)
		}
		seen[k.Path] = true
		if k.Name == "*" && k.Meaning == "" || k.Reserved {
			continue
		}
		if k.Kind == "" || k.Meaning == "" || !strings.HasSuffix(k.Meaning, ".") || k.Example == "" {
			t.Errorf("%s: kind %q, meaning %q, example %q; want all three, the meaning whole sentences", k.Path, k.Kind, k.Meaning, k.Example)
		}
	}
}

// TestDefaults spells the built-in defaults out, so that nobody changes one unseen.
func TestDefaults(t *testing.T) {
	const off = -1
	want := Settings{
		Upgrade: Upgrade{Mode: "websocket"}, HTTPFallback: On,
		EncodedSlash: "refuse", MergeSlashes: On,
		Timeouts:  Timeouts{5 * time.Second, 10 * time.Second, time.Minute, time.Minute, time.Minute, off, off, off, "frames", off, off},
		Keepalive: Keepalive{30 * time.Second, 10 * time.Second, On, On}, Strict: Off, Lenient: []string{},
		Limits:    Limits{off, off, off, off, off, off, off, 30},
		Origins:   Origins{Mode: "same-host"},
		Drain:     DrainPolicy{Window: 30 * time.Second, Code: 1012, CloseTimeout: 5 * time.Second, Keep: Off},
		Forwarded: "x", RewriteResponse: Rewriting{Location: Off}, BackendTLS: TLSSettings{Insecure: Off},
		Retry: Retry{2, 20}, OnBackendLoss: "close", NTLM: "pin", Metrics: Metrics{Off}, AuthPreflight: "require",
	}
	if got := builtIn.settings; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := (builtIns{listener: ListenerLimits{10 * time.Second, 32 << 10, 100, 100000}, shutdown: Shutdown{5 * time.Second, 15 * time.Second}}); got.listener != builtIn.listener || got.shutdown != builtIn.shutdown {
		t.Errorf("got %+v, want %+v", builtIn, got)
	}
}

// TestGenerated holds the generated files equal to the table: go test -run Generated -update.
func TestGenerated(t *testing.T) {
	for path, want := range map[string][]byte{
		"../../docs/routes.schema.json": Schema(),
		"../../docs/routes-file.md":     Reference(),
	} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the table says: go test ./proxy/routefile -run Generated -update", path)
		}
	}
}
