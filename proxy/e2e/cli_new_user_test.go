package e2e

// The command line as a new user meets it: what is printed where, and with which
// exit status.

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ran is what a command has said.
type ran struct {
	status         int
	stdout, stderr string
}

// tunnelform runs a command in dir to its end.
func tunnelform(t testing.TB, dir, stdin string, args ...string) ran {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary(t), args...)
	command.Dir, command.Stdin, command.WaitDelay = dir, strings.NewReader(stdin), patience
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	late := time.AfterFunc(patience, func() { command.Process.Kill() })
	defer late.Stop()
	err := command.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatalf("tunnelform %v: %v", args, err)
	}
	return ran{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

const (
	goodRoutes = "version: 1\nroutes:\n  echo: {match: {path: /echo}, to: \"internal://echo\"}\n"
	badRoutes  = "version: 1\nlisners: {}\nroutes:\n  a: {match: {path: /a}, to: \"ws://a.test\", limts: {}}\n  b: {match: {path: /b, host: \"a..b\"}, to: \"pool://nobody\"}\n"
)

// TestNewUser: 0 when all is well, 1 when the file is wrong or the answer is no,
// 2 for a wrong command line, 3 for what cannot be read or asked.
func TestNewUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"good.yaml": goodRoutes, "bad.yaml": badRoutes, "ugly.yaml": "{version: 1,   routes: {}}", "empty.yaml": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "nothing.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		status int
		stdout string // what is matched there; "" is nothing at all
		stderr string
	}{
		{"", 0, `(?s)^Tunnelform .*tunnelform serve routes.yaml.*Available Commands:`, ""},
		{"--help", 0, `tunnelform check routes.yaml`, ""},
		{"help", 0, `tunnelform check routes.yaml`, ""},
		{"--version", 0, `^tunnelform \S`, ""},
		{"version", 0, `^tunnelform \S.*\n(commit .*\n)?module github.com/\S+ v`, ""},
		{"schema", 0, `"\$schema"`, ""},
		{"completion bash", 0, `tunnelform`, ""},
		{"help serve", 0, `HUP`, ""},
		{"help nosuch", 2, "", `unknown command "nosuch"`},

		{"sevre good.yaml", 2, "", `(?s)unknown command "sevre".*serve`},
		{"--nosuch", 2, "", `unknown flag: --nosuch`},
		{"serve --nosuch good.yaml", 2, "", `(?s)unknown flag: --nosuch.*tunnelform serve --help`},
		{"version 1", 2, "", `unknown command "1"`},

		{"check good.yaml", 0, "", ""},
		{"check bad.yaml", 1, "", `(?s)^bad.yaml:2:1: unknown key "lisners", did you mean "listeners"\?\nbad.yaml:4:45: .*"limts".*\nbad.yaml:5:.*a\.\.b.*\n.*pool "nobody"`},
		{"check --json bad.yaml", 1, `"line": 2`, ""},
		{"check --json good.yaml", 0, `^\[\]`, ""},
		{"check missing.yaml", 3, "", `^tunnelform: .*missing.yaml: no such file`},
		{"check", 2, "", `no routes file`},
		{"check empty.yaml", 1, "", `empty.yaml:1:1: .*empty`},

		{"fmt good.yaml", 0, `echo: {match`, ""},
		{"fmt -d good.yaml", 0, "", ""},
		{"fmt -d ugly.yaml", 1, `(?m)^\+version: 1`, ""},
		{"fmt missing.yaml", 3, "", `missing.yaml`},
		{"fmt -x good.yaml", 2, "", `(?s)unknown shorthand flag: 'x'.*tunnelform fmt --help`},

		{"explain good.yaml ws://a.test/echo", 0, `takes route "echo"`, ""},
		{"explain good.yaml ws://a.test/other", 1, `404 Not Found`, ""},
		{"explain good.yaml", 2, "", `no URL`},
		{"explain missing.yaml http://a.test/", 3, "", `missing.yaml`},
		{"explain bad.yaml http://a.test/", 1, "", `^bad.yaml:2:1`},

		{"serve", 2, "", `no routes file`},
		{"serve missing.yaml", 3, "", `^tunnelform: .*missing.yaml: no such file.*\n$`},
		{"serve bad.yaml", 1, "", `^bad.yaml:2:1: unknown key`},
		{"serve empty.yaml", 1, "", `^empty.yaml:1:1: `},
		{"serve nothing.d", 3, "", `no routes file`},
		{"check nothing.d", 3, "", `no routes file`},
		{"serve --log-format xml good.yaml", 2, "", `--log-format "xml": want auto, text or json`},

		{"status --admin 127.0.0.1:1", 3, "", `127.0.0.1:1`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			got := tunnelform(t, dir, "", strings.Fields(tt.args)...)
			if got.status != tt.status {
				t.Errorf("exit status %d, wanted %d\n%s%s", got.status, tt.status, got.stdout, got.stderr)
			}
			for stream, said := range map[string][2]string{"standard output": {got.stdout, tt.stdout}, "standard error": {got.stderr, tt.stderr}} {
				if said[1] == "" && said[0] != "" || !regexp.MustCompile(said[1]).MatchString(said[0]) {
					t.Errorf("%s is %q, wanted %q in it", stream, said[0], said[1])
				}
			}
		})
	}
}

// TestEveryHelp: each command says what it does, how it is called and what its
// flags mean, and refuses flags that it does not know.
func TestEveryHelp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := tunnelform(t, dir, "", "--help").stdout
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`).FindAllStringSubmatch(list[strings.Index(list, "Available Commands:"):], -1)
	if len(commands) < 8 {
		t.Fatalf("%d commands in %q", len(commands), list)
	}
	for _, command := range commands {
		name := command[1]
		if name != "completion" && name != "help" { // cobra's own
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mustHelp(t, dir, name)
			})
		}
	}
}

// mustHelp fails unless the command explains itself, both ways alike.
func mustHelp(t *testing.T, dir, name string) {
	t.Helper()
	long := tunnelform(t, dir, "", name, "--help")
	short := tunnelform(t, dir, "", "help", name)
	if long.status != 0 || short.status != 0 || long.stdout != short.stdout {
		t.Errorf("%s: --help (%d) and help %s (%d) differ", name, long.status, name, short.status)
	}
	if !strings.Contains(long.stdout, "Usage:\n  tunnelform "+name) || long.stderr != "" {
		t.Errorf("%s --help: %q %q", name, long.stdout, long.stderr)
	}
	for line := range strings.Lines(long.stdout) {
		if len(line) > 101 {
			t.Errorf("%s --help: a line of %d columns: %q", name, len(line)-1, line)
		}
	}
	if got := tunnelform(t, dir, "", name, "--nosuch"); got.status != 2 {
		t.Errorf("%s --nosuch: exit status %d, wanted 2", name, got.status)
	}
}

// TestBusyPort: one line says which listener of which file cannot have its
// address, and why.
func TestBusyPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	routes := "version: 1\nlisteners:\n  free: {address: \"127.0.0.1:0\"}\n  web:  {address: \"" + taken.Addr().String() + "\"}\nroutes: {}\n"
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte(routes), 0o644); err != nil {
		t.Fatal(err)
	}
	got := tunnelform(t, dir, "", "serve", "routes.yaml")
	if got.status != 1 || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("exit status %d, said %q, wanted 1 and one line", got.status, got.stderr)
	}
	for _, word := range []string{"routes.yaml:4:", `listener "web"`, taken.Addr().String(), "address already in use"} {
		if !strings.Contains(got.stderr, word) {
			t.Errorf("said %q, wanted %q in it", got.stderr, word)
		}
	}
	// A file for an address in use, perhaps by the proxy itself, is right.
	if got := tunnelform(t, dir, "", "check", "routes.yaml"); got.status != 0 {
		t.Errorf("check: %d %q", got.status, got.stderr)
	}
}

// TestPipes: standard input is a file like any other, and what fmt writes it
// leaves alone.
func TestPipes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := tunnelform(t, dir, badRoutes, "check", "-"); got.status != 1 || !strings.HasPrefix(got.stderr, "-:2:1: ") {
		t.Errorf("check -: %d %q", got.status, got.stderr)
	}
	var mistakes []struct {
		File, Key, Text string
		Line, Column    int
	}
	got := tunnelform(t, dir, badRoutes, "check", "--json", "-")
	if err := json.Unmarshal([]byte(got.stdout), &mistakes); err != nil || len(mistakes) != 4 || mistakes[1].Key != "routes.a.limts" || mistakes[1].Column != 45 {
		t.Errorf("check --json -: %v %v", err, mistakes)
	}
	once := tunnelform(t, dir, goodRoutes, "fmt", "-")
	twice := tunnelform(t, dir, once.stdout, "fmt", "-")
	if once.status != 0 || once.stdout != twice.stdout || once.stdout == "" {
		t.Errorf("fmt of fmt: %q, then %q", once.stdout, twice.stdout)
	}
}
