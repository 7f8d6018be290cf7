// The lock that writers of one file hold, in this process and in others.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPath is the file that is locked in place of target, which is replaced at each write:
// a lock of its own would stay with the old inode.
func lockPath(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".lock")
}

// lock takes the exclusive lock of target's writers, or gives up when ctx ends.
// The kernel drops it when the process dies. The lock file stays for ever: if it were
// removed, two writers could lock two inodes.
func lock(ctx context.Context, target string) (unlock func(), err error) {
	f, err := openLock(lockPath(target))
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	// A blocking flock would not end with ctx. The pause grows from a millisecond to
	// twenty, about what a write takes.
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock file %q: %w", f.Name(), err)
		}
		if err := sleep(ctx, pause); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock file %q is held by another writer: %w", f.Name(), err)
		}
	}
}

// openLock opens or creates the lock file. A file of another user is opened for reading,
// which is enough to lock it on local file systems.
func openLock(path string) (*os.File, error) {
	const flags = syscall.O_CLOEXEC | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o666)
	if errors.Is(err, os.ErrPermission) {
		if f, err := os.OpenFile(path, os.O_RDONLY|flags, 0); err == nil {
			return f, nil
		}
	}
	return f, err
}
