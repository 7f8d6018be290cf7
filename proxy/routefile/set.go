package routefile

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// A set: several files merged into what one proxy serves, every default filled in.

// Set is what the files of one proxy say together. Read-only once it is made,
// and then safe for concurrent use.
type Set struct {
	Files []*File // sorted by path

	Listeners      map[string]*Listener // copies; every limit filled. Never empty: DefaultListener when no file has one
	TrustedProxies []netip.Prefix
	Shutdown       Shutdown         // every field filled
	Pools          map[string]*Pool // copies; Balance filled
	Routes         map[string]*SetRoute
}

// SetRoute is a route with what applies to it.
type SetRoute struct {
	File     *File
	Route    *Route   // a copy: the status of its redirect or respond is filled
	Resolved Settings // the route's over its file's defaults over the built-in ones: every field filled, negative is off
}

// DefaultListener is the name of the listener that a set without any has.
const DefaultListener = "web"

// DefaultAddress is the address of that listener.
const DefaultAddress = ":8080"

// NewSet merges files that Check has passed. A name that stands in two files
// (which Check refuses) is the first file's.
func NewSet(files ...*File) *Set {
	s := &Set{
		Files:     byPath(files),
		Listeners: map[string]*Listener{}, Pools: map[string]*Pool{}, Routes: map[string]*SetRoute{},
	}
	var shutdown Shutdown
	for _, f := range s.Files {
		s.add(f)
		if f.TrustedProxies != nil && s.TrustedProxies == nil {
			s.TrustedProxies = f.TrustedProxies
		}
		if f.Shutdown != nil {
			shutdown = overlay(shutdown, *f.Shutdown)
		}
	}
	s.Shutdown = overlay(shutdown, builtIn.shutdown)
	if len(s.Listeners) == 0 {
		l := &Listener{Record: Record{Name: DefaultListener}, Address: DefaultAddress}
		s.Listeners[DefaultListener] = l.filled()
	}
	return s
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
	for name, r := range f.Routes {
		if s.Routes[name] == nil {
			s.Routes[name] = &SetRoute{File: f, Route: r.filled(), Resolved: overlay(r.Settings, defaults)}
		}
	}
}

// filled returns a copy with every default in its place.
func (l *Listener) filled() *Listener {
	c := *l
	c.Limits = overlay(c.Limits, builtIn.listener)
	if c.HTTP2 == Unset {
		c.HTTP2 = switchOf(c.TLS != nil)
	}
	return &c
}

func (p *Pool) filled() *Pool {
	c := *p
	if c.Balance == "" {
		c.Balance = builtIn.pool.Balance
	}
	c.Sticky = overlayPart(p.Sticky, builtIn.pool.Sticky)
	c.Health = p.Health.filled()
	c.Queue = overlayPart(p.Queue, builtIn.pool.Queue)
	c.Resolve = overlayPart(p.Resolve, builtIn.pool.Resolve)
	c.Rebalance = overlayPart(p.Rebalance, builtIn.pool.Rebalance)
	return &c
}

func (r *Route) filled() *Route {
	c := *r
	if r.Redirect != nil {
		redirect := overlay(*r.Redirect, builtIn.redirect)
		c.Redirect = &redirect
	}
	if r.Respond != nil && r.Respond.Status == 0 {
		respond := *r.Respond
		respond.Status = builtIn.respond.Status
		c.Respond = &respond
	}
	return &c
}

// RouteNames returns the routes' names, sorted.
func (s *Set) RouteNames() []string { return slices.Sorted(maps.Keys(s.Routes)) }

// byPath sorts without touching the caller's slice.
func byPath(files []*File) []*File {
	return slices.SortedStableFunc(slices.Values(files), func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
}

// Rule is the route's conditions as the matcher takes them.
func (r *SetRoute) Rule() match.Rule { return r.Route.rule() }

func (r *Route) rule() match.Rule {
	m := &r.Match
	return match.Rule{
		Name: r.Name, Priority: m.Priority, Listener: m.Listener, Host: m.Host, Path: m.pattern(),
		Methods: m.Methods, Headers: conditions(m.Headers), Query: conditions(m.Query), Cookies: conditions(m.Cookies),
		Upgrade: m.Upgrade, Subprotocol: m.Subprotocol, Clients: m.Client,
	}
}

func (m *Match) pattern() match.Path {
	switch {
	case m.Path != "":
		return match.Path{Kind: match.Exact, Pattern: m.Path}
	case m.PathPrefix != "":
		return match.Path{Kind: match.Prefix, Pattern: m.PathPrefix}
	case m.PathRegex != "":
		return match.Path{Kind: match.Regex, Pattern: m.PathRegex}
	}
	return match.Path{}
}

func conditions(list []Condition) []match.Field {
	if list == nil {
		return nil
	}
	out := make([]match.Field, len(list))
	for i, c := range list {
		out[i] = match.Field{Name: c.Name, Op: match.Equal, Value: c.Value}
		if c.Present {
			out[i].Op = match.Present
		} else if c.Regex != "" {
			out[i].Op, out[i].Value = match.Matches, c.Regex
		}
	}
	return out
}
