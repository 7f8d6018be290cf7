//go:build !race

package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// perRoute is how much memory a route of a set may take while the set is loaded: 8 KiB,
// and a quarter more since the collector is late on a busy machine.
const perRoute = 10 << 10

// loadVariable names the file that a child process of TestMemoryOfLoad loads.
const loadVariable = "TUNNELFORM_TEST_LOAD"

// TestMemoryOfLoad compares the high-water marks of processes that load one route and
// ten thousand.
func TestMemoryOfLoad(t *testing.T) {
	if path := os.Getenv(loadVariable); path != "" {
		loadAndMeasure(t, path)
		return
	}
	const routes = 10_000
	for name, line := range map[string]string{
		"small":   "  r%05d: {match: {path: /r%[1]d}, to: \"ws://10.0.0.1:80\"}\n",
		"tenants": "  r%05d: {match: {path_regex: '^/[^/]+/tenant-%[1]d/ws$'}, to: \"ws://10.0.0.1:80\"}\n",
		"blocks": "  r%05d:\n    match:\n      host: a.example\n      path_prefix: /r%[1]d\n      headers: {X-Room: a}\n" +
			"    to: http://10.0.0.1:%[1]d\n    timeouts: {idle: 10m}\n",
	} {
		t.Run(name, func(t *testing.T) {
			one, all := highWater(t, line, 1), highWater(t, line, routes)
			if got := (all - one) / routes; got > perRoute {
				t.Errorf("%d bytes a route (%d KiB for all, %d for one), want at most %d", got, all>>10, one>>10, perRoute)
			}
		})
	}
}

// highWater returns the most memory that a process had which loaded n routes.
func highWater(t *testing.T, line string, n int) int {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, line, i+1)
	}
	path := filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMemoryOfLoad$", "-test.v")
	cmd.Env = append(os.Environ(), loadVariable+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no high-water mark in\n%s", out)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib << 10
}

func loadAndMeasure(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documents := []store.Document{{Path: path, Data: data, Revision: store.RevisionOf(data)}}
	defer heap.Loading(sizeOf(documents))()
	files, mistakes, err := checkDocuments(context.Background(), documents, false)
	if err != nil || len(mistakes) > 0 {
		t.Fatal(err, mistakes)
	}
	if _, err := proxy.BuildContext(context.Background(), routefile.NewSet(files...), nil); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(status))
}
