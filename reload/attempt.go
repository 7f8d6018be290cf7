// One attempt to bring the value in step with its source: read, build, confirm,
// publish or refuse.
package reload

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// reason is why an attempt is made.
type reason int

const (
	woken    reason = iota // the source may have changed
	starting               // Start: errors are returned, not told
	kicked                 // Kick: say how things stand in any case
	retried                // a refusal has stood for a while
)

// snapshotID tells snapshots apart.
type snapshotID struct{ revision, inputs string }

func idOf(s store.Snapshot) snapshotID { return snapshotID{s.Revision, s.Inputs} }

// refused is a snapshot that Build has refused, and why.
type refused struct {
	id  snapshotID
	err error // nil: none
}

// found is what one look at the source came to: exactly one of next, err and
// current is set.
type found[T any] struct {
	snap    store.Snapshot // the zero Snapshot when it could not be read
	next    *T             // a value to publish
	err     error          // why there is none
	current bool           // the snapshot is the one that is served
}

// attempt makes one attempt. The error is the caller's only when starting;
// otherwise it has been told already.
func (l *Loop[T]) attempt(ctx context.Context, why reason) error {
	number := l.begin()
	if _, stands := l.refusal(); !stands || why != woken {
		l.known = refused{}
	}
	f := l.look(ctx)
	if f.err != nil && !l.standing(f.refusal()) {
		f = l.confirm(ctx, f)
	}
	if ctx.Err() != nil {
		l.end(number, sightingOf(f.snap))
		return context.Cause(ctx)
	}
	// The callbacks come before end, so that whoever waited for this attempt
	// finds everything done.
	l.conclude(f, why)
	l.end(number, sightingOf(f.snap))
	return f.err
}

// conclude publishes, refuses, or notes that all is as it was.
func (l *Loop[T]) conclude(f found[T], why reason) {
	switch {
	case f.err != nil:
		l.refuse(f.refusal(), why)
	case f.current:
		l.keep(why)
	default:
		l.publish(f)
	}
}

// look reads the source and builds what it holds, unless that is what is served
// or what was refused a moment ago.
//
// The hash of the inputs has to be taken before Build reads them, or a change in
// between would be taken for what was built. So when Build names other inputs
// than the snapshot was hashed with, the source is read and built again.
func (l *Loop[T]) look(ctx context.Context) (f found[T]) {
	const rounds = 3 // a Build that never names the same inputs twice must not hold the loop
	for range rounds {
		snap, err := l.opts.Source.Read(ctx)
		if err != nil {
			return found[T]{err: err}
		}
		if l.serves(snap) {
			return found[T]{snap: snap, current: true}
		}
		if l.known.err != nil && l.known.id == idOf(snap) {
			return found[T]{snap: snap, err: l.known.err}
		}
		next, inputs, err := l.build(ctx, snap)
		f = found[T]{snap: snap, next: next, err: err}
		if !l.follow(inputs, err) {
			break
		}
	}
	if f.err != nil {
		l.known = refused{idOf(f.snap), f.err}
	}
	return f
}

// build calls Build and turns a panic into an error.
func (l *Loop[T]) build(ctx context.Context, snap store.Snapshot) (next *T, inputs []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			next, inputs, err = nil, nil, &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	next, inputs, err = l.opts.Build(ctx, snap, l.cell.Load())
	if err == nil && next == nil {
		err = fmt.Errorf("build of revision %.12q returned neither a value nor an error", snap.Revision)
	}
	return next, inputs, err
}

// follow tells the source which inputs count, and reports whether that changed
// anything.
func (l *Loop[T]) follow(inputs []string, err error) bool {
	if inputs == nil && err != nil {
		return false
	}
	inputs = slices.Compact(slices.Sorted(slices.Values(inputs)))
	if slices.Equal(inputs, l.inputs) {
		return false
	}
	l.inputs = inputs
	l.opts.Source.Also(slices.Clone(inputs))
	return true
}

// confirm looks again after a moment at something bad: a file that is being
// replaced or written in place mends itself.
func (l *Loop[T]) confirm(ctx context.Context, f found[T]) found[T] {
	if l.opts.Confirm < 0 {
		return f
	}
	timer := time.NewTimer(l.opts.Confirm)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return f
	case <-timer.C:
		return l.look(ctx)
	}
}

// refusal is f.err as it is told.
func (f found[T]) refusal() Refusal {
	return Refusal{
		Err:       f.err,
		Revision:  f.snap.Revision,
		Inputs:    f.snap.Inputs,
		Documents: documentRevisions(f.snap.Documents),
		At:        time.Now(),
	}
}

// publish puts a value in place and tells of it.
func (l *Loop[T]) publish(f found[T]) {
	gen := Generation{
		Revision:  f.snap.Revision,
		Inputs:    f.snap.Inputs,
		Documents: documentRevisions(f.snap.Documents),
		LoadedAt:  time.Now(),
	}
	l.mu.Lock()
	gen.Number = l.status.Generation + 1
	old := l.cell.swap(f.next) // under the lock, so that Status is never ahead of the cell
	l.status.setGeneration(gen)
	l.status.clearRefusal()
	l.mu.Unlock()
	if l.opts.Published != nil {
		l.opts.Published(old, f.next, gen)
	}
}

// refuse keeps the last good value and tells why, once.
func (l *Loop[T]) refuse(r Refusal, why reason) {
	if l.standing(r) {
		if why == retried {
			l.pause = min(2*l.pause, max(longestRetry, l.opts.Retry))
			l.again = time.Now().Add(l.pause)
		}
		r, _ = l.refusal() // keeps the moment at which it was first seen
		if why != kicked {
			return
		}
	} else {
		l.pause = l.opts.Retry
		l.again = time.Now().Add(l.pause)
		l.mu.Lock()
		l.status.setRefusal(r)
		l.mu.Unlock()
	}
	if why != starting && l.opts.Refused != nil {
		l.opts.Refused(r)
	}
}

// keep is for a source that holds what is served.
func (l *Loop[T]) keep(why reason) {
	gen := l.generation()
	after, stood := l.refusal()
	l.mu.Lock()
	l.status.clearRefusal()
	l.mu.Unlock()
	switch {
	case stood && l.opts.Restored != nil:
		l.opts.Restored(gen, after)
	case !stood && why == kicked && l.opts.Unchanged != nil:
		l.opts.Unchanged(gen)
	}
}

// serves reports whether snap is what the current value was built from.
func (l *Loop[T]) serves(snap store.Snapshot) bool {
	s := l.Status()
	return s.Generation > 0 && s.Revision == snap.Revision && s.Inputs == snap.Inputs
}

// standing reports whether r is the refusal that stands.
func (l *Loop[T]) standing(r Refusal) bool {
	now, ok := l.refusal()
	return ok && now.same(r)
}

// refusal returns the refusal that stands, if any.
func (l *Loop[T]) refusal() (Refusal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.refusal()
}

// generation returns the one that is served.
func (l *Loop[T]) generation() Generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.generation()
}
