package main

// The load: tunnels through a proxy, and what is done with them.

import (
	"bufio"
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

const handshake = "GET /ws HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// connect opens a connection to the proxy.
func (p *running) connect() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", p.addr, 10*time.Second)
	if err != nil || !p.tls {
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// tunnel opens a tunnel.
func (p *running) tunnel() (net.Conn, error) {
	conn, err := p.connect()
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, handshake); err != nil {
		conn.Close()
		return nil, err
	}
	// Byte by byte up to the end of the head: what is behind it is the tunnel's.
	answer, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), nil)
	if err == nil && answer.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(answer.Status)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:1]) }

// tunnels opens n, a few at a time.
func (p *running) tunnels(n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, 32)
	for range cap(failed) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				conn, err := p.tunnel()
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

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// echoer plays messages of one size on one tunnel.
type echoer struct {
	conn    net.Conn
	request []byte
	answer  []byte
}

func newEchoer(conn net.Conn, size int) *echoer {
	return &echoer{conn: conn, request: frame(size, true), answer: make([]byte, len(frame(size, false)))}
}

// once sends a message and waits for its echo. Large ones are sent while the
// echo may already be coming.
func (e *echoer) once() error {
	if len(e.request) > 64<<10 {
		sent := make(chan error, 1)
		go func() { _, err := e.conn.Write(e.request); sent <- err }()
		_, err := io.ReadFull(e.conn, e.answer)
		return errors.Join(err, <-sent)
	}
	if _, err := e.conn.Write(e.request); err != nil {
		return err
	}
	_, err := io.ReadFull(e.conn, e.answer)
	return err
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

// echoes lets every tunnel echo, one message after the other, until ctx is done,
// and counts the messages.
func echoes(ctx context.Context, conns []net.Conn, size int) (messages int64, err error) {
	jobs := make([]func() error, 0, len(conns))
	for _, conn := range conns {
		jobs = append(jobs, newEchoer(conn, size).once)
	}
	return repeat(ctx, jobs)
}

// paced echoes at a fixed rate over all tunnels in turn, and returns each
// message's time from the moment it was due.
func paced(ctx context.Context, conns []net.Conn, size, perSecond int) (waits []time.Duration, err error) {
	free := make(chan *echoer, len(conns))
	for _, conn := range conns {
		free <- newEchoer(conn, size)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		e := <-free
		group.Go(func() {
			failure := e.once()
			mu.Lock()
			waits = append(waits, time.Since(due))
			err = errors.Join(err, failure)
			mu.Unlock()
			free <- e
		})
	}
	group.Wait()
	return waits, err
}

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
func (p *running) handshakes(ctx context.Context, workers int) (count int64, err error) {
	return repeat(ctx, times(workers, func() error {
		conn, err := p.tunnel()
		if err != nil {
			return err
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // no TIME_WAIT: ports are few
		}
		return conn.Close()
	}))
}

func percentile(waits []time.Duration, p float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(waits))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
