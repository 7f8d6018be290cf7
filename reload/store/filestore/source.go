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
// A directory stands for its files "*.yaml" and "*.yml" that are not hidden; it
// is not searched further down. A file that leaves a directory leaves the set; a
// path that was named and is missing is an error, and so is a named pipe or a
// link that leads nowhere wherever it stands.
type Source struct {
	paths []string
	opts  Options

	mu       sync.Mutex // guards what follows
	also     []string   // sorted, distinct
	watchers map[*watcher]struct{}
}

var _ store.Source = (*Source)(nil)

// NewSource returns a source over one or more paths. Nothing is read yet, so
// nothing need exist yet. Relative paths are taken from the directory the
// process is in at each reading.
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

// Read returns the set once it has stopped moving. It errors with every path
// that is at fault, or, after about ten seconds, when a file never stops
// growing.
func (s *Source) Read(ctx context.Context) (store.Snapshot, error) {
	r, err := settle(ctx, s.opts.Settle, s.take)
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("%s: %w", strings.Join(s.paths, ", "), err)
	}
	if err := r.fault(); err != nil {
		return store.Snapshot{}, err
	}
	return r.snapshot(s.isOneFile(r)), nil
}

// Also replaces the list of extra files: their contents are hashed into
// Snapshot.Inputs. One that is missing or cannot be read is an input too, which
// changes when it can be.
func (s *Source) Also(paths []string) {
	also := make([]string, 0, len(paths))
	for _, p := range paths {
		also = append(also, filepath.Clean(p))
	}
	slices.Sort(also)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.also = slices.Compact(also)
	for w := range s.watchers {
		w.poke()
	}
}

// take reads everything once.
func (s *Source) take() reading {
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
			files = append(files, p) // reading it says best what is wrong
			continue
		}
		inside, err := list(p)
		files = append(files, inside...)
		errs = append(errs, err)
	}
	slices.Sort(files)
	return slices.Compact(files), errors.Join(errs...)
}

// list returns the routes files of a directory. A link is what it leads to; one
// that leads nowhere is listed, since it is a mistake.
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

// isOneFile reports whether the set is one named file, whose revision is then
// the set's.
func (s *Source) isOneFile(r reading) bool {
	return len(s.paths) == 1 && len(r.files) == 1 && r.files[0].path == s.paths[0]
}

func (s *Source) inputs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.also
}

// fault is everything that is wrong with a reading.
func (r reading) fault() error {
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

// hashInputs hashes extra files, "" for none. What cannot be read is hashed as
// the reason.
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
