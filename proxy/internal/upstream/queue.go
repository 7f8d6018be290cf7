package upstream

// Waiting for a backend: a bounded line in front of a pool, first come, first
// served. Whoever gives a place back, or finds a backend well again, serves the
// line; newcomers do not overtake it.

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is who may wait at a pool. The zero value lets nobody wait.
type Queue struct {
	Length int           // of each of the two lines; one more is refused at once
	Wait   time.Duration // for one; then it is refused
}

// QueueTicket is a request's position in the queue. It keeps the position and the
// deadline when PickOrWait returns ErrReplaced and is called again, on another pool.
// The zero value has not waited yet. It belongs to one caller at a time.
type QueueTicket struct {
	number uint64 // by arrival
	until  time.Time
}

// arrivals numbers the tickets of all pools, as a request may move to another pool.
var arrivals atomic.Uint64

// lines are who waits for a place for a tunnel, and for a request's. The pools
// of one name share them across generations.
type lines struct {
	tunnels, requests line
}

// serve is for whatever may concern both.
func (l *lines) serve() {
	l.tunnels.serve()
	l.requests.serve()
}

// line is those who wait for one and the same, by their places. Lock order: line.mu
// before turn.mu.
type line struct {
	waiting atomic.Int32 // len(waiters), to be read without mu
	mu      sync.Mutex   // guards waiters
	waiters []*waiter    // the first first
}

// waiter is one who waits. It belongs to whoever takes it out of the line.
type waiter struct {
	pool   *Pool
	choice Choice
	ticket *QueueTicket
	served chan *Backend // takes one without blocking; nil: dismissed
}

// SetQueue lets requests wait at the pool. It must be called before the pool is in use.
func (p *Pool) SetQueue(q Queue) { p.queue = q }

// Retire ends the waiting at a pool that another generation has replaced: every waiting
// and every later PickOrWait returns ErrReplaced. Otherwise requests that wait for this
// pool's members would hold up those that could have the new pool's.
func (p *Pool) Retire() {
	p.retired.Store(true)
	for _, l := range []*line{&p.turn.lines.tunnels, &p.turn.lines.requests} {
		l.mu.Lock()
		l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
			if w.pool == p {
				w.served <- nil
			}
			return w.pool == p
		})
		l.serveLocked()
		l.mu.Unlock()
	}
}

// PickOrWait is Pick, and where nobody can be picked it waits for somebody as the
// pool's Queue allows. It returns what Pick does, ErrReplaced, or ctx's error.
func (p *Pool) PickOrWait(ctx context.Context, c Choice) (*Backend, error) {
	if p.queue.Length <= 0 {
		return p.Pick(c)
	}
	l := &p.turn.lines.requests
	if c.Tunnel {
		l = &p.turn.lines.tunnels
	}
	if l.waiting.Load() == 0 {
		if b, err := p.Pick(c); err == nil {
			return b, nil
		}
	}
	w := &waiter{pool: p, choice: c, ticket: c.Ticket, served: make(chan *Backend, 1)}
	if w.ticket == nil {
		w.ticket = new(QueueTicket)
	}
	if err := l.join(w); err != nil {
		return nil, err
	}
	return l.wait(ctx, w)
}

// HasQueue reports whether PickOrWait may wait.
func (p *Pool) HasQueue() bool { return p.queue.Length > 0 }

// join puts w behind the others, or where it stood before, unless it is new and
// there are too many already. A backend's place may have been given back since the
// last look at the pool: look again.
func (l *line) join(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.pool.retired.Load():
		return ErrReplaced
	case w.ticket.number != 0: // it had a place
	case len(l.waiters) >= w.pool.queue.Length:
		return ErrFull
	default:
		*w.ticket = QueueTicket{number: arrivals.Add(1), until: time.Now().Add(w.pool.queue.Wait)}
	}
	at, _ := slices.BinarySearchFunc(l.waiters, w, func(a, b *waiter) int { return cmp.Compare(a.ticket.number, b.ticket.number) })
	l.waiters = slices.Insert(l.waiters, at, w)
	l.waiting.Store(int32(len(l.waiters)))
	l.serveLocked()
	return nil
}

func (l *line) wait(ctx context.Context, w *waiter) (*Backend, error) {
	timer := time.NewTimer(time.Until(w.ticket.until))
	defer timer.Stop()
	select {
	case b := <-w.served:
		return orMoved(b)
	case <-timer.C:
	case <-ctx.Done():
	}
	if !l.leave(w) { // served at the last moment
		return orMoved(<-w.served)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.pool.Pick(w.choice) // whose error says why there was nobody
}

func orMoved(b *Backend) (*Backend, error) {
	if b == nil {
		return nil, ErrReplaced
	}
	return b, nil
}

// leave takes w out of the line; false if it is no longer in it.
func (l *line) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.waiters, w)
	if at < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, at, at+1)
	l.waiting.Store(int32(len(l.waiters)))
	return true
}

// serve gives places to as many as there are places for. It costs one atomic
// load while nobody waits.
func (l *line) serve() {
	if l.waiting.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

// serveLocked asks for one after the other. It ends at the first who cannot be
// served, unless what it wants is a matter of its own: a backend that it is
// bound to, or one that it has not tried.
func (l *line) serveLocked() {
	ended := false
	l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
		if ended {
			return false
		}
		b, err := w.pool.Pick(w.choice)
		if err != nil {
			ended = err != ErrBoundUnavailable && len(w.choice.Exclude) == 0
			return false
		}
		w.served <- b
		return true
	})
	l.waiting.Store(int32(len(l.waiters)))
}

// free has whoever waits at the backend's pool look again.
func (b *Backend) free() {
	if l := b.lines.Load(); l != nil {
		l.serve()
	}
}
