package provider

// Reading the routes file, once for concurrent callers: Terraform refreshes each
// resource by itself, and one file may hold a thousand routes.

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// emptyFile stands for a file that does not exist.
const emptyFile = "version: 1\nroutes: {}\n"

// document is the routes file's content at one moment. Safe for concurrent use.
type document struct {
	data     []byte
	revision string // "" if there is no file; data is then emptyFile
	file     *routefile.File
	mistakes routefile.Errors // of the file alone

	mu           sync.Mutex
	fingerprints map[recordID]string // guarded by mu
}

// recordID names one record of a file.
type recordID struct {
	section routefile.Section
	name    string
}

// newDocument parses a file's content. The error is ctx's cause.
func newDocument(ctx context.Context, path string, data []byte, revision string) (*document, error) {
	file, mistakes, err := routefile.ParseContext(ctx, path, data)
	if err != nil {
		return nil, err
	}
	return &document{data: data, revision: revision, file: file, mistakes: mistakes, fingerprints: map[recordID]string{}}, nil
}

// fingerprint returns a record's fingerprint, "" if there is no such record.
func (d *document) fingerprint(id recordID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	fingerprint, known := d.fingerprints[id]
	if !known {
		fingerprint = d.file.Fingerprint(id.section, id.name)
		d.fingerprints[id] = fingerprint
	}
	return fingerprint
}

// unlocatedProblems returns the mistakes that belong to no record, such as invalid
// YAML: a record may be in the file although it was not found.
func (d *document) unlocatedProblems() []problem {
	return problemsOf(slices.DeleteFunc(slices.Clone(d.mistakes), func(e *routefile.Error) bool { return e.Record != "" }))
}

// reader reads a session's file. Safe for concurrent use.
type reader struct {
	session *session
	reads   coalescer[*document]
	last    atomic.Pointer[document] // as last read or written; nil before
}

// read returns the file's content as of some time after the call. A file that does
// not exist reads as empty. ctx ends the wait.
func (r *reader) read(ctx context.Context) (*document, error) {
	return r.reads.do(ctx, r.load)
}

func (r *reader) load(ctx context.Context) (*document, error) {
	found, err := r.session.store.Read(ctx)
	switch {
	case errors.Is(err, store.ErrNotExist):
		found = store.Document{Data: []byte(emptyFile)}
	case err != nil:
		return nil, err
	}
	last := r.last.Load()
	if last == nil || last.revision != found.Revision {
		if last, err = newDocument(ctx, r.session.file, found.Data, found.Revision); err != nil {
			return nil, err
		}
		r.last.Store(last)
	}
	return last, nil
}
