// Renaming the finished file into place, and comparing what it has replaced: an editor
// does not take our lock.
package filestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tunnelform/tunnelform/reload/store"
)

// commit renames the finished temporary file to target. It compares the revision once
// more, as late as possible. A file that must not exist is linked, not renamed, since a
// link never replaces a file.
func (s *Store) commit(temp, target, prev string) error {
	if _, err := s.checkRevision(target, prev); err != nil {
		return err
	}
	s.opts.atStep("swap")
	if prev == "" {
		return s.makeNew(temp, target)
	}
	err := s.swap(temp, target, prev)
	if errors.Is(err, errors.ErrUnsupported) {
		err = os.Rename(temp, target)
	}
	if errors.Is(err, syscall.EBUSY) && s.opts.InPlace {
		return overwrite(temp, target)
	}
	return err
}

func (s *Store) makeNew(temp, target string) error {
	err := os.Link(temp, target)
	switch {
	case err == nil:
		s.opts.atStep("clear")
		os.Remove(temp) // if it stays, the next writer removes it
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%q has just been created, want no file: %w", target, store.ErrConflict)
	}
	return os.Rename(temp, target) // a file system without hard links
}

// swap exchanges the two files and compares what it has replaced. If that is not what the
// writer has read, the file was saved after the last comparison: it is put back, and the
// write is a conflict.
func (s *Store) swap(temp, target, prev string) error {
	ours, err := readFile(temp, -1)
	if err != nil {
		return err
	}
	if err := exchange(temp, target); err != nil {
		return err
	}
	s.opts.atStep("compare")
	displaced, err := readFile(temp, s.opts.MaxSize)
	if err == nil && displaced.revision == prev {
		s.opts.atStep("clear")
		os.Remove(temp) // if it stays, the next writer removes it
		return nil
	}
	return putBack(temp, target, ours.revision)
}

// putBack undoes an exchange, unless target has been saved once more since: the newest
// stays.
func putBack(temp, target, ours string) error {
	conflict := fmt.Errorf("%q was saved by another program while it was replaced: %w", target, store.ErrConflict)
	if err := exchange(temp, target); err != nil {
		return keepAside(temp, target, err)
	}
	if c, err := readFile(temp, -1); err == nil && c.revision == ours {
		return conflict
	}
	if err := exchange(temp, target); err != nil {
		return keepAside(temp, target, err)
	}
	return conflict
}

// overwrite copies the finished file's content into the target, which is not atomic; see
// Options.InPlace.
func overwrite(temp, target string) error {
	data, err := os.ReadFile(temp)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return keepAside(temp, target, err)
	}
	return os.Remove(temp)
}

// keptError says that a file beside the target has content that is nowhere else.
type keptError struct {
	kept string
	err  error
}

// keepAside renames a temporary file so that the next writer does not remove it.
func keepAside(temp, target string, err error) error {
	kept := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".kept-"+rand.Text())
	if rerr := os.Rename(temp, kept); rerr != nil {
		return &keptError{temp, errors.Join(err, rerr)}
	}
	return &keptError{kept, err}
}

func (e *keptError) Error() string {
	return fmt.Sprintf("the file could not be restored; what belongs there is in %q: %v", e.kept, e.err)
}

func (e *keptError) Unwrap() error { return e.err }

// isKept reports whether the temporary file must not be removed after err.
func isKept(err error) bool {
	var kept *keptError
	return errors.As(err, &kept)
}
