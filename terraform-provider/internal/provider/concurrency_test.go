package provider

// Many writers of one file: no route and no manual edit is lost.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// manyRoutes is a for_each of n routes below a prefix.
func manyRoutes(label, provider string, n int) string {
	return fmt.Sprintf(`
resource "tunnelform_route" %q {
  for_each = toset([for i in range(%d) : format("%s-%%03d", i)])
  %s
  name     = each.key
  match { path = "/${each.key}" }
  to       = "ws://10.0.0.1:9000"
}
`, label, n, label, provider)
}

// routesIn are the names of the routes in a file, which must have no mistakes.
func routesIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, _ := routefile.Parse(file, []byte(readFile(t, file)))
	if errs := routefile.Check(f); len(errs) > 0 {
		t.Fatal(errs)
	}
	names := map[string]bool{}
	for name := range f.Routes {
		names[name] = true
	}
	return names
}

func wantRoutes(t *testing.T, file string, n int, labels ...string) {
	t.Helper()
	names := routesIn(t, file)
	for _, label := range labels {
		for i := range n {
			if name := fmt.Sprintf("%s-%03d", label, i); !names[name] {
				t.Errorf("route %q is lost", name)
			}
		}
	}
}

func TestAccParallelism(t *testing.T) {
	w := newWorkspace(t, "")
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, handWritten)
	w.write(providerBlock(file) + manyRoutes("r", "", 500))
	w.must("apply", "-auto-approve", "-parallelism=50")
	wantRoutes(t, file, 500, "r")
	if got := len(routesIn(t, file)); got != 501 {
		t.Errorf("%d routes in the file, want 501", got)
	}
	w.must("destroy", "-auto-approve", "-parallelism=50")
	if got := readFile(t, file); got != handWritten {
		t.Errorf("after destroy the file holds\n%s\nwant\n%s", got, handWritten)
	}
}

// Two states are applied to one file at once, one of them through two aliases of
// the provider: each writer is a process of its own.
func TestAccTwoAppliesAtOnce(t *testing.T) {
	const n = 40
	first, second := newWorkspace(t, ""), newWorkspace(t, "")
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, handWritten)
	alias := strings.Replace(providerBlock(file), "{\n", "{\n  alias = \"too\"\n", 1)
	first.write(providerBlock(file) + alias + manyRoutes("a", "", n) + manyRoutes("b", "provider = tunnelform.too", n))
	second.write(providerBlock(file) + manyRoutes("c", "", n))
	both := func(args ...string) {
		var wg sync.WaitGroup
		for _, w := range []*workspace{first, second} {
			wg.Go(func() {
				if out, err := w.run(args...); err != nil {
					t.Errorf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			})
		}
		wg.Wait()
	}
	both("apply", "-auto-approve")
	wantRoutes(t, file, n, "a", "b", "c")
	both("destroy", "-auto-approve")
	if got := readFile(t, file); got != handWritten {
		t.Errorf("after both are destroyed the file holds\n%s\nwant\n%s", got, handWritten)
	}
}

// An editor that keeps saving the file during an apply loses nothing, and neither
// does the apply.
func TestAccSavingDuringApply(t *testing.T) {
	const n = 100
	w := newWorkspace(t, "")
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, handWritten)
	w.write(providerBlock(file) + manyRoutes("r", "", n))
	done := make(chan struct{})
	var saved []string
	var wg sync.WaitGroup
	wg.Go(func() { saved = keepSaving(t, file, done) })
	out, err := w.run("apply", "-auto-approve")
	close(done)
	wg.Wait()
	if err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
	text := readFile(t, file)
	for _, remark := range saved {
		if !strings.Contains(text, remark) {
			t.Errorf("the edit %q is lost", remark)
		}
	}
	if len(saved) == 0 {
		t.Errorf("%d edits were saved during the apply, want some", len(saved))
	}
	wantRoutes(t, file, n, "r")
}

// keepSaving adds remarks as an editor does: it reads the file, and replaces it
// if it still is what was read. It returns what was saved.
func keepSaving(t *testing.T, file string, done <-chan struct{}) (saved []string) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return saved
		case <-time.After(200 * time.Millisecond): // a person's pace, not a signal
		}
		before, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			return saved
		}
		remark := fmt.Sprintf("# by hand %d\n", i)
		if err := os.WriteFile(file+"~", append([]byte(remark), before...), 0o644); err != nil {
			t.Error(err)
			return saved
		}
		if now, _ := os.ReadFile(file); string(now) != string(before) {
			continue // the editor would ask; this person loads the file again
		}
		if err := os.Rename(file+"~", file); err != nil {
			t.Error(err)
			return saved
		}
		saved = append(saved, remark)
	}
}

// A manual edit of a planned record between plan and apply is reported, not lost;
// an edit of another record is kept.
func TestAccEditBetweenPlanAndApply(t *testing.T) {
	w := newWorkspace(t, "")
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, handWritten)
	route := func(path string) string {
		return providerBlock(file) + fmt.Sprintf("resource \"tunnelform_route\" \"a\" {\n  name = \"a\"\n  match { path = %q }\n  respond { status = 204 }\n}\n", path)
	}
	w.write(route("/a"))
	w.must("apply", "-auto-approve")
	w.write(route("/b"))
	w.must("plan", "-out=saved")
	replaceIn(t, file, "path: /a", "path: /by-hand")
	edited := readFile(t, file)
	out := w.fails("route \"a\" was changed outside of Terraform since this plan was made", "apply", "saved")
	for _, line := range []string{"- match: {path: /a}", "+ match: {path: /by-hand}"} {
		if !strings.Contains(strings.ReplaceAll(unwrapped(out), "  ", " "), line) {
			t.Errorf("the difference lacks %q:\n%s", line, out)
		}
	}
	if got := readFile(t, file); got != edited {
		t.Errorf("the file holds\n%s\nwant the hand's\n%s", got, edited)
	}
	w.must("plan", "-out=saved")
	replaceIn(t, file, "path: /other", "path: /other-by-hand")
	w.must("apply", "saved")
	if got := readFile(t, file); !strings.Contains(got, "/other-by-hand") || !strings.Contains(got, "path: /b}") {
		t.Errorf("the file holds\n%s\nwant both edits", got)
	}
	w.write(providerBlock(file))
	w.must("plan", "-out=saved")
	replaceIn(t, file, "path: /b}", "path: /c}")
	w.fails("route \"a\" was changed outside of Terraform since this plan was made", "apply", "saved")
	if !routesIn(t, file)["a"] {
		t.Error("an edited route was removed")
	}
}
