package forward

// How long a backend may be silent before its answer. Only the time in which
// the next move is the backend's counts: not the dial, which has a limit of its
// own, and not the time that a client takes to send its body.

import (
	"context"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// silence cancels with a *ResponseTimeoutError once start was so long ago. Safe
// for concurrent use; a nil one does nothing.
type silence struct {
	limit time.Duration

	mu    sync.Mutex // guards all below
	timer *time.Timer
	ended bool
}

func newSilence(limit time.Duration, cancel context.CancelCauseFunc) *silence {
	if limit <= 0 {
		return nil
	}
	s := &silence{limit: limit}
	s.timer = time.AfterFunc(limit, func() { cancel(&ResponseTimeoutError{After: limit}) })
	s.timer.Stop()
	return s
}

// start counts from now.
func (s *silence) start() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.timer.Reset(s.limit)
	}
}

// stop waits for the next start.
func (s *silence) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

// end stops for good.
func (s *silence) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
}

func withConnectTimeout(ctx context.Context, p *Policy) context.Context {
	return upstream.WithConnectTimeout(ctx, p.ConnectTimeout)
}
