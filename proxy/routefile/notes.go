package routefile

// Notes: what is no mistake, and yet may not be what was meant.

import (
	"context"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Notes returns what a person should know about files in which Check has found
// nothing wrong, sorted. Nobody need act on it.
func Notes(files ...*File) Errors {
	c := newChecker(context.Background(), files)
	c.errs = nil
	set := NewSet(files...)
	noted := map[string]bool{}
	guarded := guardedRoutes(set)
	for _, name := range sortedNames(set.Routes) {
		route := set.Routes[name]
		c.noteEncodedSlash(route, guarded)
		if to := route.Route.To; to != nil && to.Scheme == "pool" && route.Resolved.PreserveHost == Unset && !noted[to.Host] {
			noted[to.Host] = true
			c.noteMixedHosts(name, to.Host)
		}
	}
	return tidy(c.errs)
}

// noteMixedHosts notes a pool with backends of both kinds that preserve_host tells
// apart where nobody has written it.
func (c *checker) noteMixedHosts(route, pool string) {
	p, found := c.pools[pool]
	if !found {
		return
	}
	plain, secure := "", ""
	for _, name := range sortedNames(p.it.Backends) {
		switch p.it.Backends[name].URL.Scheme {
		case "wss", "https":
			secure = name
		default:
			plain = name
		}
	}
	if plain == "" || secure == "" {
		return
	}
	c.at(p.file, []string{"pools", pool, "backends"}, recordOf("pool", pool),
		"note: backend %q has TLS and gets its own Host, backend %q has none and gets the client's: to choose, write preserve_host in route %q", secure, plain, route)
}

// guardedRoutes returns the routes that not every client may take.
func guardedRoutes(set *Set) (guarded []*Route) {
	for _, name := range sortedNames(set.Routes) {
		if r := set.Routes[name]; len(r.Route.Match.Client) > 0 || len(r.Resolved.Auth) > 0 {
			guarded = append(guarded, r.Route)
		}
	}
	return guarded
}

// noteEncodedSlash notes a route that sends encoded slashes to a backend beside a route
// of the same host that not every client may take: a backend that decodes them may read
// the other route's path. Whether it does, nobody can see here.
func (c *checker) noteEncodedSlash(route *SetRoute, guarded []*Route) {
	r := route.Route
	if r.To == nil || r.To.Scheme == "internal" || route.Resolved.EncodedSlash != "keep" {
		return
	}
	for _, g := range guarded {
		if g.Name != r.Name && shareHost(&r.Match, &g.Match) {
			c.at(route.File, []string{"routes", r.Name, "encoded_slash"}, recordOf("route", r.Name),
				"note: encoded_slash: keep beside route %q, which has auth or match.client: if the backend decodes %%2F, ..%%2F leads from this route's paths to that route's", yamledit.Clip(g.Name))
			return
		}
	}
}

// shareHost reports whether requests of one listener and host may take either route.
func shareHost(a, b *Match) bool {
	return (a.Listener == "" || b.Listener == "" || a.Listener == b.Listener) && match.HostsMeet(a.Host, b.Host)
}
