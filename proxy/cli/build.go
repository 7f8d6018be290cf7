package cli

// From a snapshot of the files to a Table.

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// errNoFile is for a directory without any routes file, which says nothing: one
// that is not mounted yet looks like that. Consent to serve nothing is a file
// that says so.
var errNoFile = fmt.Errorf("no routes file: want at least one *.yaml or *.yml, with %q in it to serve none", "routes: {}")

// build is the reload loop's Build: parse, check, look at this machine, make a
// Table, bind what it needs. All that can be wrong with the files is told at once.
func (s *service) build(ctx context.Context, snap store.Snapshot, prev *proxy.Table) (*proxy.Table, []string, error) {
	if len(snap.Documents) == 0 {
		return nil, nil, errNoFile
	}
	leave, err := s.turns.reload(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	files, err := s.files.parse(ctx, snap.Documents)
	if err != nil {
		return nil, nil, err
	}
	errs, err := routefile.CheckContext(ctx, files...)
	if err != nil {
		return nil, nil, err
	}
	if len(errs) == 0 {
		errs = s.files.vanished(files)
	}
	machine := routefile.CheckFiles(files...)
	if len(errs) > 0 {
		return nil, nil, routefile.Merge(errs, machine)
	}
	set := routefile.NewSet(files...)
	inputs := routefile.Inputs(set)
	if len(machine) > 0 {
		return nil, inputs, machine
	}
	table, err := proxy.BuildContext(ctx, set, prev)
	if err != nil {
		return nil, inputs, err
	}
	if err := s.server.Bind(table, set); err != nil {
		return nil, inputs, err
	}
	return table, inputs, nil
}

// fileCache keeps each file's parse for as long as its content is the same. It
// belongs to the reload loop's goroutine, but for vanished, which anybody may ask.
type fileCache struct {
	now    map[string]parsed               // of the last snapshot, by path
	served atomic.Pointer[map[string]bool] // paths with routes, of the snapshot that is served; never changed
}

type parsed struct {
	document store.Document
	file     *routefile.File
}

// parse reads the documents that have changed. What is wrong with a file stays in
// it, for Check to tell.
func (c *fileCache) parse(ctx context.Context, documents []store.Document) ([]*routefile.File, error) {
	next := make(map[string]parsed, len(documents))
	files := make([]*routefile.File, 0, len(documents))
	for _, d := range documents {
		p, known := c.now[d.Path]
		if !known || p.document.Revision != d.Revision {
			p = parsed{document: d}
			var err error
			if p.file, _, err = routefile.ParseContext(ctx, d.Path, d.Data); err != nil {
				return nil, err
			}
		}
		next[d.Path] = p
		files = append(files, p.file)
	}
	c.now = next
	return files, nil
}

// vanished finds files that had routes and now do not even say so: a file that
// is written half, or by a tool that lost its input. routes: {} is consent.
func (c *fileCache) vanished(files []*routefile.File) (errs routefile.Errors) {
	served := c.served.Load()
	if served == nil {
		return nil
	}
	for _, f := range files {
		if (*served)[f.Path] && len(f.Routes) == 0 && !f.RoutesWritten {
			errs = append(errs, &routefile.Error{
				Pos:  routefile.Pos{File: f.Path},
				Key:  "routes",
				Text: fmt.Sprintf("all routes are gone: write %q to serve none", "routes: {}"),
			})
		}
	}
	return errs
}

// commit notes that the last snapshot is served now.
func (c *fileCache) commit() {
	served := make(map[string]bool, len(c.now))
	for path, p := range c.now {
		served[path] = len(p.file.Routes) > 0
	}
	c.served.Store(&served)
	if len(c.now) == 1 { // nothing to save: its next content is another one
		c.now = nil
	}
}

// sources are the files' bytes, for printing mistakes with their lines.
func (c *fileCache) sources() map[string][]byte {
	sources := make(map[string][]byte, len(c.now))
	for path, p := range c.now {
		sources[path] = p.document.Data
	}
	return sources
}
