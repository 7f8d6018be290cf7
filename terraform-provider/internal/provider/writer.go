package provider

// Writing the routes file: changes that arrive within batchDelay are committed
// together, with one lock, one edit, one check, one rename and one wait for the
// proxies.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// change is a resource's change of one record.
type change struct {
	id        recordID
	priorName string          // "" for a new record
	prior     routefile.Plain // in the state; nil for a new record
	plannedOn string          // fingerprint that the plan was made on; "" for that of prior
	succeeds  string          // of a new record: the one whose place it takes, which plannedOn is of; "" for none
	desired   routefile.Plain // nil to delete it
}

func (wanted change) priorID() recordID { return recordID{wanted.id.section, wanted.priorName} }

// expected is the fingerprint that the record must have for the change to be made.
func (wanted change) expected() string {
	if wanted.plannedOn != "" {
		return wanted.plannedOn
	}
	return wanted.id.section.Fingerprint(wanted.prior)
}

// writeError is why a change was not made.
type writeError struct {
	summary   string
	detail    string
	problems  []problem
	retryable bool // another change may resolve it
}

func (e *writeError) Error() string { return paragraphs(e.summary, e.detail, problemLines(e.problems)) }

// changeRequest is a change under way. Its fields belong to the writer's goroutine
// until done is closed.
type changeRequest struct {
	change
	ctx       context.Context
	deadline  time.Time // to wait for a conflict to be resolved
	existed   bool      // the record was in the file that the change was applied to
	takenOver bool      // it was there as desired, although the change creates it
	err       error
	done      chan struct{}
}

// writer commits changes in batches. Safe for concurrent use. Its goroutine runs
// while requests wait.
type writer struct {
	session  *session
	applying atomic.Bool // a change has been asked for: this run is an apply

	mu      sync.Mutex
	queue   []*changeRequest // guarded by mu
	running bool             // guarded by mu

	last    *document       // as last written; used by the goroutine only
	overdue *notServedError // why nothing more is written in this run; used by the goroutine only
	busy    time.Duration   // what the last commit took until it was written; used by the goroutine only
}

const (
	batchDelay      = 20 * time.Millisecond  // collects changes for one commit; longer where a commit takes longer
	maxBatchDelay   = 250 * time.Millisecond // so that a large file is not written for each record of a slow Terraform
	retryDelay      = 200 * time.Millisecond // before a conflict is checked again
	rollbackTimeout = 10 * time.Second       // for reverting a rejected write
)

// apply makes a change and returns when the proxies serve it. The error is a
// *writeError; the change is then not in the file, except for an update that was
// not served in time.
func (w *writer) apply(ctx context.Context, wanted change) error {
	_, err := w.applyOrTakeOver(ctx, wanted)
	return err
}

// applyOrTakeOver is apply. takenOver is true if a record to be created was in the file
// as desired.
func (w *writer) applyOrTakeOver(ctx context.Context, wanted change) (takenOver bool, err error) {
	r := &changeRequest{change: wanted, ctx: ctx, deadline: time.Now().Add(w.session.clashWait), done: make(chan struct{})}
	w.applying.Store(true)
	w.mu.Lock()
	w.queue = append(w.queue, r)
	if !w.running {
		w.running = true
		go w.run()
	}
	w.mu.Unlock()
	<-r.done
	return r.takenOver && r.err == nil, r.err
}

// run is the writer's goroutine: it commits batches until no request waits.
func (w *writer) run() {
	wait := w.delay()
	for {
		time.Sleep(wait)
		batch := w.takeQueue()
		if len(batch) == 0 {
			return
		}
		left := w.commit(batch)
		if wait = w.delay(); len(left) > 0 {
			w.requeue(left)
			wait = retryDelay
		}
	}
}

// delay is how long changes are collected for one commit.
func (w *writer) delay() time.Duration { return max(batchDelay, min(w.busy, maxBatchDelay)) }

// takeQueue takes the waiting requests; without any it notes that run ends.
func (w *writer) takeQueue() []*changeRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.queue
	w.queue = nil
	w.running = len(batch) > 0
	return batch
}

func (w *writer) requeue(left []*changeRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(left, w.queue...)
}

func (r *changeRequest) finish(err error) {
	r.err = err
	close(r.done)
}

func finishAll(batch []*changeRequest, err error) {
	for _, r := range batch {
		r.finish(err)
	}
}

// commit writes a batch and waits until it is served. It finishes all requests but
// those that it returns, which are to be retried.
func (w *writer) commit(batch []*changeRequest) (left []*changeRequest) {
	if w.overdue != nil {
		finishAll(batch, notWritten(w.overdue))
		return nil
	}
	ctx, cancel := batchContext(batch)
	defer cancel()
	begun := time.Now()
	for {
		base, err := w.base(ctx)
		if err != nil {
			finishAll(batch, &writeError{summary: "Cannot read the routes file", detail: err.Error()})
			return left
		}
		accepted, candidate, refused := w.compose(ctx, base, batch)
		left = append(left, w.finishRefused(refused)...)
		if len(accepted) == 0 {
			return left
		}
		written, err := w.write(ctx, base, candidate)
		w.busy = time.Since(begun)
		switch {
		case errors.Is(err, store.ErrConflict):
			w.last, batch = nil, accepted // the file was written by another process: read it again
			continue
		case err != nil:
			w.last = nil
			finishAll(accepted, &writeError{summary: "Cannot write the routes file", detail: err.Error()})
			return left
		}
		return append(left, w.confirm(ctx, base, written, accepted)...)
	}
}

// batchContext ends when the contexts of all requests have ended.
func batchContext(batch []*changeRequest) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(batch[0].ctx))
	var mu sync.Mutex
	alive := len(batch)
	var stops []func() bool
	for _, r := range batch {
		stops = append(stops, context.AfterFunc(r.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if alive--; alive == 0 {
				cancel(context.Cause(r.ctx))
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}

// finishRefused finishes the requests whose refusal is final and returns the others.
func (w *writer) finishRefused(refused map[*changeRequest]*writeError) (left []*changeRequest) {
	for r, e := range refused {
		if e.retryable && time.Now().Before(r.deadline) && r.ctx.Err() == nil {
			left = append(left, r)
			continue
		}
		if e.retryable && r.ctx.Err() == nil {
			e = waitedInVain(e, w.session.clashWait)
		}
		r.finish(e)
	}
	return left
}

// base is the file to apply changes to: as last written. If another process has
// written since, the write fails with ErrConflict.
func (w *writer) base(ctx context.Context) (*document, error) {
	if w.last != nil {
		return w.last, nil
	}
	return w.session.reader.read(ctx)
}

// write replaces base with candidate.
func (w *writer) write(ctx context.Context, base, candidate *document) (*document, error) {
	if candidate == base {
		return base, w.verifyUnchanged(ctx, base)
	}
	ctx, cancel := context.WithTimeout(ctx, w.session.proxies.timeout)
	defer cancel()
	revision, err := w.session.store.Write(ctx, candidate.data, base.revision)
	if err != nil {
		return nil, err
	}
	candidate.revision = revision
	w.last = candidate
	w.session.reader.last.Store(candidate)
	return candidate, nil
}

// verifyUnchanged returns ErrConflict if the file is not base any more.
func (w *writer) verifyUnchanged(ctx context.Context, base *document) error {
	now, err := w.session.reader.read(ctx)
	if err == nil && now.revision != base.revision {
		return store.ErrConflict
	}
	return err
}

// confirm waits until the written file is served and finishes the batch. If a proxy
// rejects some requests, it returns the others, which are to be retried.
func (w *writer) confirm(ctx context.Context, base, written *document, batch []*changeRequest) (left []*changeRequest) {
	s := w.session
	err := s.proxies.await(ctx, written.revision, s.currentRevision)
	var overdue *notServedError
	var rejection *rejectedError
	switch {
	case errors.As(err, &rejection):
		w.rollBack(base, written, batch)
		return finishRejected(rejection, batch)
	case errors.As(err, &overdue):
		w.overdue = overdue // the rest of the run would wait as long, one group after the other
		w.rollBack(base, written, createdBy(batch))
		for _, r := range batch {
			r.finish(changeNotServed(r, overdue))
		}
		return nil
	}
	finishAll(batch, nil)
	return nil
}

// createdBy returns the requests that created a record: left in the file but not in
// the state, it would make the next apply fail.
func createdBy(batch []*changeRequest) []*changeRequest {
	var made []*changeRequest
	for _, r := range batch {
		if r.priorName == "" && r.desired != nil && !r.existed {
			made = append(made, r)
		}
	}
	return made
}

// finishRejected finishes the requests whose records a proxy rejects, or all if it
// names none, and returns the others.
func finishRejected(rejection *rejectedError, batch []*changeRequest) (left []*changeRequest) {
	all := problemsFrom(rejection.mistakes)
	refused := map[*changeRequest]*writeError{}
	for _, r := range batch {
		mine := slices.DeleteFunc(slices.Clone(all), func(mistake problem) bool { return !r.id.concerns(mistake) })
		if len(mine) > 0 {
			refused[r] = rejected(rejection.address, mine)
			continue
		}
		left = append(left, r)
	}
	if len(refused) == 0 {
		finishAll(batch, rejected(rejection.address, all))
		return nil
	}
	for r, e := range refused {
		r.finish(e)
	}
	return left
}

// rollBack reverts a batch: to the bytes of base if the file is as written, record by
// record if it was written since.
func (w *writer) rollBack(base, written *document, batch []*changeRequest) {
	if len(batch) == 0 || written == base {
		return
	}
	s := w.session
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	w.last = nil
	for {
		now, err := s.reader.read(ctx)
		if err != nil {
			return // the caller's error tells the user enough
		}
		data, err := rolledBack(ctx, s.editor, base, written, now, batch)
		if err != nil || string(data) == string(now.data) {
			return
		}
		if _, err = s.store.Write(ctx, data, now.revision); !errors.Is(err, store.ErrConflict) {
			return
		}
	}
}

// rolledBack is now without the batch's changes to base. Records that were changed
// since stay.
func rolledBack(ctx context.Context, editor routefile.Editor, base, written, now *document, batch []*changeRequest) ([]byte, error) {
	untouched := now.revision == written.revision
	restore := map[recordID]bool{}
	for _, r := range batch {
		if now.fingerprint(r.id) != written.fingerprint(r.id) {
			continue
		}
		restore[r.id] = true
		if r.priorName != "" {
			restore[r.priorID()] = true
		}
		if old := (recordID{r.id.section, r.succeeds}); r.succeeds != "" && now.fingerprint(old) == "" {
			restore[old] = true
		}
	}
	var ops []routefile.Op
	for id := range restore {
		switch before := base.file.Plain(id.section, id.name); {
		case before != nil:
			ops = append(ops, id.section.Set(id.name, id.section.FromPlain(before)))
		case now.fingerprint(id) != "":
			ops = append(ops, id.section.Drop(id.name))
		}
	}
	data, err := editor.Edit(now.data, ops...)
	if err != nil || !untouched {
		return data, err
	}
	result, err := newDocument(ctx, "", data, "")
	if err == nil && sameRecords(base, result) {
		return base.data, nil
	}
	return data, err
}

// sameRecords reports whether all records have equal fingerprints.
func sameRecords(a, b *document) bool {
	for _, section := range []routefile.Section{routefile.InRoutes, routefile.InPools} {
		names := map[string]bool{}
		for _, d := range []*document{a, b} {
			for name := range d.file.Routes {
				names[name] = true
			}
			for name := range d.file.Pools {
				names[name] = true
			}
		}
		for name := range names {
			id := recordID{section, name}
			if a.fingerprint(id) != b.fingerprint(id) {
				return false
			}
		}
	}
	return true
}

func rejected(address string, all []problem) *writeError {
	return &writeError{
		summary:  "Rejected by a running proxy",
		detail:   fmt.Sprintf("the proxy at %q rejects the routes file with this change; the file is as it was before", address),
		problems: all,
	}
}

// waitedInVain adds that nothing has resolved a conflict in time.
func waitedInVain(e *writeError, wait time.Duration) *writeError {
	more := *e
	more.detail = paragraphs(e.detail, fmt.Sprintf("No other change of this run has resolved it within %v (clash_wait). "+
		"If one is planned to, both must be under way at once: Terraform's -parallelism bounds how many are. "+
		"Apply again, or use a moved block for a record that only gets another address.", wait))
	return &more
}

// notWritten refuses a change after another of the run was not served in time.
func notWritten(overdue *notServedError) *writeError {
	return &writeError{
		summary: "Not written",
		detail:  "another change of this run was not served in time, so this one was not written:\n" + overdue.Error(),
	}
}

func changeNotServed(request *changeRequest, overdue *notServedError) *writeError {
	e := &writeError{summary: "Not served in time", detail: overdue.Error()}
	switch {
	case request.desired == nil:
		e.detail += fmt.Sprintf("\n%s was removed from the routes file; the next apply asks the proxies again", request.priorID())
	case request.priorName == "" && !request.takenOver:
		e.detail += fmt.Sprintf("\n%s was removed from the routes file again", request.id)
	default:
		e.detail += fmt.Sprintf("\n%s stays in the routes file as planned; the next apply asks the proxies again", request.id)
	}
	return e
}
