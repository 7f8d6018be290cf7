// The directory entries that are watched for a path, compared with filepath.EvalSymlinks.
package filestore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestChain(t *testing.T) {
	dir := realTempDir(t)
	put(t, filepath.Join(mkdir(t, dir, "vol", "..v1"), "routes.yaml"), "")
	mkdir(t, dir, "deep", "down")
	for link, to := range map[string]string{
		"vol/..data":      "..v1",
		"vol/routes.yaml": "..data/routes.yaml",
		"abs":             filepath.Join(dir, "vol", "routes.yaml"),
		"up":              "deep/down/../../vol/routes.yaml",
		"dir":             "vol",
		"far":             "deep/down",
		"dangling":        "vol/..data/none",
		"ring":            "ring2",
		"ring2":           "ring",
	} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	for _, test := range []struct{ path, want string }{
		{"vol/..v1/routes.yaml", "vol/..v1:routes.yaml"},
		{"vol/routes.yaml", "vol:routes.yaml vol:..data vol/..v1:routes.yaml"},
		{"abs", ".:abs vol:routes.yaml vol:..data vol/..v1:routes.yaml"},
		{"up", ".:up vol:routes.yaml vol:..data vol/..v1:routes.yaml"},
		{"dir/routes.yaml", ".:dir vol:routes.yaml vol:..data vol/..v1:routes.yaml"},
		{"far/../x", ".:far deep:x"}, // ".." is where the link leads, not where it stands
		{"dangling", ".:dangling vol:..data vol/..v1:none"},
		{"missing/a/b", ".:missing"},
		{"vol/..v1/routes.yaml/below", "vol/..v1/routes.yaml:below"},
		{"deep", ".:deep"},
		{"deep/down/..", "deep:."},
	} {
		var got []string
		for _, p := range chain(dir + "/" + test.path) {
			rel, _ := filepath.Rel(dir, p.dir)
			got = append(got, rel+":"+p.name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("chain(%s)\n got %s\nwant %s", test.path, strings.Join(got, " "), test.want)
		}
	}
	if n := len(chain(dir + "/ring")); n != 41 {
		t.Errorf("a ring of links gives %d entries, want 41: the links that may be followed, and the one too many", n)
	}
}

// realTempDir is free of links, which TMPDIR need not be.
func realTempDir(t testing.TB) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// FuzzChain makes a tree of lines "d PATH", "f PATH" and "l PATH TO". The chain of every
// path that leads to a file must end there.
func FuzzChain(f *testing.F) {
	f.Add("d a\nf a/x\nl b a\nl c b/x", "c")
	f.Add("d a\nd b\nf b/x\nl a/l ../b\nl m a/l/../b/x", "m")
	f.Add("d a\nd a/b\nl a/b/up ../..\nf z", "a/b/up/z")
	f.Add("l a b\nl b a", "a")
	f.Add("d a\nl s a/..\nf x", "s/./s//x")
	f.Fuzz(func(t *testing.T, tree, path string) {
		dir := realTempDir(t)
		if !grow(dir, tree) || !tame(path) {
			t.Skip("no tree that can be made")
		}
		want, err := filepath.EvalSymlinks(dir + "/" + path)
		if err != nil {
			return
		}
		entries := chain(dir + "/" + path)
		last := entries[len(entries)-1]
		if got := filepath.Join(last.dir, last.name); got != want {
			t.Errorf("the chain of %q ends at %q, want %q\n%v", path, got, want, entries)
		}
		for _, p := range entries {
			if real, err := filepath.EvalSymlinks(p.dir); real != p.dir {
				t.Errorf("place %v is in a directory that is %q, %v: want no links in it", p, real, err)
			}
		}
	})
}

// tame reports whether a path cannot lead out of a temporary directory.
func tame(path string) bool {
	return len(path) < 100 && !strings.ContainsAny(path, "\x00\n") && strings.Count(path, "..") < 3 && path != ""
}

// grow makes a tree and reports whether there is one.
func grow(dir, tree string) bool {
	lines := strings.Split(tree, "\n")
	if len(lines) > 10 {
		return false
	}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 || slices.ContainsFunc(words, func(w string) bool { return !tame(w) || strings.HasPrefix(w, "/") }) {
			continue
		}
		path := filepath.Join(dir, filepath.Clean("/"+words[1]))
		switch {
		case words[0] == "d":
			os.Mkdir(path, 0o755)
		case words[0] == "f":
			os.WriteFile(path, nil, 0o644)
		case words[0] == "l" && len(words) == 3:
			os.Symlink(words[2], path)
		}
	}
	return true
}

// The cost of setting the watches again, and of reading everything once.
func BenchmarkSource(b *testing.B) {
	for _, set := range []struct{ files, size int }{{1, 1 << 20}, {1, 16 << 20}, {1000, 1 << 10}} {
		dir := b.TempDir()
		for i := range set.files {
			if err := os.WriteFile(fmt.Sprintf("%s/%d.yaml", dir, i), make([]byte, set.size), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		s, err := NewSource([]string{dir}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("files=%d/bytes=%d", set.files, set.size)
		b.Run("take/"+name, func(b *testing.B) {
			for b.Loop() {
				s.readOnce()
			}
		})
		b.Run("places/"+name, func(b *testing.B) {
			for b.Loop() {
				entriesOf(s.paths)
			}
		})
	}
}
