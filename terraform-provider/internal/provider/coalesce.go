package provider

import (
	"context"
	"sync"
	"time"
)

// shared does one piece of work for everyone who asks before it begins: Terraform
// asks for every resource by itself, about one file and the same proxies. Those
// who ask while it runs get the next run, so that nobody is told of a state from
// before the question. The zero value is ready. Safe for concurrent use.
type coalescer[T any] struct {
	delay time.Duration // how long a run waits for more to join

	running sync.Mutex // held while working

	mu   sync.Mutex
	next *sharedCall[T] // of the run that has not begun; guarded by mu
}

type sharedCall[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what work gives; one caller's work stands for all. ctx ends the
// waiting, not the work.
func (s *coalescer[T]) do(ctx context.Context, work func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	mine, lead := s.next, s.next == nil
	if lead {
		mine = &sharedCall[T]{done: make(chan struct{})}
		s.next = mine
	}
	s.mu.Unlock()
	if lead {
		s.lead(context.WithoutCancel(ctx), mine, work)
	}
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// lead works for everyone who has joined by the time its turn comes.
func (s *coalescer[T]) lead(ctx context.Context, mine *sharedCall[T], work func(context.Context) (T, error)) {
	s.running.Lock()
	defer s.running.Unlock()
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	mine.value, mine.err = work(ctx)
	close(mine.done)
}
