// One attempt to bring the value up to date: read, build, confirm, publish or refuse.
package reload

import (
	"context"
	"errors"
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
	starting               // Start: an error is returned, not reported
	kicked                 // Kick: report in any case
	retried                // a refusal has lasted for a while
)

// snapshotID tells snapshots apart.
type snapshotID struct{ revision, inputs string }

func idOf(s store.Snapshot) snapshotID { return snapshotID{s.Revision, s.Inputs} }

// rejected is a snapshot that Build has refused, and why.
type rejected struct {
	id  snapshotID
	err error // nil: none
}

// lookResult is what one look at the source came to: exactly one of next, err and
// current is set.
type lookResult[T any] struct {
	snap    store.Snapshot // the zero Snapshot when it could not be read
	next    *T             // a value to publish
	err     error          // why there is none
	current bool           // the snapshot is the one that is served
}

// attempt makes one attempt. Only Start returns its error: otherwise it has been reported.
func (l *Loop[T]) attempt(ctx context.Context, why reason) error {
	number := l.begin()
	if _, stands := l.refusal(); !stands || why != woken {
		l.lastRejected = rejected{}
	}
	f := l.look(ctx)
	if f.err != nil && !errors.Is(f.err, errSuperseded) && !l.stands(f.refusal()) {
		f = l.confirm(ctx, f)
	}
	if ctx.Err() != nil {
		l.end(number, sightingOf(f.snap))
		return context.Cause(ctx)
	}
	if errors.Is(f.err, errSuperseded) {
		l.end(number, sightingOf(f.snap))
		return f.err
	}
	// The callbacks run before end, so that a Wait returns when everything is done.
	l.conclude(f, why)
	l.end(number, sightingOf(f.snap))
	return f.err
}

func (l *Loop[T]) conclude(f lookResult[T], why reason) {
	switch {
	case f.err != nil:
		l.refuse(f.refusal(), why)
	case f.current:
		l.unchanged(why)
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
func (l *Loop[T]) look(ctx context.Context) (f lookResult[T]) {
	const rounds = 3 // a Build that never names the same inputs twice must not block the loop
	for range rounds {
		snap, err := l.opts.Source.Read(ctx)
		if err != nil {
			return lookResult[T]{err: err}
		}
		if l.serves(snap) {
			return lookResult[T]{snap: snap, current: true}
		}
		if l.lastRejected.err != nil && l.lastRejected.id == idOf(snap) {
			return lookResult[T]{snap: snap, err: l.lastRejected.err}
		}
		next, inputs, err := l.buildUnlessSuperseded(ctx, snap)
		f = lookResult[T]{snap: snap, next: next, err: err}
		if errors.Is(err, errSuperseded) {
			return f
		}
		if !l.follow(inputs, err) {
			break
		}
	}
	if f.err != nil && ctx.Err() == nil && !errors.Is(f.err, errSuperseded) {
		l.lastRejected = rejected{idOf(f.snap), f.err}
	}
	return f
}

// errSuperseded is the cause with which a Build is cancelled when the source holds another
// snapshot.
var errSuperseded = errors.New("superseded by a later change")

// maxSuperseded is how many Builds in a row later changes cancel, so that a source that
// changes faster than Build is published now and then.
const maxSuperseded = 3

// buildUnlessSuperseded is build, cancelled when the source changes meanwhile. A result
// that was finished before that is good.
func (l *Loop[T]) buildUnlessSuperseded(ctx context.Context, snap store.Snapshot) (*T, []string, error) {
	if l.wake == nil || l.superseded >= maxSuperseded {
		l.superseded = 0
		return l.build(ctx, snap)
	}
	building, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.watchBuild(building, cancel, snap)
	}()
	next, inputs, err := l.build(building, snap)
	replaced := errors.Is(context.Cause(building), errSuperseded)
	cancel(nil)
	<-done
	if err == nil || !replaced {
		l.superseded = 0
		return next, inputs, err
	}
	l.superseded++
	return nil, nil, errSuperseded
}

// watchBuild reads the source whenever it wakes, until building is done, and cancels
// it when the source does not hold snap any more.
func (l *Loop[T]) watchBuild(building context.Context, cancel context.CancelCauseFunc, snap store.Snapshot) {
	for {
		select {
		case <-building.Done():
			return
		case _, open := <-l.wake:
			signal(l.recheck) // in any case the loop must look again
			if !open {
				return // which it notices by itself
			}
		}
		if now, err := l.opts.Source.Read(building); err == nil && idOf(now) != idOf(snap) {
			cancel(errSuperseded)
			return
		}
	}
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

// follow names the inputs to the source, and reports whether they have changed.
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

// confirm looks again after a moment at a bad source: a file that is being replaced or
// written in place is good then.
func (l *Loop[T]) confirm(ctx context.Context, f lookResult[T]) lookResult[T] {
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

func (f lookResult[T]) refusal() Refusal {
	return Refusal{
		Err:       f.err,
		Revision:  f.snap.Revision,
		Inputs:    f.snap.Inputs,
		Documents: documentRevisions(f.snap.Documents),
		At:        time.Now(),
	}
}

func (l *Loop[T]) publish(f lookResult[T]) {
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

// refuse keeps the last good value and reports why, once.
func (l *Loop[T]) refuse(r Refusal, why reason) {
	if l.stands(r) {
		if why == retried {
			l.retryDelay = min(2*l.retryDelay, max(longestRetry, l.opts.Retry))
			l.retryAt = time.Now().Add(l.retryDelay)
		}
		r, _ = l.refusal() // with the time at which it was first seen
		if why != kicked {
			return
		}
	} else {
		l.retryDelay = l.opts.Retry
		l.retryAt = time.Now().Add(l.retryDelay)
		l.mu.Lock()
		l.status.setRefusal(r)
		l.mu.Unlock()
	}
	if why != starting && l.opts.Refused != nil {
		l.opts.Refused(r)
	}
}

// unchanged is for a source that holds what is served.
func (l *Loop[T]) unchanged(why reason) {
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

// stands reports whether r is the current refusal.
func (l *Loop[T]) stands(r Refusal) bool {
	now, ok := l.refusal()
	return ok && now.same(r)
}

// refusal returns the current refusal, if any.
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
