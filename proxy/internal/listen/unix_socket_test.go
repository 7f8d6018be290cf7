package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestSocketFile: whatever the umask is, the file has its mode and group, and had them
// before anything could connect.
func TestSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for n, want := range []SocketFile{{Mode: 0o600, Group: -1}, {Mode: 0o660, Group: os.Getgid()}, {Mode: 0o666, Group: -1}, {Mode: 0o777, Group: -1}} {
		for range 50 {
			seen := make(chan fs.FileMode)
			go func() {
				for {
					if conn, err := net.Dial("unix", path); err == nil {
						info, _ := os.Lstat(path)
						conn.Close()
						seen <- info.Mode()
						return
					}
				}
			}()
			ln, err := Listen("unix:"+path, want)
			if err != nil {
				t.Fatal(err)
			}
			if got := <-seen; got.Perm() != want.Mode {
				t.Fatalf("%d: a client has connected to a socket of mode %v, want %v", n, got, want.Mode)
			}
			if got := ln.Addr().String(); got != path {
				t.Fatalf("listens on %q", got)
			}
			if conn, err := ln.Accept(); err != nil {
				t.Fatal(err)
			} else {
				conn.Close()
			}
			ln.Close()
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the file after the end: %v", err)
			}
		}
	}
}

// TestSocketFileRefused: what cannot be done leaves nothing behind.
func TestSocketFileRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if os.Geteuid() == 0 {
		t.Skip("root may give a file to every group")
	}
	if ln, err := Listen("unix:"+path, SocketFile{Mode: 0o660, Group: 0}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v, %v; want a refusal", ln, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v, want none", err)
	}
}

// TestReloadChangesTheFile, and not one that is there in its place.
func TestReloadChangesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var now atomic.Pointer[Config]
	config := func(mode fs.FileMode) *Config {
		return &Config{Address: "unix:" + path, Socket: SocketFile{Mode: mode, Group: -1}}
	}
	now.Store(config(0o600))
	s, err := New(now.Load(), Options{Config: func(string) *Config { return now.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	has := func(want fs.FileMode) {
		t.Helper()
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, want)
		}
	}
	has(0o600)
	now.Store(config(0o666))
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	has(0o666)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now.Store(config(0o660))
	if err := s.Reload(); err == nil {
		t.Error("another file's mode was changed")
	}
	has(0o600)
}
