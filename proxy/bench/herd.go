package main

// Tunnels that live while something else is done to their proxy.

import (
	"context"
	"fmt"
	"io"
	"sync"
)

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
