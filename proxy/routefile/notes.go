package routefile

// Notes: what is no mistake, and yet may not be what was meant.

import "context"

// Notes returns what a person should know about files in which Check has found
// nothing wrong, sorted. Nobody need act on it.
func Notes(files ...*File) Errors {
	c := newChecker(context.Background(), files)
	c.errs = nil
	set := NewSet(files...)
	noted := map[string]bool{}
	for _, name := range sortedNames(set.Routes) {
		route := set.Routes[name]
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
