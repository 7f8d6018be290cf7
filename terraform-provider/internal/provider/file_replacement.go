package provider

// Replacing the whole file: only what was seen is overwritten, and what the
// proxies reject is put back.

import (
	"bytes"
	"context"
	"errors"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// replacement is one write of the whole file.
type fileReplacement struct {
	session         *session
	data            []byte
	plannedRevision string // the revision that the plan was made on
	creating        bool   // there is no state yet: what stands there may be replaced if it routes nothing
}

// apply brings the data into the file and returns when the proxies serve it. The
// error is a *failure. A file that was replaced for the first time, or whose
// content a proxy rejects, is then as it was; an update that was only not
// confirmed in time stays.
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
	var no *rejectedError
	var late *notServedError
	switch {
	case errors.As(err, &no):
		s.restore(base, written)
		return rejected(no.address, problemsFrom(no.mistakes))
	case errors.As(err, &late) && r.creating:
		s.restore(base, written)
		return fileNotServed(late, "the file is as it was before")
	case errors.As(err, &late):
		return fileNotServed(late, "the file stays as it was to be; the next apply asks the proxies again")
	}
	return err
}

// write puts the data in base's place, if base is what the plan was made on.
func (r *fileReplacement) write(ctx context.Context, base *document) (*document, error) {
	if base.revision != r.plannedRevision && !(r.creating && hasNoRoutes(base)) {
		return nil, changedSincePlan(base, r.data, r.creating)
	}
	s := r.session
	written := newDocument(s.file, r.data, store.RevisionOf(r.data))
	if all := s.check(written.file); len(all) > 0 {
		return nil, invalidFile(all)
	}
	if all := s.checkOnProxies(ctx, r.data); len(all) > 0 {
		return nil, invalidFile(all)
	}
	ctx, cancel := context.WithTimeout(ctx, s.proxies.timeout)
	defer cancel()
	_, err := s.store.Write(ctx, r.data, base.revision)
	if errors.Is(err, store.ErrConflict) {
		now, err := s.reader.read(ctx)
		if err != nil {
			return nil, readError(err)
		}
		return nil, changedSincePlan(now, r.data, r.creating)
	}
	if err != nil {
		return nil, &writeError{summary: "Cannot write the routes file", detail: err.Error()}
	}
	return written, nil
}

// routesNothing says that there is no file, or one that neither routes nor pools
// stand in: what a proxy is started with before its first apply.
func hasNoRoutes(d *document) bool {
	_, errs := routefile.Parse("", d.data)
	return d.revision == "" || len(d.file.Routes)+len(d.file.Pools)+len(errs) == 0
}

// putBack makes the file what it was before, unless somebody else has written
// since. One that was not there is left without routes: a file that vanishes is
// a mistake to the proxies.
func (s *session) restore(base, written *document) {
	if base == written {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	_, _ = s.store.Write(ctx, base.data, written.revision) // the caller's error says what is wrong; nothing better can be done
}

// currentRevision is the file's now, for whoever waits for it to be served.
func (s *session) currentRevision(ctx context.Context) (string, error) {
	now, err := s.reader.read(ctx)
	if err != nil {
		return "", err
	}
	return now.revision, nil
}
