package e2e

// The documentation is held to what the product does: every routes file in it
// checks, and every link leads somewhere.

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// TestDocumentedRoutesFiles parses and checks every ```yaml block. A block that
// leaves `version: 1` out is a part of a file, and is completed.
func TestDocumentedRoutesFiles(t *testing.T) {
	t.Parallel()
	blocks := 0
	for _, page := range pages(t) {
		for _, block := range fences(t, page, "yaml") {
			blocks++
			file, mistakes := routefile.Parse(block.page, block.padded())
			if len(mistakes) == 0 {
				mistakes = routefile.Check(file)
			}
			for _, mistake := range mistakes {
				t.Error(mistake)
			}
		}
	}
	if blocks < 15 {
		t.Errorf("%d yaml blocks found in the documentation, wanted all of them: at least 15", blocks)
	}
}

// TestPackagedRoutes checks the routes file that packages install.
func TestPackagedRoutes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "deploy", "package", "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file, mistakes := routefile.Parse("routes.yaml", data)
	if mistakes = append(mistakes, routefile.Check(file)...); len(mistakes) > 0 || len(file.Routes) == 0 {
		t.Errorf("%d routes, mistakes: %v", len(file.Routes), mistakes)
	}
}

// TestDocumentedLinks follows every relative link.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	followed := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			followed++
			target := filepath.Join(filepath.Dir(page), filepath.FromSlash(match[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %q: %v", page, match[1], err)
			}
		}
	}
	if followed < 10 {
		t.Errorf("%d links found in the documentation, wanted all of them: at least 10", followed)
	}
}

// pages are the README and every Markdown file of docs.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} {
		found = append(found, filepath.Join(moduleRoot, name))
	}
	err := filepath.WalkDir(filepath.Join(moduleRoot, "docs"), func(name string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// fence is one fenced block of a page.
type fence struct {
	page string // relative to the module
	line int    // of its first line, 1-based
	text string
}

// padded is the block at the same line as on its page, so that a mistake in it
// is named where it stands, behind `version: 1` if the block leaves that out, and
// before routes if it shows none.
func (f fence) padded() []byte {
	text := f.text
	if !strings.Contains("\n"+text, "\nroutes:") {
		text += "\nroutes: {}\n"
	}
	if strings.Contains(text, "version:") {
		return []byte(strings.Repeat("\n", f.line-1) + text)
	}
	return []byte(strings.Repeat("\n", f.line-2) + "version: 1\n" + text)
}

// fences returns a page's blocks of one language.
func fences(t *testing.T, page, language string) []fence {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(moduleRoot, page)
	if err != nil {
		t.Fatal(err)
	}
	var found []fence
	var open *fence
	for number, text := range strings.Split(string(data), "\n") {
		switch {
		case open == nil && text == "```"+language:
			open = &fence{page: name, line: number + 2}
		case open != nil && text == "```":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += text + "\n"
		}
	}
	return found
}

// TestUnitServesTheDocumentedSocket: the socket in docs/admin.md lies where the unit's user
// may make it, and has its mode under the unit's umask.
func TestUnitServesTheDocumentedSocket(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(moduleRoot, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	setting := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(read("deploy/tunnelform.service"))
		if found == nil {
			t.Fatalf("the unit has no %s", name)
		}
		return found[1]
	}
	sockets := regexp.MustCompile(`--admin unix:(/[^ `+"`"+`]+)`).FindAllStringSubmatch(read("admin.md")+read("deploy/tunnelform.service"), -1)
	if len(sockets) < 3 {
		t.Errorf("%d examples of a socket in docs/admin.md and the unit, wanted some", len(sockets))
	}
	for _, socket := range sockets {
		if dir := filepath.Dir(socket[1]); dir != "/run/"+setting("RuntimeDirectory") {
			t.Errorf("%s is in %s, wanted the unit's RuntimeDirectory", socket[1], dir)
		}
	}
	path := filepath.Join(shortDir(t), "admin.sock")
	p := &proxy{t: t, dir: t.TempDir()}
	p.write(routesFile, noRoutes)
	command := exec.Command("sh", "-c", `umask "$0" && exec "$@"`, setting("UMask"), binary(t), "serve", "--admin", "unix:"+path, routesFile)
	command.Dir = p.dir
	p.run(command)
	p.waitLog("admin listening", nil)
	if got, want := fileMode(t, path), fmt.Sprint("0660 ", os.Getegid()); got != want {
		t.Errorf("the socket: %s, wanted %s", got, want)
	}
}
