package routefile

import (
	"context"
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Check: the mistakes that show only across records. It looks at bytes alone, so that a
// Terraform plan can do the same check.

// Check returns every mistake of the files as one set, sorted, including those of
// Parse: names and single keys that are defined in two files, unknown pools and
// listeners, captures that a pattern lacks, routes that are ambiguous or that no
// request can reach. Where Parse found some, and where a condition is
// not well formed, it looks no further than that. It reads nothing from the disk;
// see CheckFiles.
func Check(files ...*File) Errors {
	errs, _ := CheckContext(context.Background(), files...)
	return errs
}

// CheckContext is Check for as long as ctx lasts. The error is ctx's cause, and the
// only one: how long a check takes changes nothing about its answer.
func CheckContext(ctx context.Context, files ...*File) (Errors, error) {
	c := newChecker(ctx, files)
	for _, key := range singleKeys {
		c.single(key)
	}
	c.checkListeners()
	c.checkPools()
	c.checkRoutes()
	c.checkTexts()
	c.checkErrors()
	if err := c.checkMatch(); err != nil {
		return nil, err
	}
	c.checkConsent()
	return tidy(c.errs), nil
}

// checker has the records of a set. Of a name in two files the first file's record counts.
type checker struct {
	ctx       context.Context
	files     []*File
	errs      []*Error
	malformed bool // Parse found mistakes
	hints     int  // near names looked for
	held      heldTrees
	listeners map[string]placed[*Listener]
	pools     map[string]placed[*Pool]
	routes    map[string]placed[*Route]
}

// placed is a record with its file.
type placed[T any] struct {
	file *File
	it   T
}

func newChecker(ctx context.Context, files []*File) *checker {
	c := &checker{ctx: ctx, files: byPath(files)}
	for _, f := range c.files {
		c.errs = append(c.errs, f.errs...)
		c.malformed = c.malformed || len(f.errs) > 0
	}
	c.listeners = gather(c, "listener", func(f *File) map[string]*Listener { return f.Listeners })
	c.pools = gather(c, "pool", func(f *File) map[string]*Pool { return f.Pools })
	c.routes = gather(c, "route", func(f *File) map[string]*Route { return f.Routes })
	c.countRoutes(MaxRoutes)
	return c
}

// countRoutes notes the first route beyond the limit, files and routes by name.
func (c *checker) countRoutes(limit int) {
	if len(c.routes) <= limit {
		return
	}
	for _, f := range c.files {
		if limit -= len(f.Routes); limit >= 0 {
			continue
		}
		name := sortedNames(f.Routes)[len(f.Routes)+limit]
		c.note(f.Routes[name].Pos, "routes."+name, recordOf("route", name), "%s", tooManyRoutes())
		c.malformed = true
		return
	}
}

// gather merges a section's records of all files and reports names in two of them.
func gather[T interface{ pos() Pos }](c *checker, what string, section func(*File) map[string]T) map[string]placed[T] {
	all := map[string]placed[T]{}
	for _, f := range c.files {
		for _, name := range sortedNames(section(f)) {
			it := section(f)[name]
			if before, twice := all[name]; twice {
				c.note(it.pos(), what+"s."+name, recordOf(what, name), "is defined in two files, first at %s", before.it.pos())
				continue
			}
			all[name] = placed[T]{f, it}
		}
	}
	return all
}

func recordOf(what, name string) string { return fmt.Sprintf("%s %q", what, yamledit.Clip(name)) }

func (c *checker) note(pos Pos, key, record, format string, args ...any) {
	c.errs = append(c.errs, &Error{Pos: pos, Key: key, Record: record, Text: printable.Line(fmt.Sprintf(format, args...))})
}

// at reports a mistake at a key of a file, or at its nearest parent that is there.
func (c *checker) at(f *File, keys []string, record, format string, args ...any) {
	c.held.hold(f)
	c.note(f.nearestPos(keys...), strings.Join(keys, "."), record, format, args...)
}

// single reports a key that is allowed in one file of a set only.
func (c *checker) single(key string) {
	var first *File
	for _, f := range c.files {
		at, found := f.single[key]
		switch {
		case !found:
		case first == nil:
			first = f
		default:
			c.note(at, key, "", "%s is defined in two files, first at %s", key, first.single[key])
		}
	}
}

// checkConsent requires the key routes in some file: a set without any is more likely
// unfinished than intended. Of routes that are no mapping Parse has said what is wrong.
func (c *checker) checkConsent() {
	for _, f := range c.files {
		if n := f.find("routes"); f.RoutesWritten || f.tree == nil || n != nil && !yamledit.IsNull(n) {
			return
		}
	}
	if len(c.files) > 0 {
		f := c.files[0]
		c.note(f.nearestPos("routes"), "routes", "", "no routes: write routes: {} to serve nothing")
	}
}
