package cli

// From a snapshot of the files to a Table.

import (
	"context"
	"fmt"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// build is the reload loop's Build: parse, check, look at this machine, make a
// Table, bind what it needs. Each step needs the one before it to be right; the
// mistakes of one step are reported together.
func (s *service) build(_ context.Context, snap store.Snapshot, prev *proxy.Table) (*proxy.Table, []string, error) {
	files, errs := s.files.parse(snap.Documents)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	errs = append(routefile.Check(files...), s.files.vanished()...)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	set := routefile.NewSet(files...)
	inputs := routefile.Inputs(set)
	if errs := routefile.CheckFiles(files...); len(errs) > 0 {
		return nil, inputs, errs
	}
	table, err := proxy.Build(set, prev)
	if err != nil {
		return nil, inputs, err
	}
	if err := s.server.Bind(table, set); err != nil {
		return nil, inputs, err
	}
	return table, inputs, nil
}

// fileCache keeps each file's parse for as long as its content is the same. It
// belongs to the reload loop's goroutine.
type fileCache struct {
	now    map[string]parsed // of the last snapshot, by path
	served map[string]bool   // path -> it had routes, of the snapshot that is served
}

type parsed struct {
	document store.Document
	file     *routefile.File
	errs     routefile.Errors
}

func (c *fileCache) parse(documents []store.Document) ([]*routefile.File, routefile.Errors) {
	next := make(map[string]parsed, len(documents))
	files := make([]*routefile.File, 0, len(documents))
	var errs routefile.Errors
	for _, d := range documents {
		p, known := c.now[d.Path]
		if !known || p.document.Revision != d.Revision {
			p = parsed{document: d}
			p.file, p.errs = routefile.Parse(d.Path, d.Data)
		}
		next[d.Path] = p
		files = append(files, p.file)
		errs = append(errs, p.errs...)
	}
	c.now = next
	return files, errs
}

// vanished finds files that had routes and now do not even say so: a file that
// is written half, or by a tool that lost its input. routes: {} is consent.
func (c *fileCache) vanished() (errs routefile.Errors) {
	for path, p := range c.now {
		if c.served[path] && len(p.file.Routes) == 0 && !p.file.RoutesWritten {
			errs = append(errs, &routefile.Error{
				Pos:  routefile.Pos{File: path},
				Key:  "routes",
				Text: fmt.Sprintf("all routes are gone: write %q to serve none", "routes: {}"),
			})
		}
	}
	return errs
}

// commit notes that the last snapshot is served now.
func (c *fileCache) commit() {
	c.served = make(map[string]bool, len(c.now))
	for path, p := range c.now {
		c.served[path] = len(p.file.Routes) > 0
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
