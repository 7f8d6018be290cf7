package provider

// Writing the routes file: what the resources of one run change within a moment
// is committed together, with one lock, one edit, one verification, one rename
// and one wait for the proxies.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// change is what one resource wants of one record.
type change struct {
	id        recordID
	priorName string          // its name until now; "" for a new record
	prior     routefile.Plain // what it said when it was planned; nil for a new record
	desired   routefile.Plain // what it is to say; nil to drop it
}

// old is the record's place in the file until now.
func (c change) priorID() recordID { return recordID{c.id.section, c.priorName} }

// ops are the edits that make the change.
func (c change) edits(there bool) []routefile.Op {
	s := c.id.section
	var ops []routefile.Op
	switch {
	case c.desired == nil:
		return append(ops, s.Drop(c.priorName))
	case there && c.priorName != "" && c.priorName != c.id.name:
		ops = append(ops, s.Rename(c.priorName, c.id.name))
	}
	return append(ops, s.Set(c.id.name, s.FromPlain(c.desired)))
}

// failure is why a change did not come to be.
type writeError struct {
	summary   string
	detail    string
	problems  []problem
	retryable bool // another change may take the reason away
}

func (f *writeError) Error() string { return paragraphs(f.summary, f.detail, problemLines(f.problems)) }

// ticket is a change on its way into the file. Its fields belong to the writer's
// goroutine until done is closed.
type changeRequest struct {
	change
	ctx      context.Context
	deadline time.Time // how long a clash may last
	existed  bool      // the record stood in the file that the change was laid over
	err      error
	done     chan struct{}
}

// writer commits changes in groups. Safe for concurrent use. Its goroutine lives
// while there is something to commit.
type writer struct {
	session *session

	mu      sync.Mutex
	queue   []*changeRequest // guarded by mu
	running bool             // guarded by mu

	last *document // as this writer left the file; of its goroutine alone
}

const (
	batchDelay      = 20 * time.Millisecond  // changes within it are one commit
	retryDelay      = 200 * time.Millisecond // a clash is looked at again
	rollbackTimeout = 10 * time.Second       // for taking back what cannot stay
)

// apply makes a change and returns when the proxies serve it. The error is a
// *failure, and then nothing of the change is in the file, but for an update
// that was only not confirmed in time.
func (w *writer) apply(ctx context.Context, c change) error {
	t := &changeRequest{change: c, ctx: ctx, deadline: time.Now().Add(w.session.clashWait), done: make(chan struct{})}
	w.mu.Lock()
	w.queue = append(w.queue, t)
	if !w.running {
		w.running = true
		go w.run()
	}
	w.mu.Unlock()
	<-t.done
	return t.err
}

// run is the writer's goroutine: it commits group after group until nobody waits.
func (w *writer) run() {
	wait := batchDelay
	for {
		time.Sleep(wait)
		group := w.takeQueue()
		if len(group) == 0 {
			return
		}
		wait = batchDelay
		if left := w.commit(group); len(left) > 0 {
			w.requeue(left)
			wait = retryDelay
		}
	}
}

// take takes everyone who waits, or ends the run.
func (w *writer) takeQueue() []*changeRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	group := w.queue
	w.queue = nil
	w.running = len(group) > 0
	return group
}

func (w *writer) requeue(left []*changeRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(left, w.queue...)
}

// finish ends a ticket.
func (t *changeRequest) finish(err error) {
	t.err = err
	close(t.done)
}

func finishAll(group []*changeRequest, err error) {
	for _, t := range group {
		t.finish(err)
	}
}

// commit brings a group into the file and sees it served. It returns those that
// are to be tried again; all others are finished.
func (w *writer) commit(group []*changeRequest) (left []*changeRequest) {
	ctx, cancel := groupContext(group)
	defer cancel()
	for {
		base, err := w.base(ctx)
		if err != nil {
			finishAll(group, &writeError{summary: "Cannot read the routes file", detail: err.Error()})
			return left
		}
		accepted, candidate, refused := w.compose(ctx, base, group)
		left = append(left, finishRefused(refused)...)
		if len(accepted) == 0 {
			return left
		}
		written, err := w.write(ctx, base, candidate)
		switch {
		case errors.Is(err, store.ErrConflict):
			w.last, group = nil, accepted // somebody else wrote: look again
			continue
		case err != nil:
			w.last = nil
			finishAll(accepted, &writeError{summary: "Cannot write the routes file", detail: err.Error()})
			return left
		}
		return append(left, w.confirm(ctx, base, written, accepted)...)
	}
}

// groupContext ends when nobody of the group waits any more.
func groupContext(group []*changeRequest) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(group[0].ctx))
	var mu sync.Mutex
	alive := len(group)
	var stops []func() bool
	for _, t := range group {
		stops = append(stops, context.AfterFunc(t.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if alive--; alive == 0 {
				cancel(context.Cause(t.ctx))
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

// dismiss finishes those whose refusal is final and returns the others.
func finishRefused(refused map[*changeRequest]*writeError) (left []*changeRequest) {
	for t, f := range refused {
		if f.retryable && time.Now().Before(t.deadline) && t.ctx.Err() == nil {
			left = append(left, t)
			continue
		}
		t.finish(f)
	}
	return left
}

// base is the file to lay changes over: as this writer left it, unless somebody
// else has written since, which the comparison at the write finds out.
func (w *writer) base(ctx context.Context) (*document, error) {
	if w.last != nil {
		return w.last, nil
	}
	return w.session.reader.read(ctx)
}

// write puts candidate in base's place.
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
	return candidate, nil
}

// unchanged makes sure that base, which there is nothing to change in, still is
// what the file holds.
func (w *writer) verifyUnchanged(ctx context.Context, base *document) error {
	now, err := w.session.reader.read(ctx)
	if err == nil && now.revision != base.revision {
		return store.ErrConflict
	}
	return err
}

// confirm waits until the written file is served and finishes the group. It
// returns those that are to be tried again without the ones that spoilt it.
func (w *writer) confirm(ctx context.Context, base, written *document, group []*changeRequest) (left []*changeRequest) {
	s := w.session
	current := func(ctx context.Context) (string, error) {
		now, err := s.reader.read(ctx)
		if err != nil {
			return "", err
		}
		return now.revision, nil
	}
	err := s.proxies.await(ctx, written.revision, current)
	var late *notServedError
	var no *rejectedError
	switch {
	case errors.As(err, &no):
		w.rollBack(base, written, group)
		return finishRejected(no, group)
	case errors.As(err, &late):
		w.rollBack(base, written, createdBy(group))
		for _, t := range group {
			t.finish(changeNotServed(t.change, late))
		}
		return nil
	}
	finishAll(group, nil)
	return nil
}

// creations are the tickets that made a new record: one that stayed in the file
// without being in the state would be in the next apply's way.
func createdBy(group []*changeRequest) []*changeRequest {
	var made []*changeRequest
	for _, t := range group {
		if t.priorName == "" && t.desired != nil && !t.existed {
			made = append(made, t)
		}
	}
	return made
}

// blameFor finishes those whose records a proxy objects to, or all of them when
// it names nobody's, and returns the others.
func finishRejected(no *rejectedError, group []*changeRequest) (left []*changeRequest) {
	all := problemsFrom(no.mistakes)
	refused := map[*changeRequest]*writeError{}
	for _, t := range group {
		mine := slices.DeleteFunc(slices.Clone(all), func(c problem) bool { return !t.id.concerns(c) })
		if len(mine) > 0 {
			refused[t] = rejected(no.address, mine)
			continue
		}
		left = append(left, t)
	}
	if len(refused) == 0 {
		finishAll(group, rejected(no.address, all))
		return nil
	}
	for t, f := range refused {
		t.finish(f)
	}
	return left
}

// takeBack undoes a group's changes: byte for byte while the file is as it was
// written, record by record when others have written since.
func (w *writer) rollBack(base, written *document, group []*changeRequest) {
	if len(group) == 0 || written == base {
		return
	}
	s := w.session
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	w.last = nil
	for {
		now, err := s.reader.read(ctx)
		if err != nil {
			return // the caller's error says what is wrong; nothing better can be done
		}
		data, err := rolledBack(s.editor, base, written, now, group)
		if err != nil || string(data) == string(now.data) {
			return
		}
		if _, err = s.store.Write(ctx, data, now.revision); !errors.Is(err, store.ErrConflict) {
			return
		}
	}
}

// undone is now without the group's changes to base. A record that somebody has
// changed since is theirs.
func rolledBack(editor routefile.Editor, base, written, now *document, group []*changeRequest) ([]byte, error) {
	var ops []routefile.Op
	untouched := now.revision == written.revision
	for _, t := range group {
		if now.fingerprint(t.id) != written.fingerprint(t.id) {
			continue
		}
		before := recordID{t.id.section, t.id.name}
		if t.priorName != "" {
			before = t.priorID()
		}
		said := base.file.Plain(before.section, before.name)
		if t.desired != nil && (said == nil || before != t.id) {
			ops = append(ops, t.id.section.Drop(t.id.name))
		}
		if said != nil {
			ops = append(ops, before.section.Set(before.name, before.section.FromPlain(said)))
		}
	}
	data, err := editor.Edit(now.data, ops...)
	if err == nil && untouched && sameRecords(base, newDocument("", data, "")) {
		return base.data, nil
	}
	return data, err
}

// sameRecords says whether two files' records mean the same.
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
		detail:   fmt.Sprintf("the proxy at %q refuses the routes file with this change; the file is as it was before", address),
		problems: all,
	}
}

func changeNotServed(c change, late *notServedError) *writeError {
	f := &writeError{summary: "Not served in time", detail: late.Error()}
	switch {
	case c.desired == nil:
		f.detail += fmt.Sprintf("\n%s is not in the routes file any more; the next apply asks the proxies again", c.priorID())
	case c.priorName == "":
		f.detail += fmt.Sprintf("\n%s was taken out of the routes file again", c.id)
	default:
		f.detail += fmt.Sprintf("\n%s stays in the routes file as it was to be; the next apply asks the proxies again", c.id)
	}
	return f
}
