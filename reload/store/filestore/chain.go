// The directories that have to be watched for a path.
package filestore

import (
	"os"
	"path/filepath"
	"strings"
)

// dirEntry is a name in a directory. What happens to it may change what a path leads to.
// The name "" stands for all names of routes files.
type dirEntry struct{ dir, name string }

// chain returns the entries that an absolute path leads through: each symbolic link, and
// the last element. It ends with an element that is missing, so that it is noticed when it
// comes. The directories are free of links.
//
// Directories on the way have no entries: when one is moved or removed, the watch on it
// says so.
func chain(path string) []dirEntry {
	const deepest = 40 // links, as the kernel's MAXSYMLINKS
	var entries []dirEntry
	dir, rest := "/", elements(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			dir = filepath.Dir(dir)
			continue
		}
		here := filepath.Join(dir, name)
		info, err := os.Lstat(here)
		switch {
		case err != nil:
			return append(entries, dirEntry{dir, name})
		case info.Mode()&os.ModeSymlink != 0:
			entries = append(entries, dirEntry{dir, name})
			to, err := os.Readlink(here)
			if links++; err != nil || links > deepest {
				return entries
			}
			if filepath.IsAbs(to) {
				dir = "/"
			}
			rest = append(elements(to), rest...)
		case len(rest) == 0:
			return append(entries, dirEntry{dir, name})
		default:
			dir = here
		}
	}
	return append(entries, dirEntry{dir, "."})
}

// elements splits a path without cleaning it: "a/../b" is not "b" when a is a
// link.
func elements(path string) []string {
	var list []string
	for e := range strings.SplitSeq(path, "/") {
		if e != "" && e != "." {
			list = append(list, e)
		}
	}
	return list
}

// entriesOf returns what to watch for a set of paths. A directory stands for the routes
// files in it.
func entriesOf(paths []string) []dirEntry {
	var all []dirEntry
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			continue // there is no working directory; the poll notices when there is
		}
		all = append(all, chain(abs)...)
		if isDir(abs) {
			all = append(all, entriesIn(abs)...)
		}
	}
	return all
}

// entriesIn returns the entries of a directory's routes files.
func entriesIn(dir string) []dirEntry {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	all := []dirEntry{{real, ""}}
	entries, _ := os.ReadDir(real)
	for _, e := range entries {
		if isRoutesName(e.Name()) && e.Type()&os.ModeSymlink != 0 {
			all = append(all, chain(filepath.Join(real, e.Name()))...)
		}
	}
	return all
}
