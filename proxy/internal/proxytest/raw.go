package proxytest

// Backends and clients of bytes, without a protocol.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is the deadline of everything here: generous, as only a failing test meets it.
const Patience = 20 * time.Second

var discard = log.New(io.Discard, "", 0)

// RawBackend is a TCP server that runs a script on every connection. At the end of the test
// it closes its connections and waits for the scripts.
type RawBackend struct {
	Addr string

	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex // guards conns and closed
	conns    map[net.Conn]bool
	accepted int
	closed   bool
}

// NewRawBackend runs script in a goroutine per connection. The connection has a deadline of
// Patience, and is closed when script returns.
func NewRawBackend(t testing.TB, script func(net.Conn)) *RawBackend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &RawBackend{Addr: listener.Addr().String(), listener: listener, conns: map[net.Conn]bool{}}
	b.done.Add(1)
	go b.accept(script)
	t.Cleanup(b.close)
	return b
}

// Accepted is the number of connections so far.
func (b *RawBackend) Accepted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted
}

func (b *RawBackend) accept(script func(net.Conn)) {
	defer b.done.Done()
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		if !b.add(conn) {
			conn.Close()
			return
		}
		b.done.Add(1)
		go b.run(conn, script)
	}
}

func (b *RawBackend) add(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted++
	b.conns[conn] = true
	return !b.closed
}

func (b *RawBackend) run(conn net.Conn, script func(net.Conn)) {
	defer b.done.Done()
	defer func() {
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
	}()
	conn.SetDeadline(time.Now().Add(Patience))
	script(conn)
}

func (b *RawBackend) close() {
	b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for conn := range b.conns {
		conn.Close()
	}
	b.mu.Unlock()
	b.done.Wait()
}

// Answer is a script that writes text after each request's head, until the client closes.
func Answer(text string) func(net.Conn) {
	return func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			if _, err := ReadHead(reader); err != nil {
				return
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// AnswerOnce is a script that writes text after the first request's head, and closes.
func AnswerOnce(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := ReadHead(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, text)
		}
	}
}

// ReadHead reads to the end of the first empty line.
func ReadHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return head.String(), err
		}
		if strings.TrimRight(line, "\r\n") == "" {
			return head.String(), nil
		}
	}
}

// Raw is a client of bytes, for one goroutine at a time. It closes with the test.
type Raw struct {
	net.Conn
	Reader *bufio.Reader // of Conn
	t      testing.TB
}

// Dial connects to host:port, or to the unix socket at a path.
func Dial(t testing.TB, addr string) *Raw {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	return RawOver(t, conn)
}

// RawOver is a Raw on an open connection, such as one of crypto/tls.
func RawOver(t testing.TB, conn net.Conn) *Raw {
	conn.SetDeadline(time.Now().Add(Patience))
	t.Cleanup(func() { conn.Close() })
	return &Raw{Conn: conn, Reader: bufio.NewReader(conn), t: t}
}

func (c *Raw) Send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// Response reads the response to a request of that method, and its body. It skips interim
// responses other than 101.
func (c *Raw) Response(method string) (*http.Response, string) {
	c.t.Helper()
	for {
		res, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
		if err != nil {
			c.t.Fatalf("response: %v", err)
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			c.t.Fatalf("response's body: %v, after %q", err, body)
		}
		return res, string(body)
	}
}

// Rest reads until the peer closes or resets.
func (c *Raw) Rest() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.Reader)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the connection is still open, after %q", rest)
	}
	return string(rest)
}

// CloseWrite sends a FIN.
func (c *Raw) CloseWrite() {
	c.t.Helper()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		c.t.Fatalf("%T has no half-close", c.Conn)
	}
	if err := half.CloseWrite(); err != nil {
		c.t.Fatalf("half-close: %v", err)
	}
}

// Refused is a loopback address that refuses connections until the test ends. A socket
// is bound to it that does not listen: were the port free, another test could have it.
func Refused(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// listenUnix uses a directory with a short name: the path of a socket has at most 108
// bytes, fewer than some tests' TempDir.
func listenUnix(t testing.TB) net.Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "tf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
