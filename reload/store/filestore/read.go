// Reading one file such that nothing a path may lead to can block, exhaust or
// mislead the reader.
package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// identity is what the file system knows about a file's content. Two equal
// identities do not prove equal contents (times can be set, and a write through
// shared memory changes none at once); two different ones show that something
// has moved.
type identity struct {
	dev, ino uint64
	size     int64
	mtime    time.Time
	ctime    time.Time
}

// content is one file as it stood at one moment.
type content struct {
	data     []byte
	revision string
	id       identity
	still    bool // nothing moved while it was read
	mode     fs.FileMode
	uid, gid int
}

// readFile reads a regular file of at most limit bytes (negative: any size).
func readFile(path string, limit int64) (content, error) {
	f, err := openRegular(path)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	before, err := stat(f)
	if err != nil {
		return content{}, err
	}
	data, err := readLimited(f, before.id.size, limit)
	if err != nil {
		return content{}, err
	}
	after, err := stat(f)
	if err != nil {
		return content{}, err
	}
	after.data, after.revision = data, store.RevisionOf(data)
	after.still = before.id == after.id && int64(len(data)) == after.id.size
	return after, nil
}

// openRegular opens without waiting for a FIFO's writer and without taking a
// terminal, then refuses whatever is not a regular file. The check is made on
// the open file: a check of the path could be outrun.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%q is %s, want a regular file", path, kind(info.Mode()))
	}
	return f, nil
}

// openError says what the plain error does not: that a link is the culprit, or
// that a socket cannot be opened at all.
func openError(path string, err error) error {
	info, lerr := os.Lstat(path)
	if lerr != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 && errors.Is(err, fs.ErrNotExist) {
		to, _ := os.Readlink(path)
		return fmt.Errorf("%q is a symbolic link to %q, which leads nowhere: %w", path, to, err)
	}
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("%q is %s, want a regular file", path, kind(info.Mode()))
	}
	return err
}

// kind names what is not a regular file.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a file (" + m.Type().String() + ")"
}

// readLimited reads to the end, or errors beyond limit. size is a hint: the file
// may have grown.
func readLimited(f *os.File, size, limit int64) ([]byte, error) {
	if limit < 0 {
		limit = math.MaxInt64 - 1
	}
	if size > limit {
		return nil, tooLarge(f.Name(), limit)
	}
	var b bytes.Buffer
	b.Grow(int(min(size, 64<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		return nil, tooLarge(f.Name(), limit)
	}
	return b.Bytes(), err
}

// tooLarge does not say how large: the text must not change while a file grows.
func tooLarge(path string, limit int64) error {
	return fmt.Errorf("%q is larger than the limit of %d bytes", path, limit)
}

func stat(f *os.File) (content, error) {
	info, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	return content{
		id: identity{
			dev:   uint64(sys.Dev), //nolint:unconvert // int32 on darwin
			ino:   sys.Ino,
			size:  info.Size(),
			mtime: info.ModTime(),
			ctime: ctime(sys),
		},
		mode: info.Mode(),
		uid:  int(sys.Uid),
		gid:  int(sys.Gid),
	}, nil
}
