package e2e

// A backend that speaks bytes: what it was sent is kept byte for byte, and what
// it answers is a script's to say. For answers that no HTTP library would write.

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// script answers one request, whose head was read from in. It says whether the
// connection stays open for another one.
type script func(conn net.Conn, in *bufio.Reader, head string) (again bool)

// wire runs a script for each path, the first that the path begins with; any
// other path gets ok. Its methods may be called concurrently.
type wire struct {
	*proxytest.RawBackend
	scripts map[string]script

	mu       sync.Mutex // guards both
	heads    []string
	received strings.Builder // every byte of every connection
}

// newWire starts one. It ends with the test.
func newWire(t *testing.T, scripts map[string]script) *wire {
	t.Helper()
	w := &wire{scripts: scripts}
	w.RawBackend = proxytest.NewRawBackend(t, w.serve)
	return w
}

func (w *wire) serve(conn net.Conn) {
	in := bufio.NewReader(io.TeeReader(conn, w))
	for {
		head, err := proxytest.ReadHead(in)
		if err != nil {
			return
		}
		w.note(head)
		if !w.scriptFor(head)(conn, in, head) {
			return
		}
	}
}

func (w *wire) scriptFor(head string) script {
	path := pathOf(head)
	var longest string
	found := keep(ok)
	for prefix, s := range w.scripts {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(longest) {
			longest, found = prefix, s
		}
	}
	return found
}

// Write notes what a connection has received.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received.Write(p)
}

func (w *wire) note(head string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads = append(w.heads, head)
}

// asked is every request's head so far. One is there before it is answered.
func (w *wire) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heads)
}

// last is the head of the latest request, which must have come.
func (w *wire) last(t *testing.T) string {
	t.Helper()
	asked := w.asked()
	if len(asked) == 0 {
		t.Fatal("the backend was asked nothing")
	}
	return asked[len(asked)-1]
}

// headOf is the head of the only request for a path.
func (w *wire) headOf(t *testing.T, path string) string {
	t.Helper()
	var found []string
	for _, head := range w.asked() {
		if pathOf(head) == path {
			found = append(found, head)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the backend was asked for %s %d times, wanted once", path, len(found))
	}
	return found[0]
}

// got is every byte that has come so far.
func (w *wire) got() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received.String()
}

// pathOf is a head's path, without the query.
func pathOf(head string) string {
	_, rest, _ := strings.Cut(head, " ")
	target, _, _ := strings.Cut(rest, " ")
	path, _, _ := strings.Cut(target, "?")
	return path
}

// ok is a plain answer.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// keep answers with text and waits for the next request.
func keep(text string) script {
	return func(conn net.Conn, _ *bufio.Reader, head string) bool {
		_, err := io.WriteString(conn, accepting(text, head))
		return err == nil
	}
}

// last words: say answers with text, closes its side, and reads what still comes.
func say(text string) script {
	return func(conn net.Conn, in *bufio.Reader, head string) bool {
		io.WriteString(conn, accepting(text, head))
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, in) // until the proxy closes
		return false
	}
}

// stall answers with text and says no more, until the proxy closes.
func stall(text string) script {
	return func(conn net.Conn, in *bufio.Reader, head string) bool {
		io.WriteString(conn, accepting(text, head))
		io.Copy(io.Discard, in)
		return false
	}
}

// repeat answers with text and sends every further byte back.
func repeat(text string) script {
	return func(conn net.Conn, in *bufio.Reader, head string) bool {
		io.WriteString(conn, accepting(text, head))
		io.Copy(conn, in)
		conn.(*net.TCPConn).CloseWrite()
		return false
	}
}

// accepting puts the right Sec-WebSocket-Accept for a request's key in the
// place of $accept.
func accepting(text, head string) string {
	return strings.ReplaceAll(text, "$accept", proxytest.Accept(proxytest.HeaderValue(head, "Sec-WebSocket-Key")))
}

// switching is a right 101 with $accept, with more lines behind.
func switching(extra ...string) string {
	return request(append([]string{
		"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: $accept",
	}, extra...)...)
}

// mustBeOwn fails unless got is the proxy's own answer with that status: one
// line of text with the request's id, as the log has it, and no address.
// It returns the log's line.
func mustBeOwn(t *testing.T, p *proxy, got reply, status int, path string) line {
	t.Helper()
	if got.status != status {
		t.Fatalf("%s: %d %q, wanted %d", path, got.status, got.body, status)
	}
	entry := p.waitLog("request", fields{"path": path, "status": status})
	id := entry.text("id")
	if id == "" || !strings.Contains(got.body, id) || strings.Count(got.body, "\n") != 1 || !strings.HasSuffix(got.body, "\n") {
		t.Errorf("%s: body %q, wanted one line with the id %q", path, got.body, id)
	}
	mustNotTell(t, got)
	return entry
}

// mustNotTell fails when an answer names an address: every backend of these
// scenarios is on 127.0.0.1 or localhost.
func mustNotTell(t *testing.T, got reply) {
	t.Helper()
	var header strings.Builder
	got.header.Write(&header)
	for _, address := range []string{"127.0.0.1", "localhost"} {
		if strings.Contains(got.body, address) || strings.Contains(header.String(), address) {
			t.Errorf("the client was told an address: %d %s%q", got.status, header.String(), got.body)
		}
	}
}
