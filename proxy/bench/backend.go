package main

// The backend: an echo that is as cheap as one in Go can be. Plain HTTP requests
// get a short answer. A WebSocket's path says what becomes of its messages: each
// is echoed by one of its size, prepared beforehand, all on one thread; below
// /sink they are read and forgotten; below /stall only the first are read. These
// two have goroutines, so that none of them holds up the echoes.

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stallAfter is how much is read of a tunnel that then stalls: the kernel's
// buffers grow with what is moved.
const stallAfter = 64 << 20

// backend answers handshakes in goroutines and echoes on one thread. close may be
// called at any time, by anyone, once.
type backend struct {
	ln     net.Listener
	addr   string
	poll   *poller
	closed atomic.Bool
	ended  chan struct{} // closed when the thread has ended

	mu    sync.Mutex
	conns map[int]*echoConn // by descriptor; guarded by mu
}

func startBackend() (*backend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	poll, err := newPoller()
	if err != nil {
		ln.Close()
		return nil, err
	}
	b := &backend{ln: ln, addr: ln.Addr().String(), poll: poll, ended: make(chan struct{}), conns: make(map[int]*echoConn)}
	go b.accept()
	go b.echo()
	return b, nil
}

// close ends every tunnel as well.
func (b *backend) close() {
	b.closed.Store(true)
	b.ln.Close()
	<-b.ended
}

func (b *backend) accept() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		go b.serve(conn.(*net.TCPConn))
	}
}

// serve answers requests, which have no body, until one asks for a WebSocket.
func (b *backend) serve(conn *net.TCPConn) {
	defer conn.Close()
	buffer := make([]byte, 4<<10)
	for have := 0; ; {
		n, err := conn.Read(buffer[have:])
		if err != nil {
			return
		}
		have += n
		head, rest, ok := bytes.Cut(buffer[:have], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		key := field(head, "sec-websocket-key")
		if key != "" {
			b.upgrade(conn, key, head)
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
			return
		}
		have = copy(buffer, rest)
	}
}

// field is the value of a header, whose name is given in lower case.
func field(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		got, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(got) == len(name) && string(bytes.ToLower(got)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

func (b *backend) upgrade(conn *net.TCPConn, key string, head []byte) {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	switch {
	case err != nil:
	case bytes.HasPrefix(head, []byte("GET "+sinking)):
		_, _ = io.Copy(io.Discard, struct{ io.Reader }{conn})
	case bytes.HasPrefix(head, []byte("GET "+stalling)):
		_, _ = io.CopyN(io.Discard, struct{ io.Reader }{conn}, stallAfter)
		<-b.ended
	default:
		c := &echoConn{}
		if c.fd, err = detach(conn); err == nil {
			b.take(c)
		}
	}
}

// take gives a tunnel to the echoing thread.
func (b *backend) take(c *echoConn) {
	b.mu.Lock()
	b.conns[c.fd] = c
	b.mu.Unlock()
	if b.closed.Load() || b.poll.add(c.fd) != nil {
		b.drop(c)
	}
}

func (b *backend) drop(c *echoConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns[c.fd] == c {
		delete(b.conns, c.fd)
		closeNow(c.fd)
	}
}

func (b *backend) find(fd int) *echoConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns[fd]
}

// open counts the tunnels that are echoed.
func (b *backend) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// echo is the echoing thread.
func (b *backend) echo() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(b.ended)
	defer b.dropAll()
	buffer := make([]byte, 256<<10)
	answers := make(map[int][]byte) // by size
	for !b.closed.Load() {
		ready, err := b.poll.wait(50 * time.Millisecond)
		if err != nil {
			return
		}
		for _, e := range ready {
			c := b.find(int(e.Fd))
			if c != nil && c.serve(buffer, answers, e.Events&syscall.EPOLLRDHUP != 0) != nil {
				b.drop(c)
			}
		}
	}
}

func (b *backend) dropAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for fd := range b.conns {
		closeNow(fd)
	}
	clear(b.conns)
	b.poll.close()
}

// echoConn is one tunnel's end. All of it belongs to the echoing thread.
type echoConn struct {
	fd     int
	frames walker
	out    [][]byte // answers under way; the bytes are shared
	at     int      // of out, the first that the kernel has not taken whole
}

// serve reads and answers until the kernel has no more. An error is the end. A
// short reading was the last, unless the client has ended: its FIN may have come
// with the bytes, and is not reported again.
func (c *echoConn) serve(buffer []byte, answers map[int][]byte, ended bool) error {
	if err := c.flush(); err != nil {
		return err
	}
	for len(c.out) == 0 { // or a client that does not read would be owed ever more
		n, err := receive(c.fd, buffer)
		if err == errAgain {
			return nil
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err == nil {
			err = c.answer(buffer[:n], answers)
		}
		if err != nil {
			return err
		}
		if n < len(buffer) && !ended {
			return nil
		}
	}
	return nil
}

func (c *echoConn) answer(b []byte, answers map[int][]byte) error {
	for len(b) > 0 {
		rest, f, ok := c.frames.next(b)
		b = rest
		switch {
		case !ok:
		case f.op == opClose:
			return io.EOF
		case f.op == opPing:
			c.out = append(c.out, message(opPong, f.control, false))
		case f.op < opClose:
			if answers[f.size] == nil {
				answers[f.size] = frame(f.size, false)
			}
			c.out = append(c.out, answers[f.size])
		}
	}
	return c.flush()
}

func (c *echoConn) flush() error {
	for ; c.at < len(c.out); c.at++ {
		for len(c.out[c.at]) > 0 {
			n, err := send(c.fd, c.out[c.at])
			if err == errAgain {
				return nil
			}
			if err != nil {
				return err
			}
			c.out[c.at] = c.out[c.at][n:]
		}
	}
	c.out, c.at = c.out[:0], 0
	return nil
}
