package e2e

// A proxy that has run out of descriptors waits for some, without spinning and
// without dying, and serves again.

import (
	"os/exec"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// startLimited starts a proxy that may have so few descriptors.
func startLimited(t *testing.T, descriptors, routes string) *proxy {
	t.Helper()
	p := &proxy{t: t, dir: t.TempDir()}
	p.write(routesFile, routes)
	command := exec.Command("/bin/sh", "-c", `ulimit -n "$1" && exec "$2" serve routes.yaml`, "sh", descriptors, binary(t))
	command.Dir = p.dir
	p.run(command)
	p.waitLog("routes loaded", nil)
	return p
}

func TestDescriptorsExhausted(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"by goroutines":  "",
		"on event loops": "  ws: {match: {path: /ws}, to: \"ws://127.0.0.1:1\"}\n", // where handshakes are made, if there is such a route
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exhaustDescriptors(t, more)
		})
	}
}

func exhaustDescriptors(t *testing.T, more string) {
	p := startLimited(t, "64", web+`
routes:
  echo: {match: {path: /echo}, to: "internal://echo"}
  page: {match: {path: /page}, respond: {body: here}}
`+more)
	conn, held := dial(t, p.ws("/echo")), connect(t, p)
	ask(t, held, request("GET /page HTTP/1.1", "Host: x"))
	var idle []*proxytest.Raw
	for range 100 { // more than it may have: the kernel keeps the rest for it
		idle = append(idle, connect(t, p))
	}
	p.waitLog("cannot accept connections, waiting", nil)

	before := p.usage(t)
	interval := time.NewTimer(time.Second)
	for waiting := true; waiting; { // open tunnels go on
		echo(t, conn, "in")
		if got := ask(t, held, request("GET /page HTTP/1.1", "Host: x")); got.body != "here" {
			t.Errorf("a connection that is in got %d", got.status)
		}
		select {
		case <-interval.C:
			waiting = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if used := p.usage(t).processor - before.processor; used > time.Second/2 {
		t.Errorf("waiting for a second took %v of the processor", used)
	}
	if n := p.countLog("cannot accept connections, waiting", nil); n != 1 {
		t.Errorf("said %d times that it cannot accept, wanted once", n)
	}
	// A client that was accepted is served, though there is no descriptor left for it.
	for _, client := range idle[:5] {
		if got := ask(t, client, request("GET /page HTTP/1.1", "Host: x")); got.body != "here" {
			t.Errorf("a connection that has just come in got %d", got.status)
		}
	}
	for _, client := range idle {
		client.Conn.Close()
	}
	p.waitLog("accepting again", nil)
	if got := get(t, p.http("/page")); got.body != "here" {
		t.Errorf("with descriptors to be had again: %d", got.status)
	}
	echo(t, dial(t, p.ws("/echo")), "in again")
	echo(t, conn, "in all along")
}
