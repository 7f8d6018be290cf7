// What writers keep and leave behind, and their errors.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

func TestWriteKeepsMode(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o644, 0o664, 0o666} {
		path := filepath.Join(t.TempDir(), "routes.yaml")
		put(t, path, "old")
		must(t, os.Chmod(path, mode))
		_, err := open(t, path, quick).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
		must(t, err)
		if info, _ := os.Stat(path); info.Mode() != mode {
			t.Errorf("mode %v after a write, want %v", info.Mode(), mode)
		}
	}
}

func TestWriteKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can give a file away, to have one that is another's")
	}
	path := filepath.Join(t.TempDir(), "routes.yaml")
	put(t, path, "old")
	must(t, os.Chown(path, 1234, 5678))
	must(t, os.Chmod(path, 0o640))
	_, err := open(t, path, quick).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	sys := info.Sys().(*syscall.Stat_t)
	if sys.Uid != 1234 || sys.Gid != 5678 || info.Mode() != 0o640 {
		t.Errorf("owner %d:%d, mode %v after a write, want 1234:5678, 0640", sys.Uid, sys.Gid, info.Mode())
	}
}

// Links stay links. The lock and the temporary file are made beside the target, since a
// rename cannot cross file systems.
func TestWriteThroughLinks(t *testing.T) {
	dir := t.TempDir()
	real := mkdir(t, dir, "real")
	must(t, os.Symlink("real", filepath.Join(dir, "dir")))
	must(t, os.Symlink("dir/middle", filepath.Join(dir, "routes.yaml")))
	must(t, os.Symlink("target.yaml", filepath.Join(real, "middle")))
	s := open(t, filepath.Join(dir, "routes.yaml"), quick)
	rev, err := s.Write(t.Context(), []byte("made through links"), "")
	must(t, err)
	_, err = s.Write(t.Context(), []byte("changed through links"), rev)
	must(t, err)
	if got := get(t, filepath.Join(real, "target.yaml")); got != "changed through links" {
		t.Errorf("the target holds %q", got)
	}
	if got, want := names(t, dir), "dir real routes.yaml"; got != want {
		t.Errorf("beside the link: %s, want %s", got, want)
	}
	if got, want := names(t, real), ".target.yaml.lock middle target.yaml"; got != want {
		t.Errorf("beside the target: %s, want %s", got, want)
	}
	for _, link := range []string{filepath.Join(dir, "routes.yaml"), filepath.Join(real, "middle")} {
		if _, err := os.Readlink(link); err != nil {
			t.Errorf("no link any more: %v", err)
		}
	}
}

// Every name of a file is resolved to the same one, whether the file exists or not.
func TestResolve(t *testing.T) {
	dir := realTempDir(t)
	mkdir(t, dir, "a", "b")
	mkdir(t, dir, "c")
	for link, to := range map[string]string{
		"far":    "a/b",
		"up":     "far/../x", // a/x, not x
		"abs":    filepath.Join(dir, "a", "x"),
		"c/back": "../up",
		"nodir":  "missing/x",
	} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	for path, want := range map[string]string{"a/x": "a/x", "up": "a/x", "abs": "a/x", "c/back": "a/x", "far/y": "a/b/y", "c/z": "c/z"} {
		got, err := resolve(filepath.Join(dir, path))
		if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("resolve(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
	if got, err := resolve(filepath.Join(dir, "nodir")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("resolve of a link into no directory = %q, %v, want an error", got, err)
	}
	if got, err := resolve("/routes.yaml"); err != nil || got != "/routes.yaml" {
		t.Errorf(`resolve("/routes.yaml") = %q, %v`, got, err)
	}
}

// names lists a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestWriteRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		data string
		want string
	}{
		{"no directory", func(t *testing.T, path string) { must(t, os.Remove(filepath.Dir(path))) }, "new", "no such file or directory"},
		{"links in a ring", func(t *testing.T, path string) { must(t, os.Symlink(path, path)) }, "new", "too many levels of symbolic links"},
		{"a named pipe", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }, "new", "is a named pipe, want a regular file"},
		{"a directory", func(t *testing.T, path string) { mkdir(t, path) }, "new", "is a directory, want a regular file"},
		{"too large", func(*testing.T, string) {}, strings.Repeat("x", 1001), "is larger than the limit of 1000 bytes"},
		{"a link for a lock", func(t *testing.T, path string) { must(t, os.Symlink("/etc/passwd", lockPath(path))) }, "new", "lock file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(mkdir(t, t.TempDir(), "d"), "routes.yaml")
			test.make(t, path)
			o := quick
			o.MaxSize = 1000
			_, err := open(t, path, o).Write(t.Context(), []byte(test.data), "")
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, store.ErrConflict) {
				t.Errorf("error %v, want one with %q that is no conflict", err, test.want)
			}
			if entries, _ := filepath.Glob(filepath.Join(filepath.Dir(path), tempPrefix(path)+"*")); entries != nil {
				t.Errorf("left behind: %q", entries)
			}
		})
	}
}

// A writer that was killed while it held the lock blocks no other, and the next one
// removes what it left.
func TestWriterKilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "old")
	cmd := process(t, "hold", path, "half")
	in, err := cmd.StdinPipe()
	must(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line := firstLine(t, out); line != "held\n" {
		t.Fatalf("the helper said %q", line)
	}

	s := open(t, path, quick)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.Write(ctx, []byte("new"), store.RevisionOf([]byte("old")))
	if !errors.Is(err, context.DeadlineExceeded) || get(t, path) != "old" {
		t.Errorf("error %v while another holds the lock, want %v and nothing written", err, context.DeadlineExceeded)
	}
	_, err = lock(ctx, path)
	if err == nil || !strings.Contains(err.Error(), "is held by another writer") {
		t.Errorf("error %v while another holds the lock, want one that says so", err)
	}
	if !strings.Contains(names(t, dir), tempPrefix(path)) {
		t.Error("the helper has made no temporary file")
	}

	must(t, cmd.Process.Kill())
	cmd.Wait() // an error: it was killed
	_, err = s.Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
	must(t, err)
	if got, want := names(t, dir), ".routes.yaml.lock routes.yaml"; got != want {
		t.Errorf("the directory holds %s, want %s", got, want)
	}
}

// Processes that add lines to one file lose no line.
func TestProcessesWriteOneFile(t *testing.T) {
	const processes, lines = 3, 10
	path := filepath.Join(t.TempDir(), "routes.yaml")
	put(t, path, "")
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			if out, err := process(t, "append", path, fmt.Sprint(lines)).Output(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for line := range strings.Lines(get(t, path)) {
		seen[line]++
	}
	if len(seen) != processes*lines {
		t.Errorf("%d lines, want %d", len(seen), processes*lines)
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%q is there %d times", line, n)
		}
	}
}

// A program that does not take the lock changes the file between the first comparison and
// the rename.
func TestCommitComparesAgain(t *testing.T) {
	for _, test := range []struct{ before, prev string }{
		{"old", store.RevisionOf([]byte("old"))},
		{"", ""},
	} {
		path := filepath.Join(t.TempDir(), "routes.yaml")
		s := open(t, path, quick)
		temp, err := s.writeTemp(path, []byte("new"), nil)
		must(t, err)
		put(t, path, "by hand")
		if err := s.commit(temp, path, test.prev); !errors.Is(err, store.ErrConflict) {
			t.Errorf("commit over a hand's edit: error %v, want a conflict", err)
		}
		if got := get(t, path); got != "by hand" {
			t.Errorf("the file holds %q, want what the hand wrote", got)
		}
	}
}

// Readers see only contents that were written.
func TestReadersSeeWholeContents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.yaml")
	s := open(t, path, Options{Settle: -1})
	whole := func(i int) string { return strings.Repeat(fmt.Sprintf("%03d\n", i), 5000) }
	rev, err := s.Write(t.Context(), []byte(whole(0)), "")
	must(t, err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			doc, err := s.Read(t.Context())
			if err != nil || len(doc.Data) != 20000 || strings.Count(string(doc.Data), string(doc.Data[:4])) != 5000 {
				t.Errorf("read %d bytes, error %v, want 20000 of one writing", len(doc.Data), err)
				return
			}
		}
	})
	for i := range 100 {
		rev, err = s.Write(t.Context(), []byte(whole(i)), rev)
		must(t, err)
	}
	close(done)
	wg.Wait()
}

// TestReplace: the file is the new one, and readable by all users.
func TestReplace(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	for _, content := range []string{"first", "second"} {
		must(t, Replace(path, []byte(content)))
		info, err := os.Stat(path)
		must(t, err)
		if got := get(t, path); got != content || info.Mode().Perm() != 0o644 {
			t.Errorf("holds %q with mode %v, want %q with 0644", got, info.Mode(), content)
		}
		must(t, os.Chmod(path, 0o600))
	}
	mkdir(t, dir, "taken")
	if err := Replace(filepath.Join(dir, "taken"), []byte("new")); err == nil {
		t.Error("a directory was replaced")
	}
	if got := names(t, dir); got != "status.json taken" {
		t.Errorf("the directory holds %s", got)
	}
}
