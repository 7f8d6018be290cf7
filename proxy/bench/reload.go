package main

// Reloads under tunnels: the scenario that the product was made for.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"
)

var reloadRows = []row{
	{name: "dropped", about: "tunnels dropped", unit: "", most: atMost(0)},
	{name: "live", about: "from the file being read to the first new answer", unit: "ms", most: atMost(5)},
	{name: "live-p90", about: "the same, p90", unit: "ms"},
	{name: "memory", about: "PSS more than before", unit: "MiB", most: atMost(2)},
	{name: "whole", about: "PSS of all its processes then", unit: "MiB"},
	{name: "processes", about: "processes then", unit: ""},
}

func editAnswer(n int) string { return fmt.Sprintf("edit-%d-end", n) }

// reloading edits the routes again and again under n tunnels with 1,000 messages
// a second. After each edit a hundredth of the tunnels is closed and as many are
// opened, as clients come and go: each generation of a proxy's processes has some.
func reloading(n, edits int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		conns, err := s.tunnels(n)
		if err != nil {
			return nil, err
		}
		h, err := startHerd(s.ctx, conns)
		if err != nil {
			return nil, err
		}
		defer h.close()
		readings, err := watchReadings(s.site.dir)
		if err != nil {
			return nil, err
		}
		defer readings.close()
		before := s.settled("Pss")
		var lives []time.Duration
		for i := range edits {
			live, err := s.editOnce(i+2, readings)
			if err != nil {
				return nil, fmt.Errorf("edit %d: %w", i+1, err)
			}
			lives = append(lives, live)
			if err := h.exchange(s, max(1, n/100)); err != nil {
				return nil, err
			}
		}
		after, processes := s.settled("Pss"), len(s.pids())
		s.wait(time.Duration(n) * time.Millisecond) // until each tunnel has had its turn
		milli := func(p float64) float64 { return micro(percentile(lives, p)) / 1e3 }
		return []float64{float64(h.dropped()), milli(0.5), milli(0.9), mib(after - before), mib(after), float64(processes)}, nil
	}
}

// editOnce changes the answer of /edit and waits for it. The time counts from the
// last reading of the file before it; as that is looked for between two requests
// only, from the look before it was found.
func (s *stage) editOnce(n int, readings *readings) (time.Duration, error) {
	looked := time.Now()
	var told, read time.Time
	next := s.site
	next.edit = n
	if _, err := s.peer.configure(next); err != nil {
		return 0, err
	}
	for began := time.Now(); time.Since(began) < patience && s.ctx.Err() == nil; {
		// A signal is lost on a master that has just executed itself again.
		if s.peer.reload != nil && time.Since(told) > 2*time.Second {
			if err := s.peer.reload(s.peer, s.running); err != nil {
				return 0, err
			}
			told = time.Now()
		}
		answer, _ := s.askEdit()
		now := time.Now()
		if readings.any() {
			read = looked
		}
		if bytes.Contains(answer, []byte(editAnswer(n))) {
			return now.Sub(read), nil
		}
		looked = now
	}
	return 0, errors.New("the new answer never came")
}

// askEdit asks on a connection of its own, which no old process holds.
func (s *stage) askEdit() ([]byte, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetLinger(0)
	if _, err := io.WriteString(conn, "GET /edit HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(conn, 8<<10))
}

// herd is tunnels with traffic, some of which are exchanged for new ones now and
// then. Its methods are for one goroutine.
type herd struct {
	loop   *loop
	beat   *pace
	cancel context.CancelFunc
	ended  chan error

	mu   sync.Mutex
	lost int // guarded by mu
}

func startHerd(ctx context.Context, conns []io.ReadWriteCloser) (*herd, error) {
	l, err := newLoop(conns, 64)
	if err != nil {
		return nil, err
	}
	beat, err := newPace(1000)
	if err != nil {
		l.close()
		return nil, err
	}
	h := &herd{loop: l, beat: beat, ended: make(chan error, 1)}
	l.orders = make(chan func())
	l.lost = h.lose
	ctx, h.cancel = context.WithCancel(ctx)
	go func() { h.ended <- l.run(ctx, beat) }()
	return h, nil
}

// lose counts a tunnel that ended though nobody closed it.
func (h *herd) lose(p *player) {
	closeNow(p.fd)
	h.mu.Lock()
	h.lost++
	h.mu.Unlock()
}

func (h *herd) dropped() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// exchange closes n tunnels that wait for their turn, and opens n.
func (h *herd) exchange(s *stage, n int) error {
	fresh, err := s.tunnels(n)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	select {
	case h.loop.orders <- func() { done <- h.loop.exchange(fresh) }:
		return <-done
	case err := <-h.ended:
		h.ended <- err
		return fmt.Errorf("the traffic ended: %v", err)
	}
}

func (l *loop) exchange(fresh []io.ReadWriteCloser) error {
	for range min(len(fresh), len(l.free)) {
		old := l.free[0]
		l.free = l.free[1:]
		delete(l.players, old.fd)
		closeNow(old.fd)
	}
	for _, conn := range fresh {
		if err := l.add(conn.(*raw).fd); err != nil {
			return err
		}
	}
	return nil
}

func (h *herd) close() {
	h.cancel()
	<-h.ended
	for fd := range h.loop.players {
		closeNow(fd)
	}
	h.loop.close()
	h.beat.close()
}

// readings tells whether a proxy has read its configuration: the kernel knows, no
// proxy has to be asked. One goroutine at a time.
type readings struct{ fd int }

func watchReadings(dir string) (*readings, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_CLOSE_NOWRITE); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return &readings{fd}, nil
}

func (r *readings) close() { syscall.Close(r.fd) }

// any says whether there was a reading since it was asked last.
func (r *readings) any() (found bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := syscall.Read(r.fd, buffer)
		if err != nil || n <= 0 {
			return found // EAGAIN: that was all
		}
		for _, name := range watchedNames(buffer[:n]) {
			switch name {
			case "routes.yaml", "nginx.conf", "haproxy.cfg", "Caddyfile":
				found = true
			}
		}
	}
}

// watchedNames are the names in a buffer of inotify's: each event has 16 bytes,
// the last four of which are the length of the name that follows, padded by NULs.
func watchedNames(b []byte) (names []string) {
	for len(b) >= syscall.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[syscall.SizeofInotifyEvent:]
		if length > len(b) {
			return names
		}
		names = append(names, strings.TrimRight(string(b[:length]), "\x00"))
		b = b[length:]
	}
	return names
}
