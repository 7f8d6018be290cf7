package proxy

// Where a route's requests go, and how TLS is spoken there.

import (
	"fmt"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// destination is a compiled target. Immutable.
type destination struct {
	internal string         // "echo" or "status"; then there is no pool
	pool     *upstream.Pool // of one backend for a target written in place
	tls      map[*upstream.Backend]upstream.TLS
	found    upstream.TLS // towards members that are found
	direct   bool         // all members are reached directly, see upstream.Backend.Direct
	uri      match.Rewrite
}

func (b *builder) destination(said *routefile.SetRoute) (*destination, error) {
	to := said.Route.To
	uri, err := match.NewRewrite(to.Path, to.Query, said.Rule().Path)
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
	return upstream.NewPool(route, upstream.Settings{}, []upstream.Member{member}, nil)
}

// choice is the question that the exchange puts to its route's pool.
func (x *exchange) choice(tunnel bool) upstream.Choice {
	return upstream.Choice{Tunnel: tunnel, Client: x.client, Request: x.r, Captures: &x.captures, Exclude: x.tried, Ticket: &x.ticket}
}

// destinationTLS loads how TLS is spoken to each backend: what the backend says
// goes before what the route says, field by field.
func (b *builder) destinationTLS(d *destination, said *routefile.SetRoute) error {
	d.tls = make(map[*upstream.Backend]upstream.TLS)
	if found, ok := b.found(said); ok {
		d.direct = found.Scheme == "ws" || found.Scheme == "http" // they are found by address
		b.table.direct = b.table.direct || d.direct && said.Resolved.OnBackendLoss != "redial"
		return b.foundDestinationTLS(d, found, said)
	}
	d.direct = d.internal == "" && allDirect(d.pool)
	b.table.direct = b.table.direct || d.direct && said.Resolved.OnBackendLoss != "redial"
	own := make(map[upstream.BackendKey]routefile.TLSSettings)
	if said.Route.To.Scheme == "pool" {
		for _, backend := range b.set.Pools[said.Route.To.Host].Backends {
			own[identityOf(said.Route.To.Host, &backend.URL)] = backend.TLS
		}
	}
	for _, m := range d.pool.Members() {
		if !m.Backend.Key().Secure() {
			continue
		}
		loaded, err := b.loadTLS(m.Backend, tlsFiles(own[m.Backend.Key()], said.Resolved.BackendTLS))
		if err != nil {
			return err
		}
		d.tls[m.Backend] = loaded
	}
	return nil
}

func allDirect(pool *upstream.Pool) bool {
	return !slices.ContainsFunc(pool.Members(), func(m upstream.Member) bool {
		_, ok := m.Backend.Direct()
		return !ok
	})
}

// found says where the members of a route's pool are found, if they are.
func (b *builder) found(said *routefile.SetRoute) (*routefile.Resolve, bool) {
	if said.Route.To.Scheme != "pool" {
		return nil, false
	}
	r := b.set.Pools[said.Route.To.Host].Resolve
	return r, r != nil
}

// foundDestinationTLS is destinationTLS for backends that are not known yet: all
// are spoken to in the same way.
func (b *builder) foundDestinationTLS(d *destination, r *routefile.Resolve, said *routefile.SetRoute) (err error) {
	if r.Scheme == "wss" || r.Scheme == "https" {
		d.found, err = b.readTLS(tlsFiles(r.TLS, said.Resolved.BackendTLS))
	}
	return err
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

// redirect is a compiled Redirect. Immutable.
type redirect struct {
	match.Location
	status int
}

func newRedirect(said *routefile.SetRoute) (*redirect, error) {
	location, err := said.Route.Redirect.Location(said.Rule().Path)
	return &redirect{Location: location, status: said.Route.Redirect.Status}, err
}
