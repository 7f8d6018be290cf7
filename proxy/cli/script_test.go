package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata/script")

// script is one file of testdata/script: lines of commands, then the files that
// they read and the outputs that are expected, each below a line `-- name --`.
//
//	tunnelform ARG...      run a command; the exit status must be 0 unless the next line is `exit N`
//	stdin FILE             the next command's standard input
//	terminal               from now on standard error is a terminal
//	stdout FILE, stderr FILE   the last command's output is the file; "-" is nothing
//	match stdout REGEXP    the last command's output matches
//	cmp FILE FILE          two files are the same
//	mode MODE FILE, mode? MODE FILE   set, or expect, a file's mode
type script struct {
	t        *testing.T
	path     string
	lines    []string
	files    []scriptFile
	terminal bool
	stdin    string
	out      map[string]string // of the last command
}

type scriptFile struct{ name, text string }

func TestScripts(t *testing.T) {
	paths, _ := filepath.Glob("testdata/script/*.txtar")
	if len(paths) < 4 {
		t.Fatalf("found %d scripts", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			s := readScript(t, path)
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			s.path = filepath.Join(here, path)
			t.Chdir(t.TempDir())
			s.unpack()
			s.run()
			s.save()
		})
	}
}

func readScript(t *testing.T, path string) *script {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t}
	for line := range strings.Lines(string(data)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch {
		case ok && closed:
			s.files = append(s.files, scriptFile{name: name})
		case len(s.files) == 0:
			s.lines = append(s.lines, strings.TrimSuffix(line, "\n"))
		default:
			s.files[len(s.files)-1].text += line
		}
	}
	return s
}

func (s *script) unpack() {
	for _, f := range s.files {
		s.must(os.MkdirAll(filepath.Dir(f.name), 0o755))
		s.must(os.WriteFile(f.name, []byte(f.text), 0o644))
	}
}

func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) run() {
	for i, line := range s.lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		next := ""
		if i+1 < len(s.lines) {
			next = s.lines[i+1]
		}
		s.line(i+1, strings.Fields(line), next)
	}
}

func (s *script) line(number int, words []string, next string) {
	switch words[0] {
	case "tunnelform":
		s.command(number, words[1:], next)
	case "exit":
	case "stdin":
		s.stdin = s.read(words[1])
	case "terminal":
		s.terminal = true
	case "stdout", "stderr":
		s.expect(number, words[0], words[1])
	case "match":
		if want := regexp.MustCompile(strings.Join(words[2:], " ")); !want.MatchString(s.out[words[1]]) {
			s.t.Errorf("line %d: %s %q does not match %s", number, words[1], s.out[words[1]], want)
		}
	case "cmp":
		if a, b := s.read(words[1]), s.read(words[2]); a != b {
			s.t.Errorf("line %d: %s is %q, %s is %q", number, words[1], a, words[2], b)
		}
	case "mode":
		s.must(os.Chmod(words[2], s.mode(words[1])))
	case "mode?":
		info, err := os.Stat(words[2])
		s.must(err)
		if info.Mode().Perm() != s.mode(words[1]) {
			s.t.Errorf("line %d: mode is %v, want %s", number, info.Mode(), words[1])
		}
	default:
		s.t.Fatalf("line %d: unknown command %q", number, words[0])
	}
}

func (s *script) mode(text string) os.FileMode {
	mode, err := strconv.ParseUint(text, 8, 32)
	s.must(err)
	return os.FileMode(mode)
}

func (s *script) read(name string) string {
	data, err := os.ReadFile(name)
	s.must(err)
	return string(data)
}

// command runs Main's steps, so that standard error can be a terminal.
func (s *script) command(number int, args []string, next string) {
	want := 0
	if n, ok := strings.CutPrefix(next, "exit "); ok {
		want, _ = strconv.Atoi(n)
	}
	var stdout, stderr bytes.Buffer
	env := &Env{Stdin: strings.NewReader(s.stdin), Stdout: &stdout, Stderr: &stderr, IsTerminal: s.terminal}
	got := execute(s.t.Context(), env, args)
	s.stdin, s.out = "", map[string]string{"stdout": stdout.String(), "stderr": stderr.String()}
	if got != want {
		s.t.Errorf("line %d: exit status %d, want %d\n%s%s", number, got, want, &stdout, &stderr)
	}
}

// expect compares an output with a file of the script, or updates it.
func (s *script) expect(number int, stream, name string) {
	got, want := s.out[stream], ""
	if name != "-" {
		want = s.read(name)
	}
	if *update && name != "-" {
		s.must(os.WriteFile(name, []byte(got), 0o644))
		for i := range s.files {
			if s.files[i].name == name {
				s.files[i].text = got
			}
		}
		return
	}
	if got != want {
		s.t.Errorf("line %d: %s is:\n%s\nwant:\n%s", number, stream, got, want)
	}
}

// save writes the script back after an update.
func (s *script) save() {
	if !*update {
		return
	}
	text := strings.Join(s.lines, "\n") + "\n"
	for _, f := range s.files {
		text += fmt.Sprintf("-- %s --\n%s", f.name, f.text)
	}
	s.must(os.WriteFile(s.path, []byte(text), 0o644))
}
