package provider

// Reading the routes file, once for many: Terraform refreshes every resource by
// itself, and a thousand routes stand in one file.

import (
	"context"
	"errors"
	"slices"
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
	mistakes routefile.Errors // of the file alone

	mu           sync.Mutex
	fingerprints map[recordID]string // guarded by mu
}

// recordID names one record of a file.
type recordID struct {
	section routefile.Section
	name    string
}

// newDocument reads data.
func newDocument(path string, data []byte, revision string) *document {
	d := &document{data: data, revision: revision, fingerprints: map[recordID]string{}}
	d.file, d.mistakes = routefile.Parse(path, data)
	return d
}

// fingerprint is a record's, "" when it is not there.
func (d *document) fingerprint(id recordID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	print, known := d.fingerprints[id]
	if !known {
		print = d.file.Fingerprint(id.section, id.name)
		d.fingerprints[id] = print
	}
	return print
}

// hides returns the mistakes because of which a record may be there without being
// found: those that are at no record, such as a file that is not even YAML.
func (d *document) unlocatedProblems() []problem {
	return problemsOf(slices.DeleteFunc(slices.Clone(d.mistakes), func(e *routefile.Error) bool { return e.Record != "" }))
}

// reader reads the file of a session. Safe for concurrent use.
type reader struct {
	session *session
	reads   coalescer[*document]
	last    *document // of the last look; looks takes turns
}

// read returns the file as it stands now: what it returns was read after the
// call. A file that does not exist is an empty one. ctx ends the waiting.
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
	if r.last == nil || r.last.revision != found.Revision {
		r.last = newDocument(r.session.file, found.Data, found.Revision)
	}
	return r.last, nil
}
