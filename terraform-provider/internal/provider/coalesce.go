package provider

import (
	"context"
	"sync"
	"time"
)

// coalescer merges concurrent calls of the same work: Terraform refreshes each
// resource by itself, from one file and the same proxies. A call that arrives
// while the work runs joins the next run, so that its result is never older than
// the call. The zero value is ready. Safe for concurrent use.
type coalescer[T any] struct {
	delay time.Duration // how long a run waits for more calls to join

	running sync.Mutex // held while work runs

	mu   sync.Mutex
	next *sharedCall[T] // the run that has not started; guarded by mu
}

type sharedCall[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns the result of a run of work that starts after the call. The caller
// that starts a run supplies its work. ctx ends the wait, not the work.
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

// lead runs work for all calls that have joined by the time it starts.
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
