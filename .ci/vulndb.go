//go:build ignore

// Vulndb writes the Go vulnerability database into a directory, laid out as
// govulncheck reads it from a file: URL.
//
//	go run .ci/vulndb.go DIR
//
// The entries come from the module golang.org/x/vulndb through the module proxy,
// so that a machine that can build the project can also check it: vuln.go.dev
// need not be reachable.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const source = "golang.org/x/vulndb@latest"

// entry is what the indexes tell of an OSV entry.
type entry struct {
	ID        string    `json:"id"`
	Modified  time.Time `json:"modified"`
	Withdrawn string    `json:"withdrawn"`
	Aliases   []string  `json:"aliases"`
	Affected  []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Type   string `json:"type"`
			Events []struct {
				Introduced string `json:"introduced"`
				Fixed      string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

type moduleVuln struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Fixed    string    `json:"fixed,omitempty"`
}

type module struct {
	Path  string       `json:"path"`
	Vulns []moduleVuln `json:"vulns"`
}

type vuln struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Aliases  []string  `json:"aliases,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run .ci/vulndb.go DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "vulndb:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	downloaded, err := download()
	if err != nil {
		return err
	}
	entries, err := filepath.Glob(filepath.Join(downloaded.Dir, "data", "osv", "*.json"))
	if err != nil {
		return err
	}
	for _, d := range []string{"ID", "index"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}

	var vulns []vuln
	modules := map[string]*module{}
	for _, path := range entries {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if e.Withdrawn != "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "ID", e.ID+".json"), text, 0o644); err != nil {
			return err
		}
		if e.Modified.IsZero() {
			e.Modified = downloaded.Time // few entries of the module say it; a reader of the database wants it
		}
		vulns = append(vulns, vuln{e.ID, e.Modified, e.Aliases})
		for _, affected := range e.Affected {
			name := affected.Package.Name
			m := modules[name]
			if m == nil {
				m = &module{Path: name}
				modules[name] = m
			}
			// One line an entry; a standard library entry names its module once for each of its packages.
			if slices.ContainsFunc(m.Vulns, func(v moduleVuln) bool { return v.ID == e.ID }) {
				continue
			}
			fixed := ""
			for _, r := range affected.Ranges {
				for _, event := range r.Events {
					if event.Fixed != "" {
						fixed = event.Fixed
					}
				}
			}
			m.Vulns = append(m.Vulns, moduleVuln{e.ID, e.Modified, fixed})
		}
	}
	if len(vulns) == 0 {
		return errors.New(source + " holds no entries")
	}

	list := make([]*module, 0, len(modules))
	for _, m := range modules {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	for name, value := range map[string]any{
		"db.json":      map[string]time.Time{"modified": downloaded.Time},
		"modules.json": list,
		"vulns.json":   vulns,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "index", name), text, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d entries of %s\n", len(vulns), downloaded.Time.Format(time.DateOnly))
	return nil
}

type snapshot struct {
	Dir  string
	Time time.Time
}

// download brings the module into the module cache. It runs outside of any module,
// so that no go.mod or go.sum changes.
func download() (snapshot, error) {
	command := exec.Command("go", "mod", "download", "-json", source)
	command.Dir = os.TempDir()
	command.Env = append(os.Environ(), "GOWORK=off")
	said, err := command.Output()
	var module struct{ Dir, Info, Error string }
	if jsonErr := json.Unmarshal(said, &module); jsonErr != nil || module.Error != "" || err != nil {
		return snapshot{}, fmt.Errorf("go mod download %s: %v %s", source, err, module.Error)
	}
	info, err := os.ReadFile(module.Info)
	if err != nil {
		return snapshot{}, err
	}
	s := snapshot{Dir: module.Dir}
	return s, json.Unmarshal(info, &s)
}
