// File systems that are read-only, full, mounted file by file, or another user's. The
// mounts are made in a namespace that ends with the test.
package filestore

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tunnelform/tunnelform/reload/store"
)

// inNamespace runs the calling test again in a mount namespace, and reports whether this
// is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const env = "TUNNELFORM_FILESTORE_NAMESPACE"
	if os.Getenv(env) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		t.Skipf("no mount namespace can be made here: %v", err)
	case err != nil:
		t.Errorf("%v:\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("skipped within the namespace:\n%s", out)
	}
	return false
}

func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, fstype, flags, data); err != nil {
		t.Skipf("mounting %s on %s: %v", source, target, err)
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
}

func TestWriteReadOnly(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "old")
	mount(t, dir, dir, "", syscall.MS_BIND, "")
	mount(t, "", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	wantRefusedWrite(t, path, syscall.EROFS, "cannot be written")
}

func TestWriteDiskFull(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k")
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "old")
	must(t, os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 48<<10), 0o644))
	wantRefusedWrite(t, path, syscall.ENOSPC, "no space in")
	if got, want := names(t, dir), ".routes.yaml.lock filler routes.yaml"; got != want {
		t.Errorf("the directory holds %s, want %s", got, want)
	}
}

// wantRefusedWrite writes 32 KiB over "old" and wants it to fail, with a text
// and nothing lost.
func wantRefusedWrite(t *testing.T, path string, cause error, want string) {
	t.Helper()
	_, err := open(t, path, quick).Write(t.Context(), make([]byte, 32<<10), store.RevisionOf([]byte("old")))
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %v with %q", err, cause, want)
	}
	if got := get(t, path); got != "old" {
		t.Errorf("the file holds %q, want what it held", got)
	}
}

// A file that is a mount of its own cannot be replaced, and the log warns once.
func TestSingleFileMount(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := mkdir(t, t.TempDir(), "with space")
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "")
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	put(t, outside, "old")
	mount(t, outside, path, "", syscall.MS_BIND, "")
	wantRefusedWrite(t, path, syscall.EBUSY, "mount the directory that holds it instead")

	var log lockedBuffer
	o := modes[0].opts
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	f := newFollower(t, o, dir, path)
	for range 2 {
		f.source.Also(nil)
		f.expect("routes.yaml=old")
	}
	if n := strings.Count(log.String(), "mount of a single file"); n != 1 {
		t.Errorf("warned %d times, want once:\n%s", n, log.String())
	}
}

// asNobody runs f with the file system rights of user 65534, on a thread that ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can act for another")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		f() // tells by itself if the rights are still the superuser's
	}()
	<-done
}

func TestReadNotAllowed(t *testing.T) {
	dir := openDir(t)
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "secret")
	must(t, os.Chmod(path, 0o600))
	s := open(t, path, quick)
	asNobody(t, func() {
		if _, err := s.Read(t.Context()); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one about permission for %q", err, path)
		}
	})
}

func TestWriteNotAllowed(t *testing.T) {
	dir := openDir(t)
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "old")
	asNobody(t, func() { wantRefusedWrite(t, path, os.ErrPermission, "cannot be written") })
	must(t, os.Chmod(dir, 0o777))
	put(t, lockPath(path), "") // another's, which nobody may only read
	asNobody(t, func() {
		_, err := open(t, path, quick).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
		if err != nil {
			t.Errorf("error %v, want the lock taken on a file that can only be read", err)
		}
	})
}

// The writer may set neither the owner nor the group: what only the old group could read,
// the writer's group cannot.
func TestWriteDropsGroupRights(t *testing.T) {
	dir := openDir(t)
	must(t, os.Chmod(dir, 0o777))
	path := filepath.Join(dir, "routes.yaml")
	put(t, path, "old")
	must(t, os.Chown(path, 65534, 1234))
	must(t, os.Chmod(path, 0o664))
	asNobody(t, func() {
		_, err := open(t, path, quick).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
		if err != nil {
			t.Error(err)
		}
	})
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o604 {
		t.Errorf("mode %v, error %v, want 0604", info.Mode(), err)
	}
}

// openDir makes a directory that other users can reach, which the parent of t.TempDir
// does not allow on some systems.
func openDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can act for another")
	}
	dir, err := os.MkdirTemp("", "filestore")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// With InPlace a file that is a mount of its own is overwritten. Any other file is still
// replaced.
func TestWriteInPlace(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	path, outside := filepath.Join(dir, "routes.yaml"), filepath.Join(t.TempDir(), "outside.yaml")
	put(t, path, "")
	put(t, outside, "old and long")
	mount(t, outside, path, "", syscall.MS_BIND, "")
	o := quick
	o.InPlace = true
	_, err := open(t, path, o).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old and long")))
	must(t, err)
	if got := get(t, outside); got != "new" {
		t.Errorf("the file holds %q, want %q", got, "new")
	}
	if got := names(t, dir); got != ".routes.yaml.lock routes.yaml" {
		t.Errorf("the directory holds %s", got)
	}

	plain := filepath.Join(dir, "plain.yaml")
	put(t, plain, "old")
	before, err := os.Stat(plain)
	must(t, err)
	_, err = open(t, plain, o).Write(t.Context(), []byte("new"), store.RevisionOf([]byte("old")))
	must(t, err)
	if after, err := os.Stat(plain); err != nil || os.SameFile(before, after) {
		t.Errorf("a file that can be replaced was not (%v)", err)
	}
}
