package auth

// Password hashing takes a core for a tenth of a second on purpose. Here it gets a quarter
// of the cores, at the lowest priority, and a short queue, so that strangers who try
// passwords cannot slow the tunnels down.

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// hasher runs slow comparisons. The zero value is not usable: see newHasher.
type hasher struct {
	running chan struct{} // a token for each comparison under way
	waiting atomic.Int32
}

const maxWaitingHashes = 64

func newHasher() *hasher {
	return &hasher{running: make(chan struct{}, (runtime.NumCPU()+3)/4)}
}

var errHashingBusy = errors.New("too many passwords are being checked")

// matches compares a password with a hash. The error is errHashingBusy, or ctx's.
func (h *hasher) matches(ctx context.Context, hash passwordHash, password string) (bool, error) {
	if !hash.slow() {
		return hash.matches(password), nil
	}
	if h.waiting.Add(1) > maxWaitingHashes {
		h.waiting.Add(-1)
		return false, errHashingBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.running <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	result := make(chan bool, 1)
	go func() {
		defer func() { <-h.running }()
		// The goroutine ends without unlocking, and its thread with it: a lowered
		// priority cannot be raised again.
		runtime.LockOSThread()
		lowerPriority()
		result <- hash.matches(password)
	}()
	select {
	case ok := <-result:
		return ok, nil
	case <-ctx.Done(): // the comparison keeps its token until it is done
		return false, ctx.Err()
	}
}

// busyFor is the Retry-After while the queue is full.
const busyFor = 2 * time.Second
