package provider

// Reading the routes file, once for many: Terraform refreshes every resource by
// itself, and a thousand routes stand in one file.

import (
	"context"
	"errors"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// emptyFile is what a file that does not exist begins as.
const emptyFile = "version: 1\nroutes: {}\n"

// document is the routes file as it stood at one moment. Safe for concurrent use.
type document struct {
	data     []byte
	revision string // "" when there is no file; then data is emptyFile
	file     *routefile.File

	mu     sync.Mutex
	prints map[recordID]string // guarded by mu
}

// recordID names one record of a file.
type recordID struct {
	section routefile.Section
	name    string
}

// newDocument reads data. Its mistakes are found again by routefile.Check.
func newDocument(path string, data []byte, revision string) *document {
	d := &document{data: data, revision: revision, prints: map[recordID]string{}}
	d.file, _ = routefile.Parse(path, data)
	return d
}

// fingerprint is a record's, "" when it is not there.
func (d *document) fingerprint(id recordID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	print, known := d.prints[id]
	if !known {
		print = d.file.Fingerprint(id.section, id.name)
		d.prints[id] = print
	}
	return print
}

// reader reads the file of a session. Safe for concurrent use.
type reader struct {
	session *session

	turn sync.Mutex // held while reading
	last *document  // guarded by turn

	mu   sync.Mutex
	next *reading // who has not begun yet; guarded by mu
}

// reading is one look at the file, for everyone who asked before it began.
type reading struct {
	done chan struct{}
	doc  *document
	err  error
}

// read returns the file as it stands now: what it returns was read after the
// call. A file that does not exist is an empty one. ctx ends the waiting.
func (r *reader) read(ctx context.Context) (*document, error) {
	r.mu.Lock()
	mine, lead := r.next, r.next == nil
	if lead {
		mine = &reading{done: make(chan struct{})}
		r.next = mine
	}
	r.mu.Unlock()
	if lead {
		r.lead(context.WithoutCancel(ctx), mine)
	}
	select {
	case <-mine.done:
		return mine.doc, mine.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// lead reads for everyone who joined before its turn came. Those who come later
// may have seen a write that this look does not see, and wait for the next.
func (r *reader) lead(ctx context.Context, mine *reading) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.next = nil
	r.mu.Unlock()
	mine.doc, mine.err = r.load(ctx)
	close(mine.done)
}

func (r *reader) load(ctx context.Context) (*document, error) {
	found, err := r.session.store.Read(ctx)
	switch {
	case errors.Is(err, store.ErrNotExist):
		found = store.Document{Data: []byte(emptyFile)}
	case err != nil:
		return nil, err
	}
	if r.last == nil || r.last.revision != found.Revision {
		r.last = newDocument(r.session.file, found.Data, found.Revision)
	}
	return r.last, nil
}
