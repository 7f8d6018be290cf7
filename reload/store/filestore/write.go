// Replacing the file atomically.
package filestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// Write replaces the file if its revision still is prev ("" = there must be no
// file) and returns the new revision. Otherwise the error matches store.ErrConflict. A
// failure before the rename leaves the file as it was.
//
// Symbolic links are followed and stay. The mode is kept, and the owner if the process may
// set it; a new file has mode 0644 less the umask. The same content is not written again.
func (s *Store) Write(ctx context.Context, data []byte, prev string) (revision string, err error) {
	if s.opts.MaxSize >= 0 && int64(len(data)) > s.opts.MaxSize {
		return "", regularfile.TooLarge(s.path, s.opts.MaxSize)
	}
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	target, err := resolve(s.path)
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, target)
	if err != nil {
		return "", explainWrite(target, err)
	}
	defer unlock()
	if err := s.replace(target, data, prev); err != nil {
		return "", explainWrite(target, err)
	}
	return store.RevisionOf(data), nil
}

// Replace writes a file that has no other writers, such as one that others only read: in
// one step, so that a reader never sees half of it, and readable by everyone.
func Replace(path string, data []byte) error {
	s := &Store{opts: Options{}.withDefaults()}
	public := &content{mode: 0o644, uid: -1, gid: -1} // -1 leaves the owner, chown(2)
	temp, err := s.writeTemp(path, data, public)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replace is Write with the lock held.
func (s *Store) replace(target string, data []byte, prev string) error {
	old, err := s.checkRevision(target, prev)
	if err != nil {
		return err
	}
	if prev != "" && prev == store.RevisionOf(data) {
		return nil
	}
	s.opts.atStep("remove")
	removeTemps(target)
	temp, err := s.writeTemp(target, data, old)
	if err != nil {
		return err
	}
	if err := s.commit(temp, target, prev); err != nil {
		if !isKept(err) {
			os.Remove(temp)
		}
		return err
	}
	s.opts.atStep("sync directory")
	return syncDir(filepath.Dir(target))
}

// checkRevision reads target, and returns an error unless its revision is prev. It returns
// nil when there is no file and none was expected.
func (s *Store) checkRevision(target, prev string) (*content, error) {
	c, err := readFile(target, s.opts.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist) && prev == "":
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%q is gone, want revision %.12s: %w", target, prev, store.ErrConflict)
	case err != nil:
		return nil, err
	case prev == "":
		return nil, fmt.Errorf("%q exists at revision %.12s, want no file: %w", target, c.revision, store.ErrConflict)
	case c.revision != prev:
		return nil, fmt.Errorf("%q is at revision %.12s, want %.12s: %w", target, c.revision, prev, store.ErrConflict)
	}
	return &c, nil
}

// resolve follows the symbolic links at an absolute path, the last of which may lead to a
// file that does not exist yet, so that all writers use the same lock.
func resolve(path string) (string, error) {
	const deepest = 40 // as the kernel's MAXSYMLINKS
	for range deepest {
		// Not by filepath.Dir and Join, which drop "link/..".
		cut := strings.LastIndexByte(path, '/')
		dir, err := filepath.EvalSymlinks(path[:cut+1])
		if err != nil {
			return "", fmt.Errorf("directory of %q: %w", path, err)
		}
		path = filepath.Join(dir, path[cut+1:])
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // a file, or nothing
		}
		if !filepath.IsAbs(to) {
			to = dir + "/" + to
		}
		path = to
	}
	return "", fmt.Errorf("%q: %w", path, syscall.ELOOP)
}

// tempPrefix begins the names of temporary files: hidden, so that they are no routes files,
// and with the name of their target, so that the next writer removes what was left.
func tempPrefix(target string) string { return "." + filepath.Base(target) + ".new-" }

// writeTemp creates a synced file beside target with the mode and owner of old, or none if
// it fails.
func (s *Store) writeTemp(target string, data []byte, old *content) (path string, err error) {
	path = filepath.Join(filepath.Dir(target), tempPrefix(target)+rand.Text())
	perm := fs.FileMode(0o644)
	if old != nil {
		perm = 0o600 // until it has its own mode
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_CLOEXEC, perm)
	if err != nil {
		return "", err
	}
	err = errors.Join(s.fill(f, data, old), f.Close())
	if err != nil {
		os.Remove(path)
	}
	return path, err
}

func (s *Store) fill(f *os.File, data []byte, old *content) error {
	s.opts.atStep("fill")
	if _, err := f.Write(data); err != nil {
		return err
	}
	s.opts.atStep("copy owner")
	if err := copyOwner(f, old); err != nil {
		return err
	}
	s.opts.atStep("sync")
	return f.Sync()
}

// copyOwner gives f the owner and mode of the file it will replace. If the process may not
// set the group, the group's bits are removed, since they are meant for another group.
func copyOwner(f *os.File, old *content) error {
	if old == nil {
		return nil
	}
	now, err := stat(f)
	if err != nil {
		return err
	}
	mode := old.mode.Perm()
	if now.uid != old.uid || now.gid != old.gid {
		if f.Chown(old.uid, old.gid) != nil && f.Chown(-1, old.gid) != nil && now.gid != old.gid {
			mode &^= 0o070
		}
	}
	return f.Chmod(mode)
}

// removeTemps removes what killed writers have left. The lock is held.
func removeTemps(target string) {
	dir := filepath.Dir(target)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the write will fail too, if it matters
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix(target)) && e.Type().IsRegular() {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// syncDir makes the rename survive a power failure. It ignores the EINVAL of file systems
// that cannot sync a directory.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("written, but a power failure may undo it: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("written, but a power failure may undo it: %w", err)
	}
	return nil
}

// isAbout reports whether the target itself could not be opened.
func isAbout(target string, err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Path == target
}

// explainWrite adds to an error what to do about it.
func explainWrite(target string, err error) error {
	dir := filepath.Dir(target)
	switch {
	case errors.Is(err, store.ErrConflict), isAbout(target, err):
		return err
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%q is a mount of a single file and cannot be replaced; mount the directory that holds it instead, or accept writes in place, which are not atomic: %w", target, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("directory %q cannot be written, as replacing %q needs: %w", dir, filepath.Base(target), err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("no space in %q for the new %q; the old file is unchanged: %w", dir, filepath.Base(target), err)
	}
	return fmt.Errorf("writing %q: %w", target, err)
}
