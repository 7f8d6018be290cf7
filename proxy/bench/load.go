package main

// The load: tunnels through a proxy, and what is done with them one at a time.
// What is done with all of them at once is in loop.go.

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	echoing  = "/ws"
	sinking  = "/sink"
	stalling = "/stall"
)

func handshake(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// patience is how long one answer may take, whatever the proxy is busy with.
const patience = 30 * time.Second

// dial opens a connection to the proxy.
func (p *running) dial() (*net.TCPConn, error) {
	conn, err := net.DialTimeout("tcp", p.addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn), nil
}

// tunnel opens a tunnel: a *raw, or a *tls.Conn where the proxy ends TLS.
func (p *running) tunnel(path string) (io.ReadWriteCloser, error) {
	conn, err := p.dial()
	if err != nil {
		return nil, err
	}
	if p.tls {
		return p.secure(conn, path)
	}
	if err := upgrade(conn, path); err != nil {
		conn.Close()
		return nil, err
	}
	return newRaw(conn)
}

func (p *running) secure(conn *net.TCPConn, path string) (io.ReadWriteCloser, error) {
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err := upgrade(secured, path); err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return secured, nil
}

// upgrade makes the handshake. The backend says nothing by itself, so that what
// comes is the answer's head and no more.
func upgrade(conn io.ReadWriter, path string) error {
	if _, err := io.WriteString(conn, handshake(path)); err != nil {
		return err
	}
	head := make([]byte, 0, 2<<10)
	for !bytes.Contains(head, []byte("\r\n\r\n")) && len(head) < cap(head) {
		n, err := conn.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return fmt.Errorf("handshake: answered %q, wanted 101", line)
	}
	return nil
}

// tunnels opens n, a few at a time.
func (p *running) tunnels(n int) ([]io.ReadWriteCloser, error) {
	conns := make([]io.ReadWriteCloser, n)
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, 32)
	for range cap(failed) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				conn, err := p.tunnel(echoing)
				if err != nil {
					failed <- err
					return
				}
				conns[i] = conn
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		closeAll(conns)
		return nil, err
	default:
		return conns, nil
	}
}

func closeAll(conns []io.ReadWriteCloser) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// echoer plays messages of one size on one tunnel. One goroutine at a time.
type echoer struct {
	conn    io.ReadWriter
	size    int
	request []byte
	buffer  []byte
	frames  walker
}

func newEchoer(conn io.ReadWriter, size int) *echoer {
	return &echoer{conn: conn, size: size, request: frame(size, true), buffer: make([]byte, min(size+14, 64<<10))}
}

// once sends a message and waits for its echo.
func (e *echoer) once() error {
	if _, err := e.conn.Write(e.request); err != nil {
		return err
	}
	for {
		n, err := e.conn.Read(e.buffer)
		if err != nil {
			return err
		}
		if done, err := e.take(e.buffer[:n]); done || err != nil {
			return err
		}
	}
}

// take looks for the echo in what has come, and answers pings.
func (e *echoer) take(b []byte) (done bool, err error) {
	for len(b) > 0 && err == nil {
		rest, f, ok := e.frames.next(b)
		b = rest
		switch {
		case !ok:
		case f.op == opClose:
			return false, errors.New("a Close frame came")
		case f.op == opPing:
			_, err = e.conn.Write(message(opPong, f.control, true))
		case f.op < opClose && f.size != e.size:
			return false, fmt.Errorf("an echo of %d bytes came, wanted %d", f.size, e.size)
		case f.op < opClose:
			done = true
		}
	}
	return done, err
}

// eachOnce plays one message on each tunnel, one after the other.
func eachOnce(conns []io.ReadWriteCloser, size int) error {
	for _, conn := range conns {
		if err := newEchoer(conn, size).once(); err != nil {
			return err
		}
	}
	return nil
}

// repeat runs each of the jobs again and again, all at once, until ctx is done,
// and counts how often. The first error ends its job and is returned.
func repeat(ctx context.Context, jobs []func() error) (count int64, err error) {
	var done atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, len(jobs))
	for _, job := range jobs {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := job(); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return done.Load(), nil
	}
}

// times is n of the same job.
func times(n int, job func() error) []func() error { return slices.Repeat([]func() error{job}, n) }

// requests sends plain HTTP requests on n kept connections until ctx is done.
func (p *running) requests(ctx context.Context, n int) (count int64, err error) {
	transport := &http.Transport{MaxIdleConnsPerHost: n, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	url := "http://" + p.addr + "/"
	if p.tls {
		url = "https://" + p.addr + "/"
	}
	return repeat(ctx, times(n, func() error {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}))
}

// handshakes opens and closes tunnels, a few at a time, until ctx is done.
func (p *running) handshakes(ctx context.Context, workers int, path func() string) (count int64, err error) {
	return repeat(ctx, times(workers, func() error {
		conn, err := p.tunnel(path())
		if err != nil {
			return err
		}
		return conn.Close()
	}))
}
