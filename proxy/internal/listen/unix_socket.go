package listen

// Unix sockets: whose file has its mode and group before anything can connect.

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// SocketFile says who may connect to a unix socket.
type SocketFile struct {
	Mode  fs.FileMode
	Group int // its id; -1 leaves the group that the process makes files with
}

// listenUnix listens on a unix socket. One on which no process listens is what a killed
// process leaves behind: it is replaced.
func listenUnix(path string, f SocketFile) (net.Listener, error) {
	ln, err := bindUnix(path, f)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !isAbandoned(path) {
		return ln, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return bindUnix(path, f)
}

// bindUnix is net.Listen, but sets mode and group between bind(2) and listen(2), before
// which every connect is refused. (The umask is the whole process's: files that are made
// meanwhile would have it too.)
func bindUnix(path string, f SocketFile) (_ net.Listener, err error) {
	defer func() {
		if err != nil {
			err = &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
		}
	}()
	syscall.ForkLock.RLock() // no child may inherit it
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close() // net has a descriptor of its own
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	ln, err := startUnix(file, path, f)
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	return ln, nil
}

// startUnix listens on a socket that is bound.
func startUnix(file *os.File, path string, f SocketFile) (net.Listener, error) {
	if err := f.apply(path); err != nil {
		return nil, err
	}
	if err := syscall.Listen(int(file.Fd()), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(true)
	return ln, nil
}

// backlog is the most that the system takes; it takes less where net.core.somaxconn says so.
const backlog = 1<<16 - 1

// apply gives the file at path its group, and then its mode: a group that it had before
// must not have the new one's permissions.
func (f SocketFile) apply(path string) error {
	if f.Group >= 0 {
		if err := os.Lchown(path, -1, f.Group); err != nil {
			return fmt.Errorf("%w (the process must be a member of group %d)", err, f.Group)
		}
	}
	return os.Chmod(path, f.Mode)
}

func isAbandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// changeFile gives the file of a socket that is listened on another mode and group, unless
// the file is not the socket's own any more.
func (s *Socket) changeFile(f SocketFile) error {
	path := s.ln.Addr().String()
	if now, err := os.Lstat(path); err != nil || !os.SameFile(now, s.bound) {
		return fmt.Errorf("%s is not the socket that was bound", path)
	}
	return f.apply(path)
}
