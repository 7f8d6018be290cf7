package filestore

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// exchange swaps two files of one directory atomically (renameat2(2), RENAME_EXCHANGE).
// The error matches errors.ErrUnsupported if the kernel or the file system cannot.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOTSUP):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
