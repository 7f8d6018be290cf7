package e2e

// On a terminal mistakes come with their line and a caret, and the log is text.

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal starts a command whose standard error is a terminal, and returns
// the terminal's other end.
func onTerminal(t *testing.T, p *proxy, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer tty.Close()
	command := exec.CommandContext(t.Context(), binary(t), args...)
	command.Dir, command.Stderr = p.dir, tty
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command, bufio.NewReader(screen)
}

func TestCheckOnATerminal(t *testing.T) {
	t.Parallel()
	p := &proxy{t: t, dir: t.TempDir()}
	p.write("bad.yaml", badRoutes)
	command, screen := onTerminal(t, p, "check", "bad.yaml")
	all, _ := io.ReadAll(screen) // ends with EIO when the command has ended
	command.Wait()
	lines := strings.Split(strings.ReplaceAll(string(all), "\r\n", "\n"), "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "bad.yaml:2:1: ") || !strings.Contains(lines[1], "lisners: {}") {
		t.Fatalf("the screen shows %q", lines)
	}
	if strings.Index(lines[2], "^") != strings.Index(lines[1], "lisners") {
		t.Errorf("the caret stands elsewhere:\n%s\n%s", lines[1], lines[2])
	}
	if command.ProcessState.ExitCode() != 1 {
		t.Errorf("exit status %d, wanted 1", command.ProcessState.ExitCode())
	}
}

func TestServeOnATerminal(t *testing.T) {
	t.Parallel()
	p := &proxy{t: t, dir: t.TempDir()}
	p.write(routesFile, web+"shutdown: {delay: 1h, window: 0s}\nroutes: {}\n") // the delay is for load balancers
	command, screen := onTerminal(t, p, "serve", routesFile)
	line, err := screen.ReadString('\n')
	if err != nil || !strings.Contains(line, "msg=listening listener=web address=127.0.0.1:") {
		t.Errorf("the first line is %q (%v), wanted where it listens, as text", line, err)
	}
	if line, err = screen.ReadString('\n'); err != nil || !strings.Contains(line, `msg="routes loaded"`) {
		t.Errorf("the second line is %q (%v), wanted what was loaded", line, err)
	}
	command.Process.Signal(os.Interrupt) // as Ctrl-C does
	rest, _ := io.ReadAll(screen)
	if err := command.Wait(); err != nil || !strings.Contains(string(rest), "msg=stopped") {
		t.Errorf("after an interrupt: %v, %q", err, rest)
	}
}
