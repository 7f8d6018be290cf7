package routefile

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMistakes reads testdata/mistakes: each archive is a set of routes files
// and the mistakes that it has, as a terminal shows them.
// go test -run Mistakes -update writes what is found.
func TestMistakes(t *testing.T) {
	paths, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), wantMark)
			got := mistakesOf(t, input)
			if *update {
				if err := os.WriteFile(path, []byte(input+wantMark+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// wantMark parts the files of an archive from the mistakes.
const wantMark = "-- want --\n"

func mistakesOf(t *testing.T, archive string) string {
	var files []*File
	sources := archiveFiles(archive)
	for _, name := range sortedNames(sources) {
		f, _ := Parse(name, sources[name])
		files = append(files, f)
	}
	errs := Check(files...)
	if len(errs) == 0 {
		t.Error("no mistakes")
	}
	var b bytes.Buffer
	if err := errs.Print(&b, sources); err != nil {
		t.Fatal(err)
	}
	return longList.ReplaceAllString(b.String(), "$1...")
}

// longList is the keys that a route may have, which would change with each new one.
var longList = regexp.MustCompile(`(unknown key "[^"]*": wanted )[^\n]{60,}`)

// archiveFiles splits "-- name --" archives, as txtar has them.
func archiveFiles(archive string) map[string][]byte {
	files := map[string][]byte{}
	name := ""
	for line := range strings.Lines(archive) {
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --\n") {
			name = strings.TrimSuffix(inner, " --\n")
			files[name] = []byte{}
			continue
		}
		if name != "" {
			files[name] = append(files[name], line...)
		}
	}
	return files
}
