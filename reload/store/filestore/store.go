// One file as a store. It is written in write.go and watched in watch.go.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// Store is one routes file. It is safe for concurrent use, and any number of
// processes may have their own for the same file. It holds nothing open between
// calls.
type Store struct {
	path string
	opts Options
}

var _ store.Store = (*Store)(nil)

// Open returns the store of the file at path, which need not exist yet; its directory must
// exist when it is written. A relative path is resolved now.
func Open(path string, o Options) (*Store, error) {
	if path == "" {
		return nil, fmt.Errorf("path %q: want the name of a file", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", path, err)
	}
	return &Store{path: abs, opts: o.withDefaults()}, nil
}

// Read returns the document when it has stopped changing. An error matches
// store.ErrNotExist and fs.ErrNotExist when there is no file.
func (s *Store) Read(ctx context.Context) (store.Document, error) {
	if err := ctx.Err(); err != nil {
		return store.Document{}, context.Cause(ctx)
	}
	r := s.readOnce()
	if !s.isOld(r) {
		var err error
		if r, err = settle(ctx, s.opts.Settle, s.readOnce); err != nil {
			return store.Document{}, fmt.Errorf("%q: %w", s.path, err)
		}
	}
	f := r.files[0]
	if f.err != nil {
		return store.Document{}, asNotExist(f.err)
	}
	return store.Document{Path: s.path, Data: f.data, Revision: f.revision}, nil
}

func (s *Store) readOnce() reading {
	c, err := readFile(s.path, s.opts.MaxSize)
	return reading{files: []file{{path: s.path, content: c, err: err}}}
}

// isOld reports whether the inode has not changed for much longer than Settle, so that the
// first reading counts and frequent reads need not wait. If it is wrong (clocks differ over
// a network), a later Write is at worst a conflict, since it compares contents.
func (s *Store) isOld(r reading) bool {
	f := r.files[0]
	age := time.Since(f.id.ctime)
	return f.err == nil && f.still && age > 10*max(s.opts.Settle, 0)
}

// asNotExist makes an error about a missing file match the store's sentinel
// too, with its text unchanged.
func asNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return notExistError{err}
	}
	return err
}

type notExistError struct{ error }

func (e notExistError) Unwrap() []error { return []error{e.error, store.ErrNotExist} }
