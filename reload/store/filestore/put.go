// Putting the finished file in the document's place, and looking at what was
// there: an editor does not know our lock.
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

// commit puts the finished temporary file in place. The revision is compared
// once more, as late as can be: people's editors do not take the lock. A file
// that must not exist is linked, not renamed, since that never replaces one.
func (s *Store) commit(temp, target, prev string) error {
	if _, err := s.expect(target, prev); err != nil {
		return err
	}
	s.opts.atStep("put")
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
		os.Remove(temp) // if it stays, the next writer sweeps it
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%q has just been made, want no file: %w", target, store.ErrConflict)
	}
	return os.Rename(temp, target) // a file system without hard links
}

// swap exchanges the two files and looks at what was displaced. If that is not
// what the writer has read, somebody saved the file after the last comparison:
// it is put back, and the write is a conflict.
func (s *Store) swap(temp, target, prev string) error {
	ours, err := readFile(temp, -1)
	if err != nil {
		return err
	}
	if err := exchange(temp, target); err != nil {
		return err
	}
	s.opts.atStep("look")
	displaced, err := readFile(temp, s.opts.MaxSize)
	if err == nil && displaced.revision == prev {
		s.opts.atStep("clear")
		os.Remove(temp) // if it stays, the next writer sweeps it
		return nil
	}
	return putBack(temp, target, ours.revision)
}

// putBack undoes an exchange. What stands at the target by then may be newer
// still than what was displaced; the newest stays.
func putBack(temp, target, ours string) error {
	conflict := fmt.Errorf("%q was saved by somebody else while it was replaced: %w", target, store.ErrConflict)
	if err := exchange(temp, target); err != nil {
		return strand(temp, target, err)
	}
	if c, err := readFile(temp, -1); err == nil && c.revision == ours {
		return conflict
	}
	if err := exchange(temp, target); err != nil {
		return strand(temp, target, err)
	}
	return conflict
}

// overwrite copies the finished file's content into the target, which is not
// atomic: for a file that is a mount of its own, if that is accepted.
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
		return strand(temp, target, err)
	}
	return os.Remove(temp)
}

// strandedError says that a file beside the target holds what stands nowhere else.
type strandedError struct {
	kept string
	err  error
}

// strand keeps a temporary file from the next writer's sweep.
func strand(temp, target string, err error) error {
	kept := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".kept-"+rand.Text())
	if rerr := os.Rename(temp, kept); rerr != nil {
		return &strandedError{temp, errors.Join(err, rerr)}
	}
	return &strandedError{kept, err}
}

func (e *strandedError) Error() string {
	return fmt.Sprintf("the file could not be restored; what belongs there is in %q: %v", e.kept, e.err)
}

func (e *strandedError) Unwrap() error { return e.err }

// keepsWork says whether an error wants the temporary file kept.
func keepsWork(err error) bool {
	var stranded *strandedError
	return errors.As(err, &stranded)
}
