package provider

// The terraform binary with the provider's binary, for tests that a provider in the
// test's process cannot do: several processes, saved plans, aliases.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// acceptance skips a test that runs terraform unless TF_ACC is set.
func acceptance(t *testing.T) {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("TF_ACC is not set: acceptance tests run the real terraform")
	}
}

// built has the binaries built so far, by package.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// binary builds a package of the module once and returns its path.
func binary(t *testing.T, pkg, name string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path := built.paths[pkg]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "tunnelform-provider-test-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	path := filepath.Join(built.dir, name)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, pkg)
	cmd.Dir = filepath.Join("..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	built.paths[pkg] = path
	return path
}

func removeBinaries() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

// workspace is a directory that terraform runs in.
type workspace struct {
	t   *testing.T
	dir string
	env []string
}

// newWorkspace makes one whose main.tf is required_providers and the given text.
func newWorkspace(t *testing.T, config string) *workspace {
	t.Helper()
	acceptance(t)
	provider := binary(t, "./terraform-provider", "terraform-provider-tunnelform")
	w := &workspace{t: t, dir: t.TempDir()}
	rc := filepath.Join(w.dir, "terraformrc")
	writeFile(t, rc, fmt.Sprintf("provider_installation {\n  dev_overrides { \"tunnelform/tunnelform\" = %q }\n  direct {}\n}\n", filepath.Dir(provider)))
	w.env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+rc, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1", "TF_CLI_ARGS=-no-color")
	w.write(config)
	return w
}

func (w *workspace) write(config string) {
	w.t.Helper()
	const head = "terraform {\n  required_providers {\n    tunnelform = { source = \"tunnelform/tunnelform\" }\n  }\n}\n"
	writeFile(w.t, filepath.Join(w.dir, "main.tf"), head+config)
}

// command returns a terraform command. A development override replaces what init
// would install, so there is no init.
func (w *workspace) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "terraform", args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

func (w *workspace) run(args ...string) (string, error) {
	out, err := w.command(args...).CombinedOutput()
	return string(out), err
}

func (w *workspace) must(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err != nil {
		w.t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs terraform, which must fail with a text, whatever its line breaks.
func (w *workspace) fails(want string, args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err == nil {
		w.t.Fatalf("terraform %s went well, want an error with %q\n%s", strings.Join(args, " "), want, out)
	}
	if !strings.Contains(unwrapped(out), want) {
		w.t.Errorf("terraform %s: want an error with %q, got\n%s", strings.Join(args, " "), want, out)
	}
	return out
}

var breaks = regexp.MustCompile(`[\s│]+`)

// unwrapped undoes terraform's line breaks and frames.
func unwrapped(out string) string { return breaks.ReplaceAllString(out, " ") }

// spaced is a regular expression for a text as terraform may have wrapped it.
func spaced(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(strings.Join(words, `[\s│]+`))
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
