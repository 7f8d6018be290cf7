package e2e

// The proxy under test as a process: its files, its addresses, its end.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// web begins a routes file: version 1 and one listener, web, on a free port.
const web = `version: 1
listeners: {web: {address: "127.0.0.1:0"}}
`

// routesFile is the name of the file that start writes.
const routesFile = "routes.yaml"

// proxy is one running tunnelform. Its methods may be called from any
// goroutine, except those that end the test (all that take a t, waitLog and the
// like): these belong to the test's own.
type proxy struct {
	t      testing.TB
	dir    string // where it runs and its files stand
	log    *logbook
	cmd    *exec.Cmd
	runner []string      // how lines begin that a container runtime prints: they are no noise of the proxy's
	exited chan struct{} // closed when the process is gone and its log is read
	status int           // its exit status, once exited is closed
}

// start runs `tunnelform serve routes.yaml` in a directory of its own that
// holds that one file, and returns once its routes are loaded.
func start(t testing.TB, routes string) *proxy {
	t.Helper()
	return startFiles(t, map[string]string{routesFile: routes}, routesFile)
}

// startFiles is start with any files (paths relative to the directory) and any
// arguments to serve.
func startFiles(t testing.TB, files map[string]string, args ...string) *proxy {
	t.Helper()
	p := spawn(t, files, args...)
	p.waitLog("routes loaded", nil)
	return p
}

// spawn is startFiles without waiting: for a proxy that is meant to refuse.
func spawn(t testing.TB, files map[string]string, args ...string) *proxy {
	t.Helper()
	dir := t.TempDir()
	p := &proxy{t: t, dir: dir}
	for name, text := range files {
		p.write(name, text)
	}
	command := exec.Command(binary(t), append([]string{"serve"}, args...)...)
	command.Dir = dir
	p.run(command)
	return p
}

// run starts the command, which is to log as tunnelform does and to end as it
// does, and stops it with the test.
func (p *proxy) run(command *exec.Cmd) {
	p.t.Helper()
	stderr, err := command.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.log, p.exited = command, newLogbook(), make(chan struct{})
	go p.follow(stderr)
	p.t.Cleanup(p.stop)
}

// follow reads the process's log to its end and waits for it.
func (p *proxy) follow(stderr io.Reader) {
	defer close(p.exited)
	p.log.collect(stderr)
	p.cmd.Wait() // its error is the status
	p.status = p.cmd.ProcessState.ExitCode()
}

// stop ends the proxy with its test.
func (p *proxy) stop() {
	p.cut()
	p.mustBeQuiet()
	if p.t.Failed() {
		p.log.dump(p.t, p.dir)
	}
}

// cut ends the proxy at once: a second SIGTERM cuts what the first drains, and
// another is sent until it ends, as one that comes very soon counts as one with
// the first. A proxy that does not end is made to show its goroutines, and killed.
func (p *proxy) cut() {
	again := time.NewTicker(120 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		p.signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return
		case <-again.C:
		case <-late.C:
			p.t.Errorf("the proxy did not end within %v of SIGTERM", patience)
			p.kill()
			return
		}
	}
}

// kill ends a proxy that hangs.
func (p *proxy) kill() {
	p.signal(syscall.SIGABRT)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// mustBeQuiet fails the test when anything but JSON was logged: a panic, a data
// race, a library that prints.
func (p *proxy) mustBeQuiet() {
	for _, noise := range p.log.other() {
		theirs := func(beginning string) bool { return strings.HasPrefix(noise, beginning) }
		if !slices.ContainsFunc(p.runner, theirs) {
			p.t.Errorf("the proxy printed more than its log: %s", noise)
		}
	}
}

// signal sends sig to the proxy, unless it has ended already.
func (p *proxy) signal(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v: %v", sig, err)
	}
}

// exit waits for the proxy to end by itself and returns its exit status.
func (p *proxy) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("the proxy did not end within %v", patience)
	}
	return p.status
}

// path of a file of the proxy's.
func (p *proxy) path(name string) string { return filepath.Join(p.dir, name) }

// write puts text into a file as careful editors do: a temporary file, renamed.
func (p *proxy) write(name, text string) {
	p.t.Helper()
	path := p.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	temporary := filepath.Join(filepath.Dir(path), ".saving-"+filepath.Base(path))
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		p.t.Fatal(err)
	}
}

// edit replaces routes.yaml and returns the line that says that this very file
// was loaded.
func (p *proxy) edit(routes string) line {
	p.t.Helper()
	m := p.log.mark()
	p.write(routesFile, routes)
	return p.waitLogAfter(m, "routes loaded", fields{"revision": revision(routes)})
}

// restore replaces a routes.yaml that was refused by the one that is being
// served, which is no new generation, and waits until that is noticed.
func (p *proxy) restore(routes string) {
	p.t.Helper()
	m := p.log.mark()
	p.write(routesFile, routes)
	p.waitLogAfter(m, "routes restored", fields{"revision": revision(routes)})
}

// revision of one routes file, as the log names it.
func revision(routes string) string {
	sum := sha256.Sum256([]byte(routes))
	return hex.EncodeToString(sum[:])
}

// spoil replaces routes.yaml by something that must be refused and returns the
// mistakes that the log names.
func (p *proxy) spoil(routes string) []line {
	p.t.Helper()
	m := p.log.mark()
	p.write(routesFile, routes)
	refused := p.waitLogAfter(m, "routes refused", nil)
	n := int(refused.number(p.t, "mistakes"))
	mistakes, err := p.log.wait(m, n, "mistake", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return mistakes
}

// waitLog returns the first line of the log with this message and these fields,
// and waits for it if it has not come yet.
func (p *proxy) waitLog(message string, f fields) line {
	p.t.Helper()
	return p.waitLogAfter(0, message, f)
}

// waitLogAfter is waitLog for lines after a mark (p.log.mark()).
func (p *proxy) waitLogAfter(m mark, message string, f fields) line {
	p.t.Helper()
	found, err := p.log.wait(m, 1, message, f)
	if err != nil {
		p.t.Fatal(err)
	}
	return found[0]
}

// countLog is how many lines with this message and these fields there are now.
func (p *proxy) countLog(message string, f fields) int {
	found, _, _ := p.log.find(0, message, f)
	return len(found)
}

// statusRoute is a route for waitOpen to ask.
const statusRoute = `
  status: {match: {path: /status}, to: "internal://status"}
`

// waitOpen asks statusRoute until just n tunnels are open: for those that a client
// has let go of and whose end the log has not said yet.
func (p *proxy) waitOpen(n int) {
	p.t.Helper()
	p.waitStatus("open", n, func(s statusapi.Status) int { return s.Tunnels.Open })
}

// waitStatus asks statusRoute until so many tunnels are counted.
func (p *proxy) waitStatus(what string, n int, count func(statusapi.Status) int) {
	p.t.Helper()
	eventually(p.t, func() (ok bool, state string) {
		var status statusapi.Status
		got := get(p.t, p.http("/status"))
		if err := json.Unmarshal([]byte(got.body), &status); err != nil {
			p.t.Fatalf("/status: %d %q: %v", got.status, got.body, err)
		}
		return count(status) == n, fmt.Sprintf("%d tunnels %s, wanted %d", count(status), what, n)
	})
}

// eventually waits until ok, and fails the test with the state when patience ends. It
// is for what no line of the log and no channel tells of.
func eventually(t testing.TB, holds func() (ok bool, state string)) {
	t.Helper()
	pause := time.Millisecond
	for late := time.Now().Add(patience); ; pause = min(2*pause, 50*time.Millisecond) {
		ok, state := holds()
		if ok {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("after %v: %s", patience, state)
		}
		time.Sleep(pause) // so as not to take the machine from what is waited for
	}
}

// address is where a listener listens, as host:port; the latest, if an edit has
// moved it.
func (p *proxy) address(listener string) string {
	p.t.Helper()
	found, err := p.log.wait(0, 1, "listening", fields{"listener": listener})
	if err != nil {
		p.t.Fatal(err)
	}
	return found[len(found)-1].text("address")
}

// ws is the ws:// URL of a path on listener web.
func (p *proxy) ws(path string) string { p.t.Helper(); return "ws://" + p.address("web") + path }

// http is the http:// URL of a path on listener web.
func (p *proxy) http(path string) string { p.t.Helper(); return "http://" + p.address("web") + path }
