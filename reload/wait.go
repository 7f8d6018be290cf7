// Waiting until a revision is served, for the program that has written it.
package reload

import (
	"context"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

// Outcome is what became of a revision.
type Outcome string

const (
	Served     Outcome = "served"     // it is part of what is served
	Rejected   Outcome = "rejected"   // it is part of what the source holds, and was refused
	Superseded Outcome = "superseded" // it was seen, and the source now holds something else
)

// Verdict is Wait's answer.
type Verdict struct {
	Outcome    Outcome
	Generation Generation // what is served
	Refusal    Refusal    // why, when Rejected
}

// Wait blocks until it is known what has become of revision, which may be a
// snapshot's or one document's, or until ctx is done (then the error is ctx's
// cause). It makes the loop look at once, and any answer but Served rests on a
// look that began after the call. A revision that has never been seen may still
// be on its way, so it is waited for; one that was written and overwritten
// between two looks is never seen.
func (l *Loop[T]) Wait(ctx context.Context, revision string) (Verdict, error) {
	since := l.attempts()
	signal(l.recheck)
	for {
		v, done, attempted := l.verdict(revision, since)
		if done {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return Verdict{}, context.Cause(ctx)
		case <-attempted:
		}
	}
}

// verdict decides, or returns the channel that is closed when it may be possible
// to. since is the number of attempts that had begun before the question.
func (l *Loop[T]) verdict(revision string, since uint64) (v Verdict, done bool, attempted <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	refusal, bad := l.status.refusal()
	v.Generation = l.status.generation()
	switch {
	case v.Generation.Number > 0 && holds(v.Generation.Revision, v.Generation.Documents, revision):
		v.Outcome = Served
	case l.ended <= since, bad && refusal.Revision == "": // what the source holds now is unknown
	case bad && holds(refusal.Revision, refusal.Documents, revision):
		v.Outcome, v.Refusal = Rejected, refusal
	case l.history.has(revision):
		v.Outcome = Superseded
	}
	return v, v.Outcome != "", l.attemptDone
}

func (l *Loop[T]) attempts() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

// begin and end bracket an attempt. end notes what was seen, and wakes every Wait.
func (l *Loop[T]) begin() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	return l.begun
}

func (l *Loop[T]) end(number uint64, seen sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = number
	l.status.CheckedAt = time.Now()
	l.history.add(seen)
	close(l.attemptDone)
	l.attemptDone = make(chan struct{})
}

// sighting is the revisions of one snapshot. The zero sighting saw nothing.
type sighting struct {
	set  string
	docs []DocumentRevision
}

func sightingOf(s store.Snapshot) sighting {
	return sighting{s.Revision, documentRevisions(s.Documents)}
}

// history remembers the last snapshots, the newest last. Guarded by Loop.mu.
type history []sighting

// longestHistory is how many snapshots Wait can call superseded: enough for a revision
// that was written a moment ago, in little memory.
const longestHistory = 16

func (h *history) add(s sighting) {
	if s.set == "" || len(*h) > 0 && (*h)[len(*h)-1].set == s.set {
		return
	}
	if len(*h) == longestHistory {
		*h = slices.Delete(*h, 0, 1)
	}
	*h = append(*h, s)
}

func (h history) has(revision string) bool {
	return slices.ContainsFunc(h, func(s sighting) bool { return holds(s.set, s.docs, revision) })
}
