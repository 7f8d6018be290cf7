package routefile

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// A set: several files merged into the configuration of one proxy, with all defaults.

// Set is the configuration of one proxy. Read-only once it is made, and then safe for
// concurrent use.
type Set struct {
	Files []*File // sorted by path

	Listeners      map[string]*Listener // copies; every limit filled. Never empty: DefaultListener when no file has one
	TrustedProxies []netip.Prefix
	Shutdown       Shutdown         // every field filled
	Unmatched      ErrorAnswers     // for requests that no route matches
	Pools          map[string]*Pool // copies; Balance filled
	Routes         map[string]*SetRoute
}

// SetRoute is a route with its resolved settings.
type SetRoute struct {
	File     *File
	Route    *Route    // with the status of its redirect or respond filled
	Resolved *Settings // the route's over its file's defaults over the built-in ones: every field filled, negative is off. Shared by routes that set the same
}

// NewSet merges files that Check has passed. Of a name in two files, which Check refuses,
// the first file's record counts.
func NewSet(files ...*File) *Set {
	s, _ := NewSetContext(context.Background(), files...)
	return s
}

// NewSetContext is NewSet for as long as ctx lasts. The error is ctx's cause.
func NewSetContext(ctx context.Context, files ...*File) (*Set, error) {
	s := &Set{
		Files:     byPath(files),
		Listeners: map[string]*Listener{}, Pools: map[string]*Pool{}, Routes: map[string]*SetRoute{},
	}
	var shutdown Shutdown
	for _, f := range s.Files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.add(f)
		if f.TrustedProxies != nil && s.TrustedProxies == nil {
			s.TrustedProxies = f.TrustedProxies
		}
		if f.Shutdown != nil {
			shutdown = overlay(shutdown, *f.Shutdown)
		}
	}
	s.Unmatched = unmatchedErrors(s.Files)
	s.Shutdown = overlay(shutdown, builtIn.shutdown)
	if len(s.Listeners) == 0 {
		l := &Listener{Record: Record{Name: DefaultListener}, Address: DefaultAddress}
		s.Listeners[DefaultListener] = l.filled()
	}
	return s, nil
}

func (s *Set) add(f *File) {
	for name, l := range f.Listeners {
		if s.Listeners[name] == nil {
			s.Listeners[name] = l.filled()
		}
	}
	for name, p := range f.Pools {
		if s.Pools[name] == nil {
			s.Pools[name] = p.filled()
		}
	}
	var defaults Settings
	if f.Defaults != nil {
		defaults = *f.Defaults
	}
	defaults = overlay(defaults, builtIn.settings)
	defaults.Auth = filledAuth(defaults.Auth)
	resolved := map[*Settings]*Settings{nil: &defaults}
	for name, r := range f.Routes {
		if s.Routes[name] != nil {
			continue
		}
		settings, known := resolved[r.Settings]
		if !known {
			over := overlay(*r.Settings, defaults)
			if r.Settings.Auth != nil {
				over.Auth = filledAuth(over.Auth)
			}
			settings = &over
			resolved[r.Settings] = settings
		}
		s.Routes[name] = &SetRoute{File: f, Route: r.filled(), Resolved: settings}
	}
}

// RouteNames returns the routes' names, sorted.
func (s *Set) RouteNames() []string { return slices.Sorted(maps.Keys(s.Routes)) }

// byPath sorts a copy of files.
func byPath(files []*File) []*File {
	return slices.SortedStableFunc(slices.Values(files), func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
}

// Rule returns the route's conditions for package match.
func (r *SetRoute) Rule() match.Rule { return r.Route.rule() }
