package e2e

// A server behind the proxy that is a process of its own: this test binary, run
// again. It can be stopped and killed, and it does what its test says on its
// standard input.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// backendVariable is the environment variable that makes the test binary a
// backend of that name.
const backendVariable = "TUNNELFORM_E2E_BACKEND"

// The moods of a backend process. They are about what is new: tunnels that are
// open go on in all of them.
const (
	well     = "well"
	refusing = "refusing" // its port is closed
	slow     = "slow"     // no answer until the mood changes
	broken   = "broken"   // everything is answered with 500
)

// process is a backend process, from outside. Its methods belong to its test's goroutine.
type process struct {
	t       *testing.T
	name    string
	address string
	command *exec.Cmd
	orders  io.WriteCloser
	says    *bufio.Reader
}

// newProcess starts a backend that is well. It ends with its test.
func newProcess(t *testing.T, name string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, command: exec.Command(self)}
	p.command.Env = append(os.Environ(), backendVariable+"="+name)
	p.command.Stderr = os.Stderr
	if p.orders, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	says, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.says = bufio.NewReader(says)
	p.address = p.hear()
	return p
}

// be changes the backend's mood, and returns when it has changed.
func (p *process) be(mood string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.orders, mood); err != nil {
		p.t.Fatal(err)
	}
	if got := p.hear(); got != mood {
		p.t.Fatalf("backend %s is %q, wanted %q", p.name, got, mood)
	}
}

// hear reads the next line that it says.
func (p *process) hear() string {
	p.t.Helper()
	line, err := p.says.ReadString('\n')
	if err != nil {
		p.t.Fatalf("backend %s: %v", p.name, err)
	}
	return strings.TrimSpace(line)
}

// signal sends sig.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// stop stops it, and returns when it stands still.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.command.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case err == nil && status.Stopped():
			return
		case err != syscall.EINTR:
			p.t.Fatalf("backend %s: %v, %v", p.name, status, err)
		}
	}
}

// goOn ends a stop.
func (p *process) goOn() { p.t.Helper(); p.signal(syscall.SIGCONT) }

// kill ends it at once; it may be called again.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	_ = p.command.Wait()         // with the signal, as it should
}

// processBackend is a backend process, from within.
type processBackend struct {
	name, address string
	server        http.Server

	mu      sync.Mutex // guards what follows
	mood    string
	changed chan struct{} // closed when the mood changes
}

// runBackend is the main function of a backend process. It returns its exit status.
func runBackend(name string) int {
	b := &processBackend{name: name, address: "127.0.0.1:0", changed: make(chan struct{})}
	b.server.Handler = b
	listener := b.listen()
	fmt.Println(b.address)
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() { // until the test ends
		mood := orders.Text()
		b.feel(mood)
		switch {
		case mood == refusing:
			listener.Close()
			listener = nil
		case listener == nil:
			listener = b.listen()
		}
		fmt.Println(mood)
	}
	return 0
}

// listen serves where it did before, or on a free port.
func (b *processBackend) listen() net.Listener {
	listener, err := net.Listen("tcp", b.address)
	if err != nil {
		panic(err)
	}
	b.address = listener.Addr().String()
	go b.server.Serve(listener)
	return listener
}

func (b *processBackend) feel(mood string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mood = mood
	close(b.changed)
	b.changed = make(chan struct{})
}

// awaitMood returns the mood as soon as it is one that answers.
func (b *processBackend) awaitMood() string {
	for {
		b.mu.Lock()
		mood, changed := b.mood, b.changed
		b.mu.Unlock()
		if mood != slow {
			return mood
		}
		<-changed
	}
}

// ServeHTTP answers tunnels with numbered echoes, and anything else with its name.
func (b *processBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch mood := b.awaitMood(); {
	case mood == broken:
		http.Error(w, "out of order", http.StatusInternalServerError)
	case websocket.IsWebSocketUpgrade(r):
		b.echo(w, r)
	default:
		fmt.Fprint(w, b.name)
	}
}

// echo sends every message back, with its number before it.
func (b *processBackend) echo(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, http.Header{"X-Host": {b.name}})
	if err != nil {
		return // the upgrader has answered
	}
	defer conn.Close()
	for n := 1; ; n++ {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%d %s", n, message)); err != nil {
			return
		}
	}
}

// TestBackendProcess: it does as it is told, and its open tunnels go on.
func TestBackendProcess(t *testing.T) {
	t.Parallel()
	b := newProcess(t, "b")
	url := "ws://" + b.address
	conn := dial(t, url)
	said := 0
	say := func() {
		t.Helper()
		said++
		if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got := readText(t, conn); got != fmt.Sprintf("%d hello", said) {
			t.Fatalf("echo %q", got)
		}
	}
	say()
	b.be(broken)
	if got := refused(t, url, nil); got.StatusCode != 500 {
		t.Errorf("%d from a broken backend", got.StatusCode)
	}
	say()
	b.be(refusing)
	if conn, err := net.DialTimeout("tcp", b.address, patience); err == nil {
		conn.Close()
		t.Error("a refusing backend takes connections")
	}
	say()
	b.be(slow)
	answered := make(chan int, 1)
	go func() { answered <- get(t, "http://"+b.address).status }()
	say()
	b.stop()
	b.goOn()
	b.be(well)
	select {
	case status := <-answered:
		if status != 200 {
			t.Errorf("%d from a slow backend, in the end", status)
		}
	case <-time.After(patience):
		t.Error("a slow backend never answers")
	}
	say()
}
