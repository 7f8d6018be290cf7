package upstream

// Waiting for a backend: a bounded queue in front of a pool, first come, first served.
// What frees a place, or makes a backend available, serves the queue; a new request does
// not overtake it.

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

// Queue bounds the waiting at a pool. In the zero value no request waits.
type Queue struct {
	Length int           // of each of the two queues; one more request is refused at once
	Wait   time.Duration // of one request; then it is refused
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

// queues are the two of a pool, for tunnels and for requests. The pools of one name share
// them across generations.
type queues struct {
	tunnels, requests waitQueue
	waits             histogram.Lazy // how long requests have waited, in seconds, for a backend or in vain
}

func (l *queues) serve() {
	l.tunnels.serve()
	l.requests.serve()
}

// waitQueue holds waiters by their tickets. Lock order: waitQueue.mu before poolState.mu.
type waitQueue struct {
	waiting atomic.Int32 // len(waiters), to be read without mu
	mu      sync.Mutex   // guards waiters
	waiters []*waiter    // the longest waiting first
}

// waiter is one waiting request. What removes it from the queue sends to served, once.
type waiter struct {
	pool   *Pool
	choice Choice
	ticket *QueueTicket
	served chan *Backend // buffered; nil: the pool is retired
}

// SetQueue lets requests wait at the pool. It must be called before the pool is in use.
func (p *Pool) SetQueue(q Queue) { p.queue = q }

// Retire ends the waiting at a pool that another generation has replaced: every waiting
// and every later PickOrWait returns ErrReplaced. Otherwise requests that wait for this
// pool's members would hold up those that could have the new pool's.
func (p *Pool) Retire() {
	p.retired.Store(true)
	for _, l := range []*waitQueue{&p.state.queues.tunnels, &p.state.queues.requests} {
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

// PickOrWait is Pick, but waits as the pool's Queue allows while there is no backend. The
// error is Pick's, ErrReplaced, or ctx's.
func (p *Pool) PickOrWait(ctx context.Context, c Choice) (*Backend, error) {
	if p.queue.Length <= 0 {
		return p.Pick(c)
	}
	l := &p.state.queues.requests
	if c.Tunnel {
		l = &p.state.queues.tunnels
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
	defer p.state.queues.waits.Of(histogram.Waits).Since(time.Now())
	return l.wait(ctx, w)
}

// HasQueue reports whether PickOrWait may wait.
func (p *Pool) HasQueue() bool { return p.queue.Length > 0 }

// QueueLength is how many requests and handshakes wait.
func (p *Pool) QueueLength() int {
	l := &p.state.queues
	return int(l.tunnels.waiting.Load() + l.requests.waiting.Load())
}

// QueueWaits are the times that requests have waited, in seconds; nil if none has.
func (p *Pool) QueueWaits() *histogram.Histogram { return p.state.queues.waits.Get() }

// join puts w at the end, or where its ticket says, unless it is new and the queue is
// full. A place may have become free since the last Pick: join serves the queue.
func (l *waitQueue) join(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.pool.retired.Load():
		return ErrReplaced
	case w.ticket.number != 0: // it has waited before
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

func (l *waitQueue) wait(ctx context.Context, w *waiter) (*Backend, error) {
	timer := time.NewTimer(time.Until(w.ticket.until))
	defer timer.Stop()
	select {
	case b := <-w.served:
		return orReplaced(b)
	case <-timer.C:
	case <-ctx.Done():
	}
	if !l.remove(w) { // served at the last moment
		return orReplaced(<-w.served)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.pool.Pick(w.choice) // for its error
}

func orReplaced(b *Backend) (*Backend, error) {
	if b == nil {
		return nil, ErrReplaced
	}
	return b, nil
}

// remove reports whether w was still in the queue.
func (l *waitQueue) remove(w *waiter) bool {
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

// serve gives backends to the waiters that can have one. It costs one atomic load while
// there are none.
func (l *waitQueue) serve() {
	if l.waiting.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

// serveLocked picks for one waiter after the other, up to the first that gets no backend,
// unless only that waiter cannot have one: its sticky backend, or one that it has not tried.
func (l *waitQueue) serveLocked() {
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

func (b *Backend) serveQueues() {
	if l := b.queues.Load(); l != nil {
		l.serve()
	}
}
