package provider

// Replacing the whole file. A write overwrites only the revision that its plan has
// seen, and content that the proxies reject is rolled back.

import (
	"bytes"
	"context"
	"errors"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

type fileReplacement struct {
	session         *session
	data            []byte
	plannedRevision string // that the plan was made on
	creating        bool   // there is no state yet: a file without routes may be replaced
}

// apply writes the data and returns when the proxies serve it. The error is a
// *writeError. If a proxy rejects the data, or a create is not served in time, the
// file is restored; an update that is not served in time stays.
func (r *fileReplacement) apply(ctx context.Context) error {
	s := r.session
	base, err := s.reader.read(ctx)
	if err != nil {
		return readError(err)
	}
	written := base
	if !bytes.Equal(base.data, r.data) || base.revision == "" {
		if written, err = r.write(ctx, base); err != nil {
			return err
		}
	}
	err = s.proxies.await(ctx, written.revision, s.currentRevision)
	var rejection *rejectedError
	var overdue *notServedError
	switch {
	case errors.As(err, &rejection):
		s.restore(base, written)
		return rejected(rejection.address, problemsFrom(rejection.mistakes))
	case errors.As(err, &overdue) && r.creating:
		s.restore(base, written)
		return fileNotServed(overdue, "the file is as it was before")
	case errors.As(err, &overdue):
		return fileNotServed(overdue, "the file stays as planned; the next apply asks the proxies again")
	}
	return err
}

// write replaces base, if the plan was made on it.
func (r *fileReplacement) write(ctx context.Context, base *document) (*document, error) {
	if base.revision != r.plannedRevision && !(r.creating && hasNoRoutes(base)) {
		return nil, changedSincePlan(ctx, base, r.data, r.creating)
	}
	s := r.session
	written, err := newDocument(ctx, s.file, r.data, store.RevisionOf(r.data))
	if err != nil {
		return nil, &writeError{summary: "Not written", detail: err.Error()}
	}
	if all := s.check(ctx, written.file); len(all) > 0 {
		return nil, invalidFile(all)
	}
	if all := s.checkOnProxies(ctx, r.data); len(all) > 0 {
		return nil, invalidFile(all)
	}
	ctx, cancel := context.WithTimeout(ctx, s.proxies.timeout)
	defer cancel()
	_, err = s.store.Write(ctx, r.data, base.revision)
	if errors.Is(err, store.ErrConflict) {
		now, err := s.reader.read(ctx)
		if err != nil {
			return nil, readError(err)
		}
		return nil, changedSincePlan(ctx, now, r.data, r.creating)
	}
	if err != nil {
		return nil, &writeError{summary: "Cannot write the routes file", detail: err.Error()}
	}
	return written, nil
}

// hasNoRoutes reports that there is no file, or a valid one without routes and pools:
// what a proxy is started with before the first apply.
func hasNoRoutes(d *document) bool {
	_, errs := routefile.Parse("", d.data)
	return d.revision == "" || len(d.file.Routes)+len(d.file.Pools)+len(errs) == 0
}

// restore writes base back, unless the file was written since. A file that did not
// exist becomes one without routes: a missing file is a mistake to the proxies.
func (s *session) restore(base, written *document) {
	if base == written {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	_, _ = s.store.Write(ctx, base.data, written.revision) // on failure, the caller's error tells the user enough
}

// currentRevision is the file's, for proxySet.await.
func (s *session) currentRevision(ctx context.Context) (string, error) {
	now, err := s.reader.read(ctx)
	if err != nil {
		return "", err
	}
	return now.revision, nil
}
