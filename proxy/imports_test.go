package proxy

// The floor plan as a test: who may import whom, and why not. Files are parsed
// for their imports only, whatever their build tags say, so that a platform's
// file cannot open a door that another platform's build does not see.

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tunnelform/tunnelform"

// arrow forbids packages under from to import packages under to.
//
// Paths are the go command's: "." is main, "./proxy" is that package alone,
// "./proxy/..." it and everything below, and what is not in this module is
// written as it is imported.
type arrow struct {
	from   []string
	but    []string // of from, who may all the same
	to     string
	toBut  []string // of to, what may be imported all the same
	tests  bool     // holds for test files too
	direct bool     // only the import itself counts, not what is reached through others
	why    string
}

var forbidden = []arrow{
	{from: []string{"./reload/..."}, to: "./proxy/...", tests: true,
		why: "reload keeps any value in step with its source; what is built is injected"},
	{from: []string{"./proxy/..."}, but: []string{"./proxy/cli/...", "./proxy/e2e/..."}, to: "./reload/...",
		why: "the proxy is given a table; where it comes from is the command line's business"},
	{from: []string{"./terraform-provider/..."}, to: "./...",
		toBut: []string{"./terraform-provider/...", "./internal/regularfile", "./internal/printable", "./proxy/routefile", "./proxy/routefile/yamledit", "./proxy/statusapi", "./proxy/internal/match", "./proxy/internal/wsproto", "./proxy/internal/httpsyntax", "./reload/store", "./reload/store/filestore"},
		why:   "the provider shares the file's validator, its store and the admin API's types, nothing that serves; match, wsproto, httpsyntax and yamledit come with routefile"},
	{from: []string{"./terraform-provider/..."}, to: "./proxy/internal/...", direct: true,
		why: "what the provider needs of patterns, routefile says"},
	{from: []string{"./proxy/...", "./reload/...", "./terraform-provider/..."}, to: "./proxy/cli/...", tests: true,
		why: "only main starts the command line"},

	{from: []string{"./proxy/routefile/..."}, to: "./proxy",
		why: "definition and instance are different types: the file knows nothing of the table built from it"},
	{from: []string{"./proxy/routefile/..."}, to: "./proxy/internal/...", toBut: []string{"./proxy/internal/match", "./proxy/internal/wsproto", "./proxy/internal/httpsyntax"},
		why: "judging a file and explaining a request need patterns, handshake rules and the grammar of HTTP, and nothing that serves"},
	{from: []string{"./proxy/routefile/yamledit"}, to: "./...",
		why: "it edits any YAML; what a routes file is, its Schema says"},
	{from: []string{"./..."}, but: []string{"./proxy/routefile"}, to: "./proxy/routefile/yamledit", direct: true,
		why: "routes files are edited through routefile, which knows their sections and keys"},
	{from: []string{"./proxy/internal/..."}, to: "./proxy",
		why: "arrows point down"},
	{from: []string{
		"./proxy/internal/match/...", "./proxy/internal/h1/...", "./proxy/internal/wsproto/...", "./proxy/internal/tunnel/...",
		"./proxy/internal/forward/...", "./proxy/internal/upstream/...", "./proxy/internal/drain/...", "./proxy/internal/echo/...", "./proxy/internal/discovery/...", "./proxy/internal/listen/...",
	}, to: "./proxy/routefile/...",
		why: "the engine's rooms take plain data of their own; routing translates"},
	{from: []string{
		"./proxy/internal/match/...", "./proxy/internal/h1/...", "./proxy/internal/wsproto/...", "./proxy/internal/tunnel/...", "./proxy/internal/limits/...",
		"./proxy/internal/forward/...", "./proxy/internal/upstream/...", "./proxy/internal/drain/...", "./proxy/internal/echo/...", "./proxy/internal/discovery/...", "./proxy/internal/listen/...",
	}, to: "./proxy/internal/routing/...",
		why: "a Table is made of these rooms; a connection, a pool or a tunnel outlives it and must not hold on to it"},
	{from: []string{"./..."}, but: []string{"./proxy"}, to: "./proxy/internal/handler", direct: true,
		why: "it is the top of the engine: what is below serves it, and is tested without it"},
	{from: []string{"./proxy/internal/handler"}, to: "./proxy/routefile", direct: true,
		why: "it serves a Table; what the routes file says, routing has translated"},
	{from: []string{"./proxy/internal/wsproto/...", "./proxy/internal/match/..."}, to: "./...", direct: true,
		toBut: []string{"./proxy/internal/wsproto/...", "./proxy/internal/match/...", "./proxy/internal/httpsyntax"},
		why:   "pure functions at the bottom of the plan"},
	{from: []string{"./proxy/internal/httpsyntax"}, to: "./...",
		why: "the grammar that all of them share knows none of them"},
	{from: []string{"./internal/printable"}, to: "./...",
		why: "it makes any text printable, whatever is in it"},
	{from: []string{"./proxy/statusapi"}, to: "./...",
		why: "wire types are plain data, for every client of a proxy"},
	{from: []string{"./proxy/internal/echo/..."}, to: "./...", toBut: []string{"./proxy/internal/wsproto", "./proxy/internal/httpsyntax"},
		why: "the echo is a server like any other; it knows nothing of the proxy before it"},
	{from: []string{"./proxy/internal/discovery/..."}, to: "./proxy/internal/drain/...",
		why: "what new members mean for open tunnels is for the receiver of its events"},
	{from: []string{"./proxy/internal/listen/..."}, to: "./...", direct: true,
		toBut: []string{"./proxy/internal/h1", "./proxy/internal/tunnel", "./internal/regularfile", "./proxy/internal/histogram"},
		why:   "it accepts connections; which routes there are, and what is done with a request, its Handler and its Config say"},
	{from: []string{"./proxy/internal/upstream/..."}, to: "./proxy/internal/discovery/...",
		why: "a pool is given its members; where they were found is not its business"},
	{from: []string{"./proxy/internal/spelling/..."}, to: "./...", toBut: []string{"./proxy/internal/httpsyntax"},
		why: "letters of names decide nothing, and need to know nothing"},
	{from: []string{"./proxy/internal/limits/..."}, to: "./...",
		why: "it counts; what a client is told about it is said above"},
	{from: []string{"./proxy/internal/histogram"}, to: "./...",
		why: "it counts values of whatever has a size"},
	{from: []string{"./proxy/internal/metrics"}, to: "./...", toBut: []string{"./proxy/internal/histogram", "./proxy/internal/tunnel", "./proxy/internal/wsproto", "./proxy/internal/httpsyntax"},
		why: "it publishes numbers; what they are numbers of, its sources say"},
	{from: []string{"./..."}, but: []string{"./proxy", "./proxy/cli", "./proxy/internal/handler", "./proxy/e2e"}, to: "./proxy/internal/metrics", direct: true,
		why: "a room counts what it does in fields of its own; those above publish it"},
	{from: []string{"./proxy/internal/auth/..."}, to: "./...",
		why: "who may come in is decided from a request and plain data; routes, tables and connections are not its business"},
	{from: []string{"./proxy/internal/heap/..."}, to: "./...",
		why: "it tunes the runtime, whatever runs on it"},
	{from: []string{"./proxy/internal/wsproto/...", "./proxy/internal/match/..."}, to: "net", direct: true,
		why: "they own no sockets"},
	{from: []string{"./proxy/internal/wsproto/...", "./proxy/internal/match/..."}, to: "os", direct: true,
		why: "they touch no files"},
	{from: []string{"./proxy/internal/tunnel/..."}, to: "./...",
		toBut: []string{"./proxy/internal/tunnel/...", "./proxy/internal/wsproto", "./proxy/internal/httpsyntax", "./proxy/internal/histogram", "./proxy/internal/proxytest"},
		why:   "an engine moves bytes; who may open a tunnel was decided before"},
	{from: []string{"./proxy/internal/upstream/health"}, to: "./...",
		why: "a verdict on one backend knows no pool, and reaches the backend through an interface of its own"},
	{from: []string{"./proxy/internal/wsproto/...", "./proxy/internal/match/...", "./proxy/internal/h1/..."}, to: "./proxy/internal/upstream/...",
		why: "none of them dials; h1 reads what comes by a connection that it is given"},
	{from: []string{"./proxy/internal/h1/..."}, to: "./...", toBut: []string{"./proxy/internal/httpsyntax", "./proxy/internal/spelling", "./proxy/internal/tunnel", "./proxy/internal/wsproto", "./proxy/internal/histogram"},
		why: "where a message ends is the same for every route; of tunnel it asks what a socket knows of its peer, and spelling is what it keeps of names"},

	{from: []string{"."}, to: "./proxy/internal/proxytest", why: "the tests' outside world is not linked into the product"},
	{from: []string{"."}, to: "./proxy/internal/routing/routingtest", why: "a test's helper is not linked into the product"},
	{from: []string{"."}, to: "./proxy/internal/tunnel/tunneltest", why: "a test suite is not linked into the product"},
	{from: []string{"."}, to: "./reload/store/storetest", why: "a test suite is not linked into the product"},
	{from: []string{"."}, to: "testing", why: "package testing registers flags in the binary that links it"},

	{from: []string{"./..."}, but: []string{"./proxy/internal/forward"}, to: "net/http/httputil", direct: true,
		why: "ReverseProxy loses the bytes behind an upgrade request (golang/go#80875); one room knows how far it may be trusted"},
}

// doors names the rooms through which each third-party module enters. A module
// that is not listed enters nowhere: add it here, with its reason, first.
var doors = []struct {
	module string
	rooms  []string
	tests  bool // test files anywhere may use it too
	why    string
}{
	{"gopkg.in/yaml.v3", []string{"./proxy/routefile/yamledit"}, true, "its upstream is archived: one import to change when a successor is chosen; a test may judge by it"},
	{"github.com/fsnotify/fsnotify", []string{"./reload/store/filestore"}, false, "what it does not notice is worked around in one place"},
	{"github.com/moby/sys/mountinfo", []string{"./reload/store/filestore"}, false, "which files are mounts of their own"},
	{"github.com/gorilla/websocket", []string{"./proxy/internal/upstream/health", "./proxy/internal/proxytest", "./proxy/internal/tunnel/tunneltest"}, true, "the independent peer: an echo, or a health check, through our own codec proves nothing"},
	{"github.com/spf13/cobra", []string{"./proxy/cli", "./docs/deploy/generate"}, false, "commands and flags are the command line's, and manual pages and completions are made of them"},
	{"github.com/spf13/pflag", []string{"./proxy/cli"}, false, "commands and flags are the command line's"},
	{"golang.org/x/term", []string{"./proxy/cli"}, false, "only the command line has a terminal"},
	{"golang.org/x/net", []string{"./proxy/internal/httpsyntax", "./proxy/internal/proxytest"}, true, "httpguts, and in tests HTTP/2, DNS messages and host names (idna, publicsuffix)"},
	{"golang.org/x/time", []string{"./proxy/internal/limits", "./proxy/internal/auth"}, false, "the token bucket of handshake rates, and of bad credentials"},
	{"github.com/golang-jwt/jwt/v5", []string{"./proxy/internal/auth"}, false, "how a token is verified"},
	{"golang.org/x/crypto", []string{"./proxy/internal/auth"}, true, "bcrypt and argon2id"},
	{"golang.org/x/sys", []string{"./reload/store/filestore", "./proxy/internal/tunnel", "./proxy/internal/auth"}, true, "system calls behind a platform file's small interface"},
	{"github.com/prometheus/client_golang", []string{"./proxy/internal/metrics"}, true, "one room publishes what the others count"},
	{"github.com/prometheus/client_model", []string{"./proxy/internal/metrics"}, true, "the same"},
	{"github.com/prometheus/common", []string{"./proxy/internal/metrics"}, true, "the text format; tests read it"},
	{"go.uber.org/goleak", nil, true, "goroutine leaks fail a test"},
	{"github.com/rogpeppe/go-internal", []string{"./proxy/cli", "./terraform-provider/internal/provider"}, true, "the diffs that fmt and the provider print, and scripts for what has a timeline"},
	{"github.com/hashicorp/terraform-plugin-framework", []string{"./terraform-provider", "./terraform-provider/internal/provider", "./terraform-provider/bench/nothing"}, false, "Terraform's types are the provider's"},
	{"github.com/hashicorp/terraform-plugin-framework-validators", []string{"./terraform-provider/internal/provider"}, false, "Terraform's types are the provider's"},
	{"github.com/hashicorp/terraform-plugin-go", []string{"./terraform-provider", "./terraform-provider/internal/provider", "./terraform-provider/bench/nothing"}, false, "Terraform's types are the provider's"},
	{"github.com/vmihailenco/msgpack/v5", []string{"./terraform-provider/internal/provider"}, true, "Terraform's values as they are on the wire"},
	{"github.com/hashicorp/terraform-plugin-log", []string{"./terraform-provider/internal/provider"}, false, "Terraform's types are the provider's"},
	{"github.com/hashicorp/terraform-plugin-testing", []string{"./terraform-provider/internal/provider"}, false, "it runs the real terraform, in the provider's tests"},
}

func TestForbiddenImports(t *testing.T) {
	plan := readPlan(t)
	for _, broken := range plan.broken(forbidden) {
		t.Error(broken)
	}
}

func TestThirdPartyDoors(t *testing.T) {
	plan := readPlan(t)
	for _, file := range plan.files {
		for _, imported := range file.imports {
			if complaint := wrongDoor(file, imported); complaint != "" {
				t.Error(complaint)
			}
		}
	}
}

// TestPlanCanBreak proves on made-up files that each kind of rule finds what it forbids.
func TestPlanCanBreak(t *testing.T) {
	plan := floorPlan{files: []source{
		{pkg: ".", name: "main.go", imports: []string{module + "/a"}},
		{pkg: "./a", name: "a/a.go", imports: []string{module + "/a/b", "os"}},
		{pkg: "./a", name: "a/a_test.go", test: true, imports: []string{module + "/c"}},
		{pkg: "./a/b", name: "a/b/b.go", imports: []string{module + "/c", "testing"}},
		{pkg: "./c", name: "c/c.go", imports: []string{"gopkg.in/yaml.v3"}},
	}}
	for _, tt := range []struct {
		rule arrow
		want int // complaints
	}{
		{arrow{from: []string{"./a"}, to: "./c"}, 1},
		{arrow{from: []string{"./a"}, to: "./c", direct: true}, 0},
		{arrow{from: []string{"./a"}, to: "./c", direct: true, tests: true}, 1},
		{arrow{from: []string{"./a/..."}, to: "./c"}, 2},
		{arrow{from: []string{"./a/..."}, but: []string{"./a/b"}, to: "./c"}, 1},
		{arrow{from: []string{"./..."}, to: "./...", toBut: []string{"./a/..."}}, 3},
		{arrow{from: []string{"."}, to: "testing"}, 1},
		{arrow{from: []string{"./c"}, to: "os"}, 0},
	} {
		if got := plan.broken([]arrow{tt.rule}); len(got) != tt.want {
			t.Errorf("%+v: %d complaints, want %d: %q", tt.rule, len(got), tt.want, got)
		}
	}
	if wrongDoor(plan.files[4], "gopkg.in/yaml.v3") == "" {
		t.Error("yaml.v3 may enter through c, wanted a complaint")
	}
	if wrongDoor(plan.files[4], "example.com/unheard/of") == "" {
		t.Error("an unlisted module may enter, wanted a complaint")
	}
}

// TestProxyLinksNoGRPC: the provider needs gRPC, and so it is in go.mod; in the proxy it
// would be a third of the binary.
func TestProxyLinksNoGRPC(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", module)
	linked, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(linked), module+"/proxy/cli") {
		t.Fatalf("go list did not list the proxy: %s", linked)
	}
	for pkg := range strings.Lines(string(linked)) {
		if strings.HasPrefix(pkg, "google.golang.org/grpc") {
			t.Errorf("the proxy links %s", strings.TrimSpace(pkg))
		}
	}
}

// floorPlan is every Go file of the module with what it imports.
type floorPlan struct{ files []source }

type source struct {
	pkg     string // as the go command names it: "." or "./proxy/cli"
	name    string // of the file
	test    bool
	imports []string
}

// readPlan parses the module's files; nested modules are not part of it.
func readPlan(t *testing.T) floorPlan {
	t.Helper()
	root := ".."
	var plan floorPlan
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && foreign(name, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := readSource(root, name)
		plan.files = append(plan.files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// foreign says that a directory is not this module's code.
func foreign(dir, base string) bool {
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func readSource(root, name string) (source, error) {
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return source{}, err
	}
	rel = filepath.ToSlash(rel)
	file := source{pkg: ".", name: rel, test: strings.HasSuffix(rel, "_test.go")}
	if dir := path.Dir(rel); dir != "." {
		file.pkg = "./" + dir
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return file, err
	}
	for _, spec := range parsed.Imports {
		file.imports = append(file.imports, strings.Trim(spec.Path.Value, `"`))
	}
	return file, nil
}

// broken returns one line for each package that a rule forbids and that is
// imported all the same.
func (p floorPlan) broken(rules []arrow) []string {
	var complaints []string
	for _, rule := range rules {
		for _, start := range p.packages() {
			if !within(start, rule.from...) || within(start, rule.but...) {
				continue
			}
			for _, chain := range p.reached(start, rule) {
				complaints = append(complaints, strings.Join(chain, " -> ")+": forbidden: "+rule.why)
			}
		}
	}
	return complaints
}

func (p floorPlan) packages() []string {
	set := map[string]bool{}
	for _, file := range p.files {
		set[file.pkg] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// reached walks the imports of start and returns the chains that end in
// something the rule forbids. A chain stops there: who imports what is allowed
// is that package's own affair.
func (p floorPlan) reached(start string, rule arrow) [][]string {
	var found [][]string
	seen := map[string]bool{start: true}
	queue := [][]string{{start}}
	for len(queue) > 0 {
		chain := queue[0]
		queue = queue[1:]
		for _, imported := range p.imports(chain[len(chain)-1], rule.tests && len(chain) == 1) {
			if seen[imported] {
				continue
			}
			seen[imported] = true
			next := append(slices.Clone(chain), imported)
			switch {
			case within(imported, rule.to) && !within(imported, rule.toBut...):
				found = append(found, next)
			case !rule.direct:
				queue = append(queue, next)
			}
		}
	}
	return found
}

// imports of one package, as a rule would write them.
func (p floorPlan) imports(pkg string, tests bool) []string {
	var imports []string
	for _, file := range p.files {
		if file.pkg != pkg || file.test && !tests {
			continue
		}
		for _, imported := range file.imports {
			imports = append(imports, relative(imported))
		}
	}
	slices.Sort(imports)
	return slices.Compact(imports)
}

func relative(imported string) string {
	if imported == module {
		return "."
	}
	if below, ours := strings.CutPrefix(imported, module+"/"); ours {
		return "./" + below
	}
	return imported
}

// within says that pkg is one of the patterns.
func within(pkg string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		base, below := strings.CutSuffix(pattern, "/...")
		return pkg == base || below && strings.HasPrefix(pkg, base+"/")
	})
}

// wrongDoor complains when a file imports a third-party package that has no
// business there.
func wrongDoor(file source, imported string) string {
	host, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(host, ".") || within(relative(imported), "./...") {
		return "" // the standard library's, or ours
	}
	for _, door := range doors {
		if imported != door.module && !strings.HasPrefix(imported, door.module+"/") {
			continue
		}
		if slices.Contains(door.rooms, file.pkg) || door.tests && file.test {
			return ""
		}
		return file.name + " imports " + imported + ", which enters through " + strings.Join(door.rooms, ", ") + " only: " + door.why
	}
	return file.name + " imports " + imported + ", which is on no list: few dependencies, each entering through one room"
}
