package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/cli"
)

// TestPages: every command has a page, dated as asked, whose examples keep their lines.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	if err := pages(dir, "tunnelform 1.2.3", time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for _, command := range cli.Command().Commands() {
		if command.Name() == "help" {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, "tunnelform-"+command.Name()+".1"))
		if err != nil {
			t.Error(err)
		}
		if heading, _, _ := strings.Cut(string(page), "\n.SH"); !strings.Contains(heading, `"Feb 2001" "tunnelform 1.2.3"`) {
			t.Errorf("%s: heading %q", command.Name(), heading)
		}
	}
	root, err := os.ReadFile(filepath.Join(dir, "tunnelform.1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n.EX\ntunnelform serve routes.yaml "; !strings.Contains(string(root), want) {
		t.Errorf("no %q in %s", want, root)
	}
	if strings.Contains(string(root), "Auto generated") {
		t.Error("the page holds the time of the build")
	}
}

func TestCompletions(t *testing.T) {
	dir := t.TempDir()
	if err := completions(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tunnelform.bash": "complete -o default -F __start_tunnelform tunnelform",
		"_tunnelform":     "#compdef tunnelform",
		"tunnelform.fish": "complete -c tunnelform",
	} {
		script, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(script), want) {
			t.Errorf("%s: no %q", name, want)
		}
	}
}
