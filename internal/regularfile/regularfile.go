// Package regularfile reads files by name such that nothing a name may lead to can
// block, exhaust or mislead the reader: a named pipe without a writer, a terminal, a
// device without end, a file of /proc that says it is empty and holds gigabytes.
//
// Everything that the program is given the name of is read by it: routes files, and
// the certificates, keys, authorities and secrets that they name.
package regularfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// Named is the most that a file which a routes file names may hold.
const Named = 1 << 20

// Error says what is wrong with a file that can be opened, or that a link leads to.
type Error struct {
	Path string
	Text string // what is wrong with it; it does not change while the file grows
	Err  error  // the cause, if there is another
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%q %s: %v", e.Path, e.Text, e.Err)
	}
	return fmt.Sprintf("%q %s", e.Path, e.Text)
}

func (e *Error) Unwrap() error { return e.Err }

// Cause drops the operation and the path, for a message that says them already.
func Cause(err error) error {
	var path *fs.PathError
	var of *Error
	switch {
	case errors.As(err, &of) && of.Err == nil:
		return errors.New(of.Text)
	case errors.As(err, &path):
		return path.Err
	}
	return err
}

// Read reads a regular file of at most limit bytes (negative: any size).
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return ReadAll(f, info.Size(), limit)
}

// Open opens without waiting for a FIFO's writer and without taking a terminal, then
// refuses whatever is not a regular file. The check is made on the open file: a check
// of the path could be outrun.
func Open(path string) (*os.File, error) {
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
		return nil, notRegular(path, info.Mode())
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
		return &Error{path, fmt.Sprintf("is a symbolic link to %q, which leads nowhere", to), err}
	}
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EOPNOTSUPP) {
		return notRegular(path, info.Mode())
	}
	return err
}

func notRegular(path string, m fs.FileMode) error {
	return &Error{Path: path, Text: "is " + kind(m) + ", want a regular file"}
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

// ReadAll reads to the end, or errors beyond limit. size is a hint: the file may have
// grown, and a file of /proc has none.
func ReadAll(f *os.File, size, limit int64) ([]byte, error) {
	if limit < 0 {
		limit = math.MaxInt64 - 1
	}
	if size > limit {
		return nil, TooLarge(f.Name(), limit)
	}
	var b bytes.Buffer
	b.Grow(int(min(size, 64<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(present{f}, limit+1))
	if err == nil && n > limit {
		return nil, TooLarge(f.Name(), limit)
	}
	return b.Bytes(), err
}

// present reads what a file holds now. Some files of /proc and tracing file systems say
// that they are regular, and have their readers wait for more as pipes do
// (/proc/kmsg); such a read ends with an error, where os.File would wait.
type present struct{ f *os.File }

func (p present) Read(b []byte) (n int, err error) {
	conn, err := p.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := conn.Read(func(fd uintptr) (done bool) {
		for {
			if n, err = syscall.Read(int(fd), b); err != syscall.EINTR {
				return true
			}
		}
	})
	n = max(n, 0)
	switch {
	case controlErr != nil:
		return n, controlErr
	case err == syscall.EAGAIN:
		return n, &Error{Path: p.f.Name(), Text: "has no end: its readers wait for more, want a regular file"}
	case err != nil:
		return n, &fs.PathError{Op: "read", Path: p.f.Name(), Err: err}
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// TooLarge is the error for more than limit bytes.
func TooLarge(path string, limit int64) error {
	return &Error{Path: path, Text: fmt.Sprintf("is larger than the limit of %d bytes", limit)}
}
