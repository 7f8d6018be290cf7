package cli

// From the bytes of the files to a Table.

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// errNoFile is for a set without any file, which a directory that is not mounted yet
// looks like. Only a file that says so makes the proxy serve nothing.
var errNoFile = fmt.Errorf("no routes file: want at least one *.yaml or *.yml, with %q in it to serve none", "routes: {}")

// build is the reload loop's Build. It returns all mistakes of the files at once.
func (s *service) build(ctx context.Context, snap store.Snapshot, prev *proxy.Table) (*proxy.Table, []string, error) {
	if len(snap.Documents) == 0 {
		return nil, nil, errNoFile
	}
	s.loads.began = time.Now()
	unlock, err := s.building.forReload(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	s.history.begin()
	defer heap.Loading(sizeOf(snap.Documents))()
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
	machine, err := routefile.CheckFilesContext(ctx, files...)
	if err != nil {
		return nil, nil, err
	}
	if len(errs) > 0 {
		return nil, nil, routefile.Merge(errs, machine)
	}
	set, err := routefile.NewSetContext(ctx, files...)
	if err != nil {
		return nil, nil, err
	}
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

func sizeOf(documents []store.Document) (n int) {
	for _, d := range documents {
		n += len(d.Data)
	}
	return n
}

// fileCache keeps each file's parse while its content stays the same. It belongs to the
// reload loop's goroutine; only vanished is safe for concurrent use.
type fileCache struct {
	now    map[string]parsed               // of the last snapshot, by path
	served atomic.Pointer[map[string]bool] // paths with routes, of the snapshot that is served; never changed
}

type parsed struct {
	document store.Document
	file     *routefile.File
}

// parse parses the documents that have changed. Their mistakes are in the files, and Check
// returns them.
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

// vanished returns a mistake for each file that had routes and has none now, unless it
// says "routes: {}": a file that is half written, or written by a tool that lost its
// input, looks like that.
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

// commit says that the last snapshot is served.
func (c *fileCache) commit() {
	served := make(map[string]bool, len(c.now))
	for path, p := range c.now {
		served[path] = len(p.file.Routes) > 0
	}
	c.served.Store(&served)
	if len(c.now) == 1 { // the next snapshot has other content, so its parse is of no use
		c.now = nil
	}
}

// sources returns the files' bytes by path.
func (c *fileCache) sources() map[string][]byte {
	sources := make(map[string][]byte, len(c.now))
	for path, p := range c.now {
		sources[path] = p.document.Data
	}
	return sources
}
