// The loop: what wakes it, and what it does then.
package reload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// Options is what a Loop is made of. Source and Build are required.
//
// The callbacks run one at a time, in the goroutine that called Start or Run,
// and hold it up while they do: no reload happens before they return. They must
// not call Start, Run or Wait; Kick, Status and Cell are allowed.
type Options[T any] struct {
	Source store.Source

	// Build makes a value of a snapshot, or says what is wrong with it. prev is
	// the value that is served (nil at first) and must not be changed. inputs
	// are the further files that the result was made from (certificates and
	// the like), as paths that the Source understands: they are handed to
	// Source.Also. Name them with an error too, so that a file that is missing
	// now is noticed when it comes; nil with an error keeps the list as it is.
	//
	// ctx ends when the result is of no use any more: Run is to end, or the source has
	// changed meanwhile. Its cause is the error to return then.
	//
	// A result may be dropped unpublished, and Build called again for the same
	// snapshot, so a result must not need to be closed. A panic is an error.
	Build func(ctx context.Context, snap store.Snapshot, prev *T) (next *T, inputs []string, err error)

	// Published is called after next has been put in place. old is nil for the
	// first value.
	Published func(old, next *T, gen Generation)
	// Refused is called once for each distinct pair of snapshot and error; Kick
	// makes the loop call it again. Start returns its error
	// instead. It also reports, once, a source that cannot be watched; Status does
	// not, as what is served stays good.
	Refused func(Refusal)
	// Restored is called when the source has returned, after a refusal, to
	// exactly what is served. Nothing is published.
	Restored func(gen Generation, after Refusal)
	// Unchanged is called when a Kick found nothing new and nothing wrong.
	Unchanged func(gen Generation)

	// Confirm is how long a bad source must stay bad before it is refused: a file
	// that is replaced or written in place is bad for a moment. 0 means 100 ms,
	// negative means not at all.
	Confirm time.Duration
	// Retry is how long after a refusal the source is read and built again
	// although nothing has woken the loop: the cause of a refusal may be outside of
	// the source, such as a port in use. The wait doubles up to a minute (or
	// Retry, if longer) while the refusal stays the same. 0 means 5 s, negative
	// means off.
	Retry time.Duration
}

const (
	defaultConfirm = 100 * time.Millisecond
	defaultRetry   = 5 * time.Second
	longestRetry   = time.Minute
)

// Loop follows a source. Start and Run are called by one goroutine, one after
// the other; everything else may be called by any, at any time.
type Loop[T any] struct {
	opts    Options[T]
	cell    Cell[T]
	kick    chan struct{} // capacity 1: a Kick that is pending covers a second one
	recheck chan struct{} // capacity 1: a Wait asks for a fresh look

	// Owned by the goroutine in Start or Run.
	inputs       []string        // last passed to Source.Also, sorted
	lastRejected rejected        // the last snapshot that Build refused, so that it is not built again
	retryDelay   time.Duration   // between retries of the current refusal
	retryAt      time.Time       // when the next one is due
	watchErr     string          // why the source cannot be watched, as last reported; "" while it can
	wake         <-chan struct{} // what Source.Watch returned; nil before Run and while there is none
	superseded   int             // Builds in a row that a later change has cancelled

	mu          sync.Mutex // guards what follows
	status      Status
	begun       uint64        // attempts
	ended       uint64        // attempts ended; an attempt began after a call if its number is above begun then
	attemptDone chan struct{} // closed and replaced when an attempt ends
	history     history       // what has been seen, for Wait
}

// New returns a loop that is not started. It panics if Source or Build is missing.
func New[T any](o Options[T]) *Loop[T] {
	if o.Source == nil || o.Build == nil {
		panic("reload: New without Source or Build")
	}
	if o.Confirm == 0 {
		o.Confirm = defaultConfirm
	}
	if o.Retry == 0 {
		o.Retry = defaultRetry
	}
	return &Loop[T]{
		opts:        o,
		kick:        make(chan struct{}, 1),
		recheck:     make(chan struct{}, 1),
		attemptDone: make(chan struct{}),
	}
}

// Cell returns the cell of the current value. It is always the same.
func (l *Loop[T]) Cell() *Cell[T] { return &l.cell }

// Start reads and builds for the first time. It returns a bad or missing source as an
// error and does not call Refused. Run may follow in either case.
func (l *Loop[T]) Start(ctx context.Context) error { return l.attempt(ctx, starting) }

// Run follows the source until ctx is done, and returns ctx's cause. It watches
// before it reads, so nothing that happens between Start and Run is missed.
func (l *Loop[T]) Run(ctx context.Context) error {
	wake, rewatch := l.watch(ctx)
	why := woken
	for ctx.Err() == nil {
		l.wake = wake
		if err := l.attempt(ctx, why); errors.Is(err, errSuperseded) {
			continue
		} // Refused and Status report any other error
		retry := l.nextRetry()
		var open bool
		if why, open = l.rest(ctx, wake, retry, rewatch); !open {
			wake, rewatch = l.watch(ctx)
		}
	}
	return context.Cause(ctx)
}

// rest blocks until there is something to do, and returns why. open is false when the
// source must be watched anew.
func (l *Loop[T]) rest(ctx context.Context, wake <-chan struct{}, retry, rewatch <-chan time.Time) (why reason, open bool) {
	select {
	case <-ctx.Done():
		return woken, true
	case _, open := <-wake:
		return woken, open
	case <-l.recheck:
		return woken, true
	case <-l.kick:
		return kicked, true
	case <-retry:
		return retried, true
	case <-rewatch:
		return woken, false
	}
}

// watch begins to watch. When the source cannot be watched, the second channel fires
// after a while, and the loop reads the source and tries again.
func (l *Loop[T]) watch(ctx context.Context) (<-chan struct{}, <-chan time.Time) {
	wake, err := l.opts.Source.Watch(ctx)
	if err == nil {
		l.watchErr = ""
		return wake, nil
	}
	if ctx.Err() == nil && l.watchErr != err.Error() && l.opts.Refused != nil {
		l.opts.Refused(Refusal{Err: fmt.Errorf("watching the source: %w", err), At: time.Now()})
	}
	l.watchErr = err.Error()
	return nil, time.After(max(l.opts.Retry, defaultRetry))
}

// Kick makes the loop read and build again and report the result even when nothing has
// changed: a refusal that was reported before is reported again, and Unchanged is called
// when there is neither a refusal nor a new value. It never blocks. SIGHUP calls it.
func (l *Loop[T]) Kick() { signal(l.kick) }

// Status returns a copy of the state.
func (l *Loop[T]) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// nextRetry returns a channel that fires when a refusal is to be tried again, or nil.
// Wake-ups in between that find nothing new do not put it off.
func (l *Loop[T]) nextRetry() <-chan time.Time {
	if l.opts.Retry < 0 || l.Status().LastError == nil {
		return nil
	}
	return time.After(time.Until(l.retryAt))
}

// signal leaves a token in a channel of capacity 1 unless one is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
