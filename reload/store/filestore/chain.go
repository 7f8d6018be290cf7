// Which directories have to be watched for one path.
package filestore

import (
	"os"
	"path/filepath"
	"strings"
)

// place is a name in a directory: something that happens to it may change what a
// path leads to. name "" means every routes file's name.
type place struct{ dir, name string }

// chain returns the places on the way of an absolute path: each symbolic link,
// and the last element. Where an element is missing the chain ends with it,
// since its coming is what will be noticed. The directories are free of links.
//
// Directories on the way are no places of their own: when one is moved or
// removed, the watch on it tells.
func chain(path string) []place {
	const deepest = 40 // links, as the kernel's MAXSYMLINKS
	var places []place
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
			return append(places, place{dir, name})
		case info.Mode()&os.ModeSymlink != 0:
			places = append(places, place{dir, name})
			to, err := os.Readlink(here)
			if links++; err != nil || links > deepest {
				return places
			}
			if filepath.IsAbs(to) {
				dir = "/"
			}
			rest = append(elements(to), rest...)
		case len(rest) == 0:
			return append(places, place{dir, name})
		default:
			dir = here
		}
	}
	return append(places, place{dir, "."})
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

// places returns what to watch for a set of paths, of which those that are
// directories stand for the routes files in them.
func places(paths []string) []place {
	var all []place
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			continue // no working directory: the poll will tell when there is
		}
		all = append(all, chain(abs)...)
		if isDir(abs) {
			all = append(all, inside(abs)...)
		}
	}
	return all
}

// inside returns the places of a directory's routes files.
func inside(dir string) []place {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	all := []place{{real, ""}}
	entries, _ := os.ReadDir(real)
	for _, e := range entries {
		if isRoutesName(e.Name()) && e.Type()&os.ModeSymlink != 0 {
			all = append(all, chain(filepath.Join(real, e.Name()))...)
		}
	}
	return all
}
