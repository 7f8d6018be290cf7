package e2e

// The servers behind the proxy.

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// backend is a server that remembers what it was asked. It echoes WebSocket
// messages (gorilla/websocket) and the bytes of any other upgrade, and answers
// plain HTTP with its name. Its methods may be called concurrently; it is closed
// with its test.
type backend struct {
	name    string
	server  *proxytest.Server
	running sync.WaitGroup // handlers, those of hijacked connections too

	mu    sync.Mutex // guards asked
	asked []*http.Request
}

// newBackend starts a backend on a free port.
func newBackend(t testing.TB, name string) *backend {
	t.Helper()
	b := &backend{name: name}
	t.Cleanup(b.running.Wait) // after the server is closed, and the proxy before it
	b.server = proxytest.Serve(t, b)
	return b
}

// newTLSBackend is newBackend over TLS. To verify it takes the returned PEM
// file of its authority.
func newTLSBackend(t testing.TB, name string) (b *backend, ca string) {
	t.Helper()
	authority := proxytest.NewAuthority(t)
	b = &backend{name: name}
	t.Cleanup(b.running.Wait)
	b.server = proxytest.ServeTLS(t, authority.Issue([]string{"127.0.0.1"}), b)
	return b, authority.File
}

// authority is the backend's host:port.
func (b *backend) authority() string { return b.server.Addr }

// url is the backend's URL without a path.
func (b *backend) url(scheme string) string { return scheme + "://" + b.authority() }

// requests are all that it was asked, in order. A request is there before its
// answer is.
func (b *backend) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*http.Request(nil), b.asked...)
}

// last is the latest request, which must have come.
func (b *backend) last(t testing.TB) *http.Request {
	t.Helper()
	asked := b.requests()
	if len(asked) == 0 {
		t.Fatalf("backend %s was asked nothing", b.name)
	}
	return asked[len(asked)-1]
}

// ServeHTTP answers the proxy.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.running.Add(1)
	defer b.running.Done()
	b.mu.Lock()
	b.asked = append(b.asked, r.Clone(r.Context()))
	b.mu.Unlock()
	switch {
	case websocket.IsWebSocketUpgrade(r):
		b.echoMessages(w, r)
	case r.Header.Get("Upgrade") != "":
		echoUpgraded(w, r.Header.Get("Upgrade"))
	default:
		fmt.Fprintf(w, "%s %s %s", b.name, r.Method, r.URL.RequestURI())
	}
}

var upgrader = websocket.Upgrader{
	CheckOrigin:  func(*http.Request) bool { return true },
	Subprotocols: []string{"chat.v2"},
}

// echoMessages sends every message back; "name?" is answered with the backend's name.
func (b *backend) echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if string(message) == "name?" {
			message = []byte(b.name)
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			return
		}
	}
}

// echoUpgraded switches to protocol and sends every byte back until the client's
// end of file.
func echoUpgraded(w http.ResponseWriter, protocol string) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	io.Copy(conn, bufio.NewReader(buffered)) // until the proxy closes
}

// who asks the backend at the other end of a tunnel for its name.
func who(t testing.TB, conn *websocket.Conn) string {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("name?")); err != nil {
		t.Fatal(err)
	}
	return readText(t, conn)
}

// fill replaces $name in a routes file by its value; a capture's $1 stays.
func fill(text string, values map[string]string) string {
	return regexp.MustCompile(`\$[a-z]+`).ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := values[name[1:]]; ok {
			return value
		}
		return name
	})
}
