package provider

// The real binaries together: terraform, this provider, and a proxy with open
// tunnels that follows the file.

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds waiting for what must happen.
const patience = time.Minute

// running is a proxy process.
type running struct {
	t       *testing.T
	admin   string // as the provider wants it
	address string // of its listener
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startProxy serves a file until the test ends.
func startProxy(t *testing.T, file string) *running {
	t.Helper()
	r := &running{t: t, admin: "unix:" + filepath.Join(t.TempDir(), "admin.sock"), log: &lockedBuffer{}}
	cmd := exec.Command(binary(t, ".", "tunnelform"), "serve", "--admin", r.admin, file)
	cmd.Stderr = r.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the proxy said:\n%s", r.log)
		}
	})
	p, err := newProxy(r.admin)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		status, err := p.status(ctx, "", 0)
		if err == nil && status.Listeners["web"] != "" {
			r.address = status.Listeners["web"]
			return r
		}
		if ctx.Err() != nil {
			t.Fatalf("the proxy does not answer: %v\n%s", err, r.log)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// get asks the proxy for a path and returns the answer's status.
func (r *running) get(path string) int {
	r.t.Helper()
	resp, err := http.Get("http://" + r.address + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (r *running) want(path string, status int) {
	r.t.Helper()
	if got := r.get(path); got != status {
		r.t.Errorf("%s answers %d, want %d", path, got, status)
	}
}

// tunnels opens n WebSockets through the proxy.
func (r *running) tunnels(path string, n int) []*websocket.Conn {
	r.t.Helper()
	var all []*websocket.Conn
	for range n {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+r.address+path, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { conn.Close() })
		all = append(all, conn)
	}
	return all
}

// echo sends a message through every tunnel and reads it back.
func echo(t *testing.T, tunnels []*websocket.Conn, word string) {
	t.Helper()
	for i, conn := range tunnels {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if err := conn.WriteMessage(websocket.TextMessage, []byte(word)); err != nil {
			t.Fatalf("tunnel %d, after %s: %v", i, word, err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != word {
			t.Fatalf("tunnel %d: %q came back (%v), want %q", i, got, err, word)
		}
	}
}

// echoBackend echoes WebSocket messages.
func echoBackend(t *testing.T) (address string) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// resourceRoute is HCL for a route.
func resourceRoute(name, body string) string {
	return fmt.Sprintf("resource \"tunnelform_route\" %q {\n  name = %q\n%s\n}\n", name, name, body)
}

// Apply means serving, with 200 tunnels open all the while.
func TestAccApplyMeansServing(t *testing.T) {
	acceptance(t)
	backend := echoBackend(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "routes.yaml")
	writeFile(t, file, fmt.Sprintf(`# by hand
version: 1
listeners:
  web: {address: "127.0.0.1:0"}
routes:
  by-hand: {match: {path: /kept}, to: "ws://%s"}  # whose tunnels must not notice
`, backend))
	proxy := startProxy(t, file)
	provider := providerBlock(file, fmt.Sprintf("admin = [%q]", proxy.admin), `wait { timeout = "1m" }`)
	kept := proxy.tunnels("/kept", 200)
	w := newWorkspace(t, "")
	apply := func(config string) {
		t.Helper()
		w.write(provider + config)
		w.must("apply", "-auto-approve")
		echo(t, kept, "hello")
		if out := w.must("plan"); !strings.Contains(out, "No changes.") {
			t.Errorf("after apply a plan is not empty:\n%s", out)
		}
	}

	going := resourceRoute("going", fmt.Sprintf("  match { path = \"/going\" }\n  to = \"ws://%s\"\n  drain { window = \"100ms\" }", backend))
	changing := func(status int) string {
		return resourceRoute("changing", fmt.Sprintf("  match { path = \"/changing\" }\n  respond { status = %d }", status))
	}
	proxy.want("/changing", 404)
	apply(going + changing(201))
	proxy.want("/changing", 201) // at once: apply has ended
	ending := proxy.tunnels("/going", 5)
	echo(t, ending, "still here")

	apply(changing(202))
	proxy.want("/changing", 202)
	proxy.want("/going", 404)
	for _, conn := range ending {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			t.Errorf("a tunnel of the removed route ended with %v, want close code 1012", err)
		}
	}

	before := readFile(t, file)
	w.write(provider + changing(202) + resourceRoute("bad", "  match { host = \"a..b\" }\n  respond { status = 200 }"))
	out := w.fails(`route "bad": host "a..b": empty label`, "plan")
	if !strings.Contains(unwrapped(out), "with tunnelform_route.bad") || !strings.Contains(out, "match { host") {
		t.Errorf("the error names neither the resource nor the line:\n%s", out)
	}

	certificate := filepath.Join(dir, "ca.pem") // that does not exist
	w.write(provider + changing(203) + resourceRoute("secure", fmt.Sprintf("  match { path = \"/secure\" }\n  to = \"wss://%s\"\n  backend_tls { ca = %q }", backend, certificate)))
	out = w.fails(`ca.pem": no such file or directory`, "apply", "-auto-approve")
	if !strings.Contains(unwrapped(out), "with tunnelform_route.secure") {
		t.Errorf("the error does not name the resource:\n%s", out)
	}
	after := readFile(t, file)
	if strings.Contains(after, "secure") {
		t.Errorf("the rejected route is in the file:\n%s", after)
	}
	if changed := strings.Replace(before, "202", "203", 1); after != before && after != changed {
		t.Errorf("the file holds\n%s\nwant the old one, or that with the sound change", after)
	}
	echo(t, kept, "after the rejection")
	w.write(provider)
	w.must("destroy", "-auto-approve")
	proxy.want("/changing", 404)
	echo(t, kept, "to the end")
}

// If a certificate disappears after the proxy has checked the file, the proxy rejects
// the file: apply fails with its mistakes, the old file is restored, and the old
// routes keep serving.
func TestAccCertificateDisappears(t *testing.T) {
	acceptance(t)
	dir := t.TempDir()
	file, certificate := filepath.Join(dir, "routes.yaml"), filepath.Join(dir, "ca.pem")
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	writeFile(t, certificate, pemOf(server.TLS))
	text := fmt.Sprintf("version: 1\nlisteners: {web: {address: \"127.0.0.1:0\"}}\nroutes:\n  by-hand: {match: {path: /x}, to: %q, backend_tls: {ca: ca.pem}}\n", server.URL)
	writeFile(t, file, text)
	proxy := startProxy(t, file)
	w := newWorkspace(t, providerBlock(file, fmt.Sprintf("admin = [%q]", proxy.admin))+resourceRoute("new", "  match { path = \"/new\" }\n  respond { status = 200 }"))
	if err := os.Remove(certificate); err != nil {
		t.Fatal(err)
	}
	w.fails(`ca.pem": no such file or directory`, "apply", "-auto-approve")
	if got := readFile(t, file); got != text {
		t.Errorf("the file holds\n%s\nwant\n%s", got, text)
	}
	proxy.want("/new", 404)
	proxy.want("/x", 404) // the backend's own answer: the old route serves
}

func pemOf(config *tls.Config) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]}))
}
