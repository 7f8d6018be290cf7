package e2e

// The image: built from its Containerfile around a static binary, run as
// Kubernetes would run it, its routes swapped under it. Without podman and runc
// this skips.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestContainer(t *testing.T) {
	image := buildImage(t)
	t.Run("takes swapped routes", func(t *testing.T) { testSwappedRoutes(t, image) })
	t.Run("holds nothing else", func(t *testing.T) { testImageContents(t, image) })
}

func testSwappedRoutes(t *testing.T, image *image) {
	dir := t.TempDir()
	routes := mountConfigMap(t, dir, web+`routes: {a: {match: {path: /version}, respond: {body: one}}}`)
	p := image.serve(t, dir)
	p.waitLog("routes loaded", nil)
	for _, version := range []string{"two", "three", "four"} {
		m := p.log.mark()
		routes.swap(web + `routes: {a: {match: {path: /version}, respond: {body: ` + version + `}}}`)
		p.waitLogAfter(m, "routes loaded", nil)
		if got := get(t, p.http("/version")); got.status != 200 || got.body != version {
			t.Fatalf("after the swap: %d %q, wanted %q", got.status, got.body, version)
		}
	}
}

func testImageContents(t *testing.T, image *image) {
	if user := image.podman(t, "inspect", "--format", "{{.Config.User}}", image.name); user != "65532:65532" {
		t.Errorf("the image runs as %q, wanted 65532:65532", user)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	image.podman(t, "export", "-o", archive, image.podman(t, "create", image.name))
	files, err := exec.Command("tar", "-tf", archive).Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(files)) {
		name = strings.TrimSpace(name)
		if !strings.HasSuffix(name, "/") && !imageFiles[name] {
			t.Errorf("the image holds %q, wanted the binary and the certificates only", name)
		}
	}
}

// imageFiles is all that may stand in the image. The last three are podman's: it
// mounts its own over them.
var imageFiles = map[string]bool{
	"tunnelform":                        true,
	"etc/ssl/certs/ca-certificates.crt": true,
	"etc/hosts":                         true,
	"etc/hostname":                      true,
	"etc/resolv.conf":                   true,
}

// TestContainerfilesAgree holds the two Containerfiles' final images equal: the
// tests can only build the one that needs no Go image.
func TestContainerfilesAgree(t *testing.T) {
	t.Parallel()
	from := imageSettings(t, "Containerfile")
	binary := imageSettings(t, "Containerfile.binary")
	if !slices.Equal(from, binary) || len(from) < 5 {
		t.Errorf("Containerfile ends in %q,\nContainerfile.binary in %q", from, binary)
	}
}

// TestContainerfileCopiesTheSource: the Containerfile names the directories that
// the binary is built of, and must not miss one that is added.
func TestContainerfileCopiesTheSource(t *testing.T) {
	t.Parallel()
	containerfile, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "deploy", "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", ".")
	list.Dir = moduleRoot
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		t.Fatal("the binary is built of no packages")
	}
	for name := range strings.Lines(string(packages)) {
		parts := strings.Split(strings.TrimSpace(name), "/")
		if len(parts) < 4 {
			continue // main itself
		}
		if top := parts[3]; !strings.Contains(string(containerfile), "\nCOPY "+top+" "+top+"\n") {
			t.Errorf("the binary is built of %s, which the Containerfile does not copy", strings.TrimSpace(name))
		}
	}
}

// imageSettings are the instructions behind FROM scratch, but what is copied
// from where.
func imageSettings(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	_, final, found := strings.Cut(string(data), "\nFROM scratch\n")
	if !found {
		t.Fatalf("%s has no final stage FROM scratch", name)
	}
	copied := regexp.MustCompile(`^COPY .* `)
	var settings []string
	for text := range strings.Lines(final) {
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			settings = append(settings, copied.ReplaceAllString(text, "COPY "))
		}
	}
	return settings
}

// image is a built image in a store of its own, removed with the test.
type image struct {
	name  string
	store []string // podman's global flags
}

// buildImage builds the image, or skips the test with the reason why this
// machine cannot run one.
func buildImage(t *testing.T) *image {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("containers share the host's network on Linux only")
	}
	for _, tool := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: %v", tool, err)
		}
	}
	built := &image{name: "localhost/tunnelform-e2e"}
	built.store = podmanStore(t)
	if output, err := built.command("info").CombinedOutput(); err != nil {
		t.Skipf("podman does not work here: %v\n%s", err, output)
	}
	built.podman(t, "build", "-q", "-t", built.name, "-f", filepath.Join(moduleRoot, "docs", "deploy", "Containerfile.binary"), imageContext(t))
	built.probe(t)
	return built
}

// podmanStore is an image store that belongs to this test. Its path must be
// short: podman puts sockets into it.
func podmanStore(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the image store: %v", err)
		}
	})
	return []string{
		"--root", filepath.Join(dir, "r"), "--runroot", filepath.Join(dir, "n"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--runtime", "runc",
	}
}

// imageContext is the directory that Containerfile.binary asks for.
func imageContext(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	env := append(os.Environ(), "CGO_ENABLED=0")
	if _, err := build(filepath.Join(dir, "tunnelform"), env, "-trimpath", "-ldflags=-s -w"); err != nil {
		t.Fatal(err)
	}
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		roots = nil // no backend is verified in these tests
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates.crt"), roots, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// probe runs `tunnelform version` once. A status of 125 to 127 is podman's own:
// this machine does not let it start containers.
func (i *image) probe(t *testing.T) {
	t.Helper()
	output, err := i.command(i.runArgs("--rm", i.name, "version")...).CombinedOutput()
	exit, failed := err.(*exec.ExitError)
	switch {
	case failed && exit.ExitCode() >= 125 && exit.ExitCode() <= 127:
		t.Skipf("podman cannot run a container here: %v\n%s", err, output)
	case err != nil:
		t.Fatalf("tunnelform version in a container: %v\n%s", err, output)
	}
}

// serve runs the image with dir mounted where it looks for routes.
func (i *image) serve(t *testing.T, dir string) *proxy {
	t.Helper()
	// A signal to a container that is just ending is worth a line to podman.
	p := &proxy{t: t, dir: dir, runner: []string{"time=", "Error: "}}
	p.run(i.command(i.runArgs("--rm", "--read-only", "--cap-drop", "ALL", "-v", dir+":/etc/tunnelform:ro", i.name)...))
	return p
}

// runArgs are `podman run` with this machine's network, and with limits that a
// machine which may not raise its own grants as well.
func (i *image) runArgs(args ...string) []string {
	limit := func(name string, n int) string { return fmt.Sprintf("%s=%d:%d", name, n, n) }
	return append([]string{"run", "--network", "host", "--ulimit", limit("nofile", 1024), "--ulimit", limit("nproc", 1024)}, args...)
}

func (i *image) command(args ...string) *exec.Cmd {
	return exec.Command("podman", append(slices.Clone(i.store), args...)...)
}

// podman runs one command and returns what it printed.
func (i *image) podman(t *testing.T, args ...string) string {
	t.Helper()
	command := i.command(args...)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("podman %s: %v\n%s", strconv.Quote(strings.Join(args, " ")), err, complaints.String())
	}
	return strings.TrimSpace(string(output))
}
