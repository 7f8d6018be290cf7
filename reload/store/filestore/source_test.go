// A source over files, directories and everything else that a path may lead to.
package filestore

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

func newSource(t *testing.T, o Options, paths ...string) *Source {
	t.Helper()
	s, err := NewSource(paths, o)
	must(t, err)
	return s
}

var quick = Options{Settle: time.Millisecond}

func TestSourceOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	put(t, path, "routes: {}\n")
	snap, err := newSource(t, quick, path).Read(t.Context())
	must(t, err)
	want := store.RevisionOf([]byte("routes: {}\n"))
	if snap.Revision != want || len(snap.Documents) != 1 || snap.Documents[0].Revision != want {
		t.Errorf("snapshot %+v, want one document and revision %s for both", snap, want)
	}
	if snap.Documents[0].Path != path || snap.Inputs != "" {
		t.Errorf("path %q and inputs %q, want %q and none", snap.Documents[0].Path, snap.Inputs, path)
	}
}

func TestSourceDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", ".hidden.yaml", "readme.md", "c.yaml.orig", "d.YAML", "x.json"} {
		put(t, filepath.Join(dir, name), name)
	}
	put(t, filepath.Join(mkdir(t, dir, "sub"), "deep.yaml"), "deep")
	mkdir(t, dir, "directory.yaml")
	must(t, os.Symlink("sub/deep.yaml", filepath.Join(dir, "link.yaml")))
	named := filepath.Join(dir, "x.json") // named, whatever it is called

	snap, err := newSource(t, quick, dir, named, filepath.Join(dir, "sub", "..", "b.yaml")).Read(t.Context())
	must(t, err)
	if got, want := contents(dir, snap), "a.yml=a.yml b.yaml=b.yaml link.yaml=deep x.json=x.json"; got != want {
		t.Errorf("documents %s, want %s", got, want)
	}
}

func TestSourceEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	s := newSource(t, quick, dir)
	empty, err := s.Read(t.Context())
	must(t, err)
	if len(empty.Documents) != 0 || empty.Revision == "" {
		t.Errorf("snapshot %+v, want no documents and a revision", empty)
	}
	put(t, filepath.Join(dir, "a.yaml"), "")
	one, err := s.Read(t.Context())
	must(t, err)
	if one.Revision == empty.Revision {
		t.Error("an empty file has not changed the revision")
	}
}

// The revision of a set changes only with its names and contents.
func TestSourceRevision(t *testing.T) {
	dir := t.TempDir()
	s := newSource(t, quick, dir)
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	put(t, a, "one")
	first := revision(t, s)
	must(t, os.Chtimes(a, time.Unix(0, 0), time.Unix(0, 0)))
	if revision(t, s) != first {
		t.Error("the revision has changed with the times alone")
	}
	must(t, os.Rename(a, b))
	if revision(t, s) == first {
		t.Error("the revision has not changed with the name")
	}
	must(t, os.Rename(b, a))
	if revision(t, s) != first {
		t.Error("the revision has not come back with the name")
	}
	put(t, a, "two")
	if revision(t, s) == first {
		t.Error("the revision has not changed with the content")
	}
}

func revision(t *testing.T, s *Source) string {
	t.Helper()
	snap, err := s.Read(t.Context())
	must(t, err)
	return snap.Revision
}

// contents prints a snapshot.
func contents(dir string, snap store.Snapshot) string {
	var list []string
	for _, d := range snap.Documents {
		name, _ := filepath.Rel(dir, d.Path)
		list = append(list, name+"="+string(d.Data))
	}
	return strings.Join(list, " ")
}

// Each of these is an error that says what is wrong and names the path, without blocking.
func TestSourceRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"missing", func(*testing.T, string) {}, "no such file or directory"},
		{"named pipe", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o644)) }, "is a named pipe, want a regular file"},
		{"link to a named pipe", func(t *testing.T, path string) {
			must(t, syscall.Mkfifo(path+".pipe", 0o644))
			must(t, os.Symlink(path+".pipe", path))
		}, "is a named pipe, want a regular file"},
		{"socket", makeSocket, "is a socket, want a regular file"},
		{"endless device", func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) }, "is a device, want a regular file"},
		{"link to nothing", func(t *testing.T, path string) { must(t, os.Symlink("gone", path)) }, `is a symbolic link to "gone", which leads nowhere`},
		{"link to itself", func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) }, "too many levels of symbolic links"},
		{"links in a ring", func(t *testing.T, path string) {
			must(t, os.Symlink(path+".other", path))
			must(t, os.Symlink(path, path+".other"))
		}, "too many levels of symbolic links"},
		{"below a file", func(t *testing.T, path string) {
			must(t, os.Remove(filepath.Dir(path)))
			put(t, filepath.Dir(path), "a file")
		}, "not a directory"},
		{"too large", func(t *testing.T, path string) { put(t, path, strings.Repeat("x", 1001)) }, "is larger than the limit of 1000 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(mkdir(t, t.TempDir(), "d"), "routes.yaml")
			test.make(t, path)
			o := quick
			o.MaxSize = 1000
			_, err := newSource(t, o, path).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and %q", err, test.want, path)
			}
		})
	}
}

func makeSocket(t *testing.T, path string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
}

// A directory in place of a file is a set of its own: the file does not just vanish.
func TestSourceDirectoryInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	put(t, path, "one")
	file := revision(t, newSource(t, quick, path))
	must(t, os.Remove(path))
	mkdir(t, path)
	if _, err := open(t, path, quick).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "is a directory, want a regular file") {
		t.Errorf("store: error %v, want one that says it is a directory", err)
	}
	if revision(t, newSource(t, quick, path)) == file {
		t.Error("the revision has not changed")
	}
}

func TestSourceNamesEveryFault(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o644))
	must(t, os.Symlink("gone", filepath.Join(dir, "link.yaml")))
	put(t, filepath.Join(dir, "good.yaml"), "good")
	_, err := newSource(t, quick, dir, filepath.Join(dir, "missing")).Read(t.Context())
	for _, want := range []string{"pipe.yaml", "link.yaml", "missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that names %q", err, want)
		}
	}
}

func TestNewSourceRefuses(t *testing.T) {
	for _, paths := range [][]string{nil, {""}, {"a", ""}} {
		if _, err := NewSource(paths, Options{}); err == nil {
			t.Errorf("NewSource(%q) gave no error", paths)
		}
	}
	if _, err := Open("", Options{}); err == nil {
		t.Error(`Open("") gave no error`)
	}
}

// Inputs changes when an extra file changes, comes or goes, whatever it is, and does not
// depend on the order.
func TestSourceInputs(t *testing.T) {
	dir := t.TempDir()
	path, cert, key := filepath.Join(dir, "routes.yaml"), filepath.Join(dir, "site.crt"), filepath.Join(dir, "site.key")
	put(t, path, "one")
	s := newSource(t, quick, path)
	inputs := func() string {
		snap, err := s.Read(t.Context())
		must(t, err)
		return snap.Inputs
	}
	s.Also([]string{key, cert, cert})
	seen := map[string]string{inputs(): "nothing"}
	step := func(what string, change func()) {
		change()
		now := inputs()
		if before, ok := seen[now]; ok {
			t.Errorf("after %s the inputs are as after %s", what, before)
		}
		seen[now] = what
	}
	step("certificate", func() { put(t, cert, "certificate") })
	step("key", func() { put(t, key, "key") })
	step("renewal", func() { put(t, cert, "renewed") })
	step("pipe", func() { must(t, os.Remove(key)); must(t, syscall.Mkfifo(key, 0o600)) })
	step("none named", func() { s.Also(nil) })
	s.Also([]string{cert, key})
	if now := inputs(); seen[now] != "pipe" {
		t.Error("the inputs have changed with the order they were named in")
	}
}
