package limits

import (
	"context"
	"slices"
	"sync"
)

// Redials limits how many of a route's tunnels search for a new backend at the same
// time, so that one backend's failure does not overload the next. The limit starts
// at minRedials, grows by one for each success, and falls back after a failure or
// when no redial is left.
type Redials struct {
	mu      sync.Mutex      // guards all below
	extra   int             // redials allowed beyond minRedials
	running int             // acquired and not released
	waiting []chan struct{} // closed when its redial may run; first come, first served
}

const (
	// minRedials is the retry budget's loan: a second dead backend could receive
	// that many redials at once.
	minRedials = maxOwedRetries
	maxRedials = 256
)

// Acquire waits for permission to redial. It returns false if ctx ended before.
// After true, Done or Release must follow.
func (r *Redials) Acquire(ctx context.Context) bool {
	admitted := make(chan struct{})
	r.mu.Lock()
	r.waiting = append(r.waiting, admitted)
	r.admitLocked()
	r.mu.Unlock()
	select {
	case <-admitted:
		return true
	case <-ctx.Done():
		return !r.leaveQueue(admitted)
	}
}

// leaveQueue returns false if the redial was admitted meanwhile.
func (r *Redials) leaveQueue(admitted chan struct{}) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Index(r.waiting, admitted)
	if at < 0 {
		return false
	}
	r.waiting = slices.Delete(r.waiting, at, at+1)
	return true
}

// Done ends a redial that asked a backend; ok says whether it found one.
func (r *Redials) Done(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extra = min(r.extra+1, maxRedials-minRedials)
	if !ok {
		r.extra = 0
	}
	r.releaseLocked()
}

// Release ends a redial that asked no backend: it says nothing about how many are
// possible.
func (r *Redials) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseLocked()
}

func (r *Redials) releaseLocked() {
	r.running--
	if r.running == 0 && len(r.waiting) == 0 {
		r.extra = 0
	}
	r.admitLocked()
}

func (r *Redials) admitLocked() {
	for len(r.waiting) > 0 && r.running < minRedials+r.extra {
		close(r.waiting[0])
		r.waiting = r.waiting[1:]
		r.running++
	}
}
