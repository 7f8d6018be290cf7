package regularfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(name, to string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()

	for _, tt := range []struct{ path, want string }{
		{file("empty", 0), ""},
		{file("full", 100), ""},
		{link("link", "full"), ""},
		{file("over", 101), "is larger than the limit of 100 bytes"},
		{pipe, "is a named pipe, want a regular file"},
		{socket, "is a socket, want a regular file"},
		{dir, "is a directory, want a regular file"},
		{"/dev/zero", "is a device, want a regular file"},
		{link("device", "/dev/zero"), "is a device, want a regular file"},
		{link("nowhere", "none"), `is a symbolic link to "none", which leads nowhere`},
		{filepath.Join(dir, "none"), "no such file or directory"},
	} {
		data, err := Read(tt.path, 100)
		switch {
		case tt.want == "" && (err != nil || len(data) > 100):
			t.Errorf("%s: %d bytes, %v", tt.path, len(data), err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path)):
			t.Errorf("%s: error %v, want one with the path and %q", tt.path, err, tt.want)
		case tt.want != "" && strings.Contains(Cause(err).Error(), tt.path) && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: the cause names the path: %v", tt.path, Cause(err))
		}
	}
}

// TestReadEndless: a file of /proc says that it is empty.
func TestReadEndless(t *testing.T) {
	const endless = "/proc/self/pagemap"
	if _, err := os.Stat(endless); err != nil {
		t.Skip(err)
	}
	if data, err := Read(endless, Named); err == nil {
		t.Errorf("%d bytes of %s, want an error", len(data), endless)
	}
}

// TestReadWaiting: the end of a pipe stands for a file of /proc that calls itself regular
// and has its readers wait.
func TestReadWaiting(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, text := range []string{"", "a part"} {
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAll(r, 0, Named)
		var of *Error
		if !errors.As(err, &of) || !strings.Contains(err.Error(), "has no end") {
			t.Errorf("with %q in it: error %v, want one that says it has no end", text, err)
		}
	}
	w.Close()
	if data, err := ReadAll(r, 0, Named); err != nil || len(data) > 0 {
		t.Errorf("at its end: %q, %v", data, err)
	}
}
