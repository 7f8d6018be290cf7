package provider

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// An apply that is not served in time leaves no tainted route, and destroys none:
// the next apply only has to ask again.
func TestAccTimeouts(t *testing.T) {
	acceptance(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, noRoutes)
	proxy := newFakeProxy(t)
	var served atomic.Value // the text that the proxy serves
	served.Store(noRoutes)
	proxy.records = func() statusapi.Records {
		f, _ := routefile.Parse("-", []byte(served.Load().(string)))
		routes := map[string]string{}
		for name := range f.Routes {
			routes[name] = f.Fingerprint(routefile.InRoutes, name)
		}
		return statusapi.Records{Files: []statusapi.FileRecords{{Routes: routes}}}
	}
	w := newWorkspace(t, "")
	route := func(status int) {
		w.write(providerBlock(file, fmt.Sprintf("admin = [%q]", proxy.address), `wait { timeout = "500ms" }`) +
			resourceRoute("a", fmt.Sprintf("  match { path = \"/a\" }\n  respond { status = %d }", status)))
	}
	plans := func(want string) {
		t.Helper()
		if out := w.must("plan"); !strings.Contains(unwrapped(out), want) {
			t.Errorf("want a plan with %q, got\n%s", want, out)
		}
	}

	// A new route is removed again: no state, nothing tainted.
	proxy.answers(pending)
	route(200)
	w.fails("0 of the proxies serve it, want 1 within 500ms", "apply", "-auto-approve")
	if got := readFile(t, file); got != noRoutes {
		t.Errorf("after a create that timed out the file holds\n%s", got)
	}
	if out := w.must("state", "list"); strings.TrimSpace(out) != "" {
		t.Errorf("the state holds %q, want nothing", out)
	}
	plans("1 to add, 0 to change, 0 to destroy")

	proxy.answers(nil)
	w.must("apply", "-auto-approve")
	served.Store(readFile(t, file))
	plans("No changes.")

	// A changed one stays as planned, and the plan is not empty until it is served.
	proxy.answers(pending)
	route(201)
	w.fails(`route "a" stays in the routes file as planned`, "apply", "-auto-approve")
	if !strings.Contains(readFile(t, file), "201") {
		t.Errorf("after an update that timed out the file holds\n%s", readFile(t, file))
	}
	out := w.must("plan")
	if !strings.Contains(unwrapped(out), "serving = false -> true") || !strings.Contains(out, "0 to add, 1 to change, 0 to destroy") {
		t.Errorf("want a plan that asks the proxies again, got\n%s", out)
	}
	proxy.answers(nil)
	w.must("apply", "-auto-approve")
	served.Store(readFile(t, file))
	plans("No changes.")

	// A removed one stays removed.
	proxy.answers(pending)
	w.fails(`route "a" was removed from the routes file`, "destroy", "-auto-approve")
	if got := readFile(t, file); got != noRoutes {
		t.Errorf("after a destroy that timed out the file holds\n%s", got)
	}
	proxy.answers(nil)
	w.must("destroy", "-auto-approve")
}

// A plan that only creates warns of a proxy that does not answer, and its apply waits
// for one timeout.
func TestAccDeadProxies(t *testing.T) {
	acceptance(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, noRoutes)
	w := newWorkspace(t, providerBlock(file, fmt.Sprintf("admin = [%q, %q]", deadAddress(t), deadAddress(t)), `wait { timeout = "2s" }`)+manyRoutes("r", "", 40))
	if out := w.must("plan"); strings.Count(out, "A proxy does not answer") != 1 {
		t.Errorf("want one warning of the proxies, got\n%s", out)
	}
	out := w.fails("so this one was not written", "apply", "-auto-approve")
	if served, left := strings.Count(out, "Error: Not served in time"), strings.Count(out, "Error: Not written"); served+left != 40 || served > 10 {
		t.Errorf("%d routes were not served in time and %d not written, want 40 together, and one group of at most 10 written", served, left)
	}
	if got := readFile(t, file); got != noRoutes {
		t.Errorf("the file holds\n%s", got)
	}
}

// The state of another release of the provider is read: missing attributes are filled
// in, unknown ones are dropped, and the plan is empty.
func TestAccStateOfAnotherRelease(t *testing.T) {
	acceptance(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, noRoutes)
	w := newWorkspace(t, providerBlock(file)+resourceRoute("a", "  match { path = \"/a\" }\n  respond { status = 204 }\n  timeouts { idle = \"60s\" }"))
	w.must("apply", "-auto-approve")
	state := filepath.Join(w.dir, "terraform.tfstate")
	text := readFile(t, state)
	older := strings.Replace(text, `"name": "a",`, `"name": "a", "an_attribute_of_old": "x",`, 1)
	older = deleteLine(older, `"revision":`)
	older = deleteLine(older, `"strict":`)
	if older == text {
		t.Fatalf("the state has neither of the attributes:\n%s", text)
	}
	writeFile(t, state, older)
	if out := w.must("plan"); !strings.Contains(out, "No changes.") {
		t.Errorf("a state of another release makes a plan:\n%s", out)
	}
	w.must("destroy", "-auto-approve")
	if got := readFile(t, file); got != noRoutes {
		t.Errorf("after destroy the file holds\n%s", got)
	}
}

func deleteLine(text, containing string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, containing) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
