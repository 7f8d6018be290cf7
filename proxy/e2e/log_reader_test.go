package e2e

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestLogReaderGone: the reader of the log may end, such as a collector that is
// updated; no tunnel ends with it.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	p := &proxy{t: t, dir: t.TempDir(), log: newLogbook(), exited: make(chan struct{})}
	p.write(routesFile, web+"shutdown: {delay: 0s, window: 0s}\nroutes: {echo: {to: \"internal://echo\"}}\n")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary(t), "serve", routesFile)
	p.cmd.Dir, p.cmd.Stderr = p.dir, writer
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	seen, copied := io.Pipe()
	go p.log.collect(seen)
	go func() {
		io.Copy(copied, reader) // until the reader is closed
		copied.Close()
	}()
	go func() {
		defer close(p.exited)
		p.cmd.Wait() // its error is the status
		p.status = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(p.stop)

	p.waitLog("routes loaded", nil)
	conn := dial(t, p.ws("/"))
	echo(t, conn, "before")
	p.waitLog("tunnel opened", nil)
	reader.Close()
	for range 3 {
		if got := get(t, p.http("/")); got.status != 200 {
			t.Errorf("%d %q, wanted 200", got.status, got.body)
		}
	}
	echo(t, conn, "after")
	conn.Close()
	p.signal(syscall.SIGTERM)
	if status := p.exit(); status != 0 {
		t.Errorf("ended with %d, wanted 0", status)
	}
}
