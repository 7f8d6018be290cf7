package proxy

// Where a route's requests go: the path and query that the backend gets, and
// the redirect that a client gets, are made by the same rules.

import (
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// destination is a compiled target. Immutable.
type destination struct {
	internal string         // "echo" or "status"; then there is no pool
	pool     *upstream.Pool // of one backend for a target written in place
	tls      map[*upstream.Backend]upstream.TLS
	uri      uriRule
}

// uriRule makes the path and query of a target from a request's.
type uriRule struct {
	path      *match.Template // nil keeps the request's own path
	query     *match.Template // nil adds nothing
	isPrefix  bool            // the matched prefix is replaced, not the whole path
	prefix    string          // the route's own path_prefix
	pathShown string          // the path template as written
}

func (b *builder) destination(said *routefile.SetRoute) (*destination, error) {
	to := said.Route.To
	uri, err := newURIRule(to.Path, to.Query, said.Route.Match)
	if err != nil {
		return nil, err
	}
	d := &destination{uri: uri}
	switch to.Scheme {
	case "internal":
		d.internal = to.Host
		return d, b.internalEcho(d, said.Route.Name)
	case "pool":
		if d.pool = b.table.pools[to.Host]; d.pool == nil {
			return nil, fmt.Errorf("no pool %q", to.Host)
		}
	default:
		d.pool, err = b.poolOfOne(said.Route.Name, to)
		if err != nil {
			return nil, err
		}
	}
	return d, b.destinationTLS(d, said)
}

// internalEcho gives internal://echo a backend like any other, so that a tunnel
// to it is a tunnel like any other.
func (b *builder) internalEcho(d *destination, route string) (err error) {
	if d.internal == "echo" {
		d.pool, err = b.poolOfOne(route, &routefile.Target{Scheme: "internal", Host: "echo"})
	}
	return err
}

func (b *builder) poolOfOne(route string, to *routefile.Target) (*upstream.Pool, error) {
	member := upstream.Member{Backend: b.backend(identityOf(route, to))}
	return upstream.NewPool(route, "", []upstream.Member{member}, nil)
}

// destinationTLS loads how TLS is spoken to each backend: what the backend says
// goes before what the route says, field by field.
func (b *builder) destinationTLS(d *destination, said *routefile.SetRoute) error {
	d.tls = make(map[*upstream.Backend]upstream.TLS)
	own := make(map[upstream.Identity]routefile.TLSSettings)
	if said.Route.To.Scheme == "pool" {
		for _, backend := range b.set.Pools[said.Route.To.Host].Backends {
			own[identityOf(said.Route.To.Host, &backend.URL)] = backend.TLS
		}
	}
	for _, m := range d.pool.Members() {
		if !m.Backend.Identity().Secure() {
			continue
		}
		loaded, err := b.loadTLS(m.Backend, tlsFiles(own[m.Backend.Identity()], said.Resolved.BackendTLS))
		if err != nil {
			return err
		}
		d.tls[m.Backend] = loaded
	}
	return nil
}

func tlsFiles(backend, route routefile.TLSSettings) upstream.TLSFiles {
	files := upstream.TLSFiles{
		CA:          firstOf(backend.CA, route.CA),
		ServerName:  firstOf(backend.ServerName, route.ServerName),
		Certificate: route.Certificate,
		Key:         route.Key,
		Insecure:    route.Insecure == routefile.On,
	}
	if backend.Certificate != "" { // a certificate and its key stay together
		files.Certificate, files.Key = backend.Certificate, backend.Key
	}
	if backend.Insecure != routefile.Unset {
		files.Insecure = backend.Insecure == routefile.On
	}
	return files
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func newURIRule(path, query string, m routefile.Match) (u uriRule, err error) {
	u.isPrefix, u.prefix, u.pathShown = m.PathPrefix != "", m.PathPrefix, path
	if path != "" {
		if u.path, err = match.ParseTemplate(path); err != nil {
			return u, err
		}
	}
	if query != "" {
		u.query, err = match.ParseTemplate(query)
	}
	return u, err
}

// apply returns the escaped path and the raw query for a request. matched is how
// many bytes of its path the route's prefix took.
func (u *uriRule) apply(path, query string, matched int, c *match.Captures) (newPath, newQuery string, err error) {
	newPath, newQuery = path, query
	if u.path != nil {
		made, err := u.path.AppendPath(nil, c)
		if err != nil {
			return "", "", err
		}
		newPath = string(made)
		if u.isPrefix {
			newPath = replacePrefix(newPath, path, matched)
		}
	}
	if u.query != nil {
		made, err := u.query.AppendQuery(nil, c)
		if err != nil {
			return "", "", err
		}
		newQuery = joinQueries(string(made), query)
	}
	return newPath, newQuery, nil
}

// replacePrefix puts the target's path in the place of the matched prefix,
// joined by exactly one slash, as ProxyPass does when both end in one.
func replacePrefix(target, path string, matched int) string {
	rest := path[matched:]
	if matched > 0 && path[matched-1] == '/' {
		rest = path[matched-1:] // the prefix's own slash is the joint
	}
	if rest == "" {
		return target
	}
	return strings.TrimSuffix(target, "/") + "/" + strings.TrimPrefix(rest, "/")
}

// joinQueries puts a target's query before the request's.
func joinQueries(target, request string) string {
	switch {
	case target == "":
		return request
	case request == "":
		return target
	}
	return target + "&" + request
}

// redirect is a compiled Redirect. Immutable.
type redirect struct {
	status int
	origin string // scheme://authority, or "" to stay on this one
	uri    uriRule
}

func newRedirect(said *routefile.Redirect, m routefile.Match) (*redirect, error) {
	origin, path, query := splitRedirect(said.To)
	uri, err := newURIRule(path, query, m)
	if err != nil {
		return nil, err
	}
	return &redirect{status: said.Status, origin: origin, uri: uri}, nil
}

// splitRedirect cuts "https://host/path?query" or "/path?query".
func splitRedirect(to string) (origin, path, query string) {
	to, query, _ = strings.Cut(to, "?")
	scheme := strings.Index(to, "://")
	if scheme < 0 {
		return "", to, query
	}
	slash := strings.IndexByte(to[scheme+3:], '/')
	if slash < 0 {
		return to, "", query
	}
	return to[:scheme+3+slash], to[scheme+3+slash:], query
}

// location is the Location header for a request.
func (rd *redirect) location(path, query string, matched int, c *match.Captures) (string, error) {
	path, query, err := rd.uri.apply(path, query, matched, c)
	if err != nil {
		return "", err
	}
	if query != "" {
		path += "?" + query
	}
	if rd.origin == "" {
		// "//x" would be another host: a capture must not choose where to.
		path = "/" + strings.TrimLeft(path, "/")
	}
	return rd.origin + path, nil
}
