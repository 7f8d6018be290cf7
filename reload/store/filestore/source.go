// The set of files and directories that a proxy follows.
package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// Source reads files and directories as one set. It is safe for concurrent use.
//
// A directory stands for its files "*.yaml" and "*.yml" that are not hidden; its
// subdirectories are not read. A file that is removed from a directory leaves the set. A
// path of the list that is missing is an error, and so is any named pipe or dangling link.
type Source struct {
	paths []string
	opts  Options

	mu       sync.Mutex // guards what follows
	extra    []string   // sorted, distinct
	watchers map[*watcher]struct{}
}

var _ store.Source = (*Source)(nil)

// NewSource returns a source over one or more paths, which need not exist yet. Relative
// paths are resolved at each reading.
func NewSource(paths []string, o Options) (*Source, error) {
	if len(paths) == 0 {
		return nil, errors.New("no routes file: want at least one file or directory")
	}
	s := &Source{opts: o.withDefaults(), watchers: map[*watcher]struct{}{}}
	for _, p := range paths {
		if p == "" {
			return nil, fmt.Errorf("path %q: want the name of a file or directory", p)
		}
		s.paths = append(s.paths, filepath.Clean(p))
	}
	slices.Sort(s.paths)
	s.paths = slices.Compact(s.paths)
	return s, nil
}

// Read returns the set when it has stopped changing. The error has every path that cannot
// be read. A file that does not stop growing is an error after about ten seconds.
func (s *Source) Read(ctx context.Context) (store.Snapshot, error) {
	r, err := settle(ctx, s.opts.Settle, s.readOnce)
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("%s: %w", strings.Join(s.paths, ", "), err)
	}
	if err := r.joinErrors(); err != nil {
		return store.Snapshot{}, err
	}
	return r.snapshot(s.isOneFile(r)), nil
}

// Also replaces the list of extra files, whose contents are hashed into Snapshot.Inputs. A
// file that cannot be read is an input too, which changes when it can be read.
func (s *Source) Also(paths []string) {
	extra := make([]string, 0, len(paths))
	for _, p := range paths {
		extra = append(extra, filepath.Clean(p))
	}
	slices.Sort(extra)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = slices.Compact(extra)
	for w := range s.watchers {
		w.poke()
	}
}

func (s *Source) readOnce() reading {
	var r reading
	paths, err := s.expand()
	r.err = err
	for _, p := range paths {
		c, err := readFile(p, s.opts.MaxSize)
		r.files = append(r.files, file{path: p, content: c, err: err})
	}
	r.inputs = hashInputs(s.inputs())
	return r
}

// expand replaces each directory by its files; sorted, each path once.
func (s *Source) expand() ([]string, error) {
	var files []string
	var errs []error
	for _, p := range s.paths {
		info, err := os.Stat(p)
		if err != nil || !info.IsDir() {
			files = append(files, p) // reading it returns an error
			continue
		}
		inside, err := list(p)
		files = append(files, inside...)
		errs = append(errs, err)
	}
	slices.Sort(files)
	return slices.Compact(files), errors.Join(errs...)
}

// list returns the routes files of a directory. A dangling link is listed, since it is a
// mistake.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if isRoutesName(e.Name()) && (e.Type().IsRegular() || !isDir(path)) {
			files = append(files, path)
		}
	}
	return files, err
}

// isRoutesName reports whether a file of this name in a directory is a routes
// file.
func isRoutesName(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (ext == ".yaml" || ext == ".yml")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isOneFile reports whether the set is one file of the list. The set has its revision then.
func (s *Source) isOneFile(r reading) bool {
	return len(s.paths) == 1 && len(r.files) == 1 && r.files[0].path == s.paths[0]
}

func (s *Source) inputs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extra
}

func (r reading) joinErrors() error {
	errs := []error{r.err}
	for _, f := range r.files {
		errs = append(errs, f.err)
	}
	return errors.Join(errs...)
}

func (r reading) snapshot(oneFile bool) store.Snapshot {
	snap := store.Snapshot{Inputs: r.inputs}
	for _, f := range r.files {
		snap.Documents = append(snap.Documents, store.Document{Path: f.path, Data: f.data, Revision: f.revision})
	}
	snap.Revision = revisionOfSet(snap.Documents)
	if oneFile {
		snap.Revision = snap.Documents[0].Revision
	}
	return snap
}

// revisionOfSet hashes the sorted (path, revision) pairs. A path cannot hold a
// NUL and a revision has a fixed length, so no two sets are hashed alike.
func revisionOfSet(docs []store.Document) string {
	h := sha256.New()
	for _, d := range docs {
		fmt.Fprintf(h, "%s\x00%s\x00", d.Path, d.Revision)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashInputs hashes extra files, or returns "" for none. A file that cannot be read is
// hashed as its error.
func hashInputs(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	h := sha256.New()
	for _, p := range paths {
		c, err := readFile(p, regularfile.Named)
		switch {
		case err == nil:
			fmt.Fprintf(h, "%s\x00is %s\x00", p, c.revision)
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(h, "%s\x00is missing\x00", p)
		default:
			fmt.Fprintf(h, "%s\x00gives %s\x00", p, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
