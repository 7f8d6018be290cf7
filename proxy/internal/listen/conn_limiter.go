package listen

// The limit of a listener's open connections. accept.go takes a slot before it accepts.

import "sync"

// connLimiter counts a Socket's open connections, tunnels included. At the limit it
// blocks the accept loop, so that further connections wait in the kernel's queue.
// Safe for concurrent use.
type connLimiter struct {
	released chan struct{} // holds a value if there was a release since the last receive

	mu    sync.Mutex
	freed sync.Cond // on mu
	open  int       // guarded by mu
	full  bool      // guarded by mu; the accept loop waits for a slot
	shut  bool      // guarded by mu
}

// Slot is an accepted connection's place in its Socket's limit.
type Slot struct{ limiter *connLimiter }

// Release frees the slot of a connection that has ended. Call it once.
func (s Slot) Release() { s.limiter.release() }

func (l *connLimiter) init() {
	l.freed.L, l.released = &l.mu, make(chan struct{}, 1)
}

// acquire waits for a free slot; it returns false when the Socket is closed. It asks
// for the limit again whenever a slot is freed, because a reload may change it.
func (l *connLimiter) acquire(limit func() int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.shut {
		if n := limit(); n <= 0 || l.open < n {
			l.open++
			return true
		}
		l.full = true
		l.freed.Wait()
		l.full = false
	}
	return false
}

// release frees the slot of a connection that has ended.
func (l *connLimiter) release() {
	l.unacquire()
	select {
	case l.released <- struct{}{}:
	default:
	}
}

// unacquire frees a slot that was not used.
func (l *connLimiter) unacquire() {
	l.mu.Lock()
	l.open--
	l.mu.Unlock()
	l.freed.Signal()
}

// connections is how many slots are taken, without the one that the accept loop holds for
// the next connection.
func (l *connLimiter) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full || l.shut {
		return l.open
	}
	return max(l.open-1, 0)
}

func (l *connLimiter) close() {
	l.mu.Lock()
	l.shut = true
	l.mu.Unlock()
	l.freed.Broadcast()
}

// recheck wakes an accept loop that waits at a limit which a reload has raised. It
// holds the lock, or the signal might fall between acquire's look at the old limit and
// its wait.
func (l *connLimiter) recheck() {
	l.mu.Lock()
	l.freed.Broadcast()
	l.mu.Unlock()
}
