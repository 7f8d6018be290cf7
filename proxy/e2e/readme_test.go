package e2e

// The README's tour, followed word for word: its blocks are taken from the page
// and run, with the address of a proxy of the test's own in place of port 8080.

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exampleAddress is where routes.example.yaml listens.
const exampleAddress = "127.0.0.1:8080"

func TestReadmeTour(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("the tour is followed with curl: %v", err)
	}
	tour := &tour{t: t, address: freeAddress(t), blocks: fences(t, filepath.Join(moduleRoot, "README.md"), "sh")}
	p := tour.start()

	if got := tour.run("curl -d hello"); !strings.Contains(got, "hello") {
		t.Errorf("the echo answered %q, wanted hello in it", got)
	}
	tour.begin("curl -i -N")
	p.waitLog("tunnel opened", fields{"route": "echo"})

	m := p.log.mark()
	tour.run("echo '  hello:")
	loaded := p.waitLogAfter(m, "routes loaded", nil)
	if !strings.Contains(loaded.text("added"), "hello") || loaded.text("tunnels_kept") != "1" {
		t.Errorf("loaded %v, wanted hello added and 1 tunnel kept", loaded)
	}
	if got := tour.run("curl http://" + exampleAddress + "/hello\n"); got != "hello, route" {
		t.Errorf("the new route answered %q", got)
	}

	m = p.log.mark()
	tour.run("echo '  oops:")
	mistake := p.waitLogAfter(m, "mistake", nil)
	said := tour.run("curl http://" + exampleAddress + "/hello\n./tunnelform check")
	for _, want := range []string{"hello, route", "path_prefx", "path_prefix", "exit status 1", "routes.yaml:" + mistake.text("line") + ":"} {
		if !strings.Contains(said, want) {
			t.Errorf("the old route and check answered %q, wanted %q in it", said, want)
		}
	}
	tour.run("sed -i")
	if got := tour.run("./tunnelform explain"); !strings.Contains(got, "echo") {
		t.Errorf("explain and fmt -d answered %q, wanted route echo in it", got)
	}
	if n := p.countLog("tunnel closed", nil); n != 0 {
		t.Errorf("%d tunnels were closed on the tour, wanted none", n)
	}
}

// TestReadmeCommands: the two commands are named, and the first serves.
func TestReadmeCommands(t *testing.T) {
	blocks := fences(t, filepath.Join(moduleRoot, "README.md"), "sh")
	if len(blocks) == 0 || !strings.Contains(blocks[0].text, "go run . serve routes.example.yaml") || !strings.Contains(blocks[0].text, "go test ./...") {
		t.Errorf("the README's first block is %v, wanted the two commands", blocks)
	}
	p := startFiles(t, map[string]string{"routes.example.yaml": example(t, freeAddress(t))}, "routes.example.yaml")
	if p.countLog("listening", nil) == 0 {
		t.Error("no listener was announced before the routes were loaded")
	}
}

// tour follows the README's blocks in a directory of its own.
type tour struct {
	t       *testing.T
	dir     string
	address string
	blocks  []fence
}

// start is the first block: the built binary and a copy of the example.
func (o *tour) start() *proxy {
	o.t.Helper()
	o.script("go build -o tunnelform .")
	p := startFiles(o.t, map[string]string{routesFile: example(o.t, o.address)}, routesFile)
	o.dir = p.dir
	p.write(".curlrc", "silent\n")
	if err := os.Symlink(binary(o.t), p.path("tunnelform")); err != nil {
		o.t.Fatal(err)
	}
	return p
}

// run executes the block that begins so and returns what it printed, with its
// exit status behind it if that is not 0.
func (o *tour) run(beginning string) string {
	o.t.Helper()
	output, err := o.command(o.script(beginning)).CombinedOutput()
	if err != nil {
		return string(output) + err.Error()
	}
	return string(output)
}

// begin starts the block that begins so, a single command, and ends it with the
// test: exec, so that no shell stands between.
func (o *tour) begin(beginning string) {
	o.t.Helper()
	command := o.command("exec " + o.script(beginning))
	if err := command.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		command.Process.Kill()
		command.Wait() // killed: its error says so
	})
}

func (o *tour) command(script string) *exec.Cmd {
	command := exec.Command("sh", "-c", strings.ReplaceAll(script, exampleAddress, o.address))
	command.Dir = o.dir
	// A home of its own, where curl is told to print no progress.
	command.Env = append(os.Environ(), "HOME="+o.dir)
	return command
}

// script is the text of the one block that is, or begins, so.
func (o *tour) script(beginning string) string {
	o.t.Helper()
	var found []string
	for _, block := range o.blocks {
		if block.text == beginning {
			return block.text
		}
		if strings.HasPrefix(block.text, beginning) {
			found = append(found, block.text)
		}
	}
	if len(found) != 1 {
		o.t.Fatalf("%d blocks of the README begin with %q, wanted one", len(found), beginning)
	}
	return found[0]
}

// example is routes.example.yaml, listening elsewhere.
func example(t *testing.T, address string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(moduleRoot, "routes.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(data), exampleAddress) == 0 {
		t.Fatalf("routes.example.yaml does not listen on %s, as the README says", exampleAddress)
	}
	return strings.ReplaceAll(string(data), exampleAddress, address)
}

// freeAddress is one that is free at this moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
