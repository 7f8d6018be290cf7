package routing

// Where a route's requests go, and how the proxy speaks TLS there.

import (
	"fmt"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Target is a compiled target. Immutable.
type Target struct {
	Internal string         // "echo" or "status"; status has no pool
	Pool     *upstream.Pool // of one backend for a target written in place
	Rewrite  match.Rewrite
	Named    bool // the pool is one of the file's, not of a target written in place

	tls           map[*upstream.Backend]upstream.TLS
	discoveredTLS upstream.TLS // towards discovered members
}

func (b *builder) target(spec *routefile.SetRoute) (*Target, error) {
	to := spec.Route.To
	uri, err := match.NewRewrite(to.Path, to.Query, spec.Rule().Path)
	if err != nil {
		return nil, err
	}
	d := &Target{Rewrite: uri}
	switch to.Scheme {
	case "internal":
		d.Internal = to.Host
		return d, b.internalEcho(d, spec.Route.Name)
	case "pool":
		if d.Pool = b.table.pools[to.Host]; d.Pool == nil {
			return nil, fmt.Errorf("no pool %q", to.Host)
		}
		d.Named = true
	default:
		d.Pool, err = b.singlePool(spec.Route.Name, to)
		if err != nil {
			return nil, err
		}
	}
	return d, b.targetTLS(d, spec)
}

// internalEcho gives internal://echo a backend, so that a tunnel to it is like any other.
func (b *builder) internalEcho(d *Target, route string) (err error) {
	if d.Internal == "echo" {
		d.Pool, err = b.singlePool(route, &routefile.Target{Scheme: "internal", Host: "echo"})
	}
	return err
}

func (b *builder) singlePool(route string, to *routefile.Target) (*upstream.Pool, error) {
	member := upstream.Member{Backend: b.backend(backendKey(route, to))}
	return upstream.NewPool(route, upstream.Settings{}, []upstream.Member{member}, nil)
}

// targetTLS loads how TLS is spoken to each backend: a setting of the backend goes
// before that of the route, field by field.
func (b *builder) targetTLS(d *Target, spec *routefile.SetRoute) error {
	d.tls = make(map[*upstream.Backend]upstream.TLS)
	if resolve, ok := b.resolveOf(spec); ok {
		return b.discoveredTargetTLS(d, resolve, spec)
	}
	own := make(map[upstream.BackendKey]routefile.TLSSettings)
	if spec.Route.To.Scheme == "pool" {
		for _, backend := range b.set.Pools[spec.Route.To.Host].Backends {
			own[backendKey(spec.Route.To.Host, &backend.URL)] = backend.TLS
		}
	}
	for _, m := range d.Pool.Members() {
		if !m.Backend.Key().Secure() {
			continue
		}
		loaded, err := b.loadTLS(m.Backend, tlsFiles(own[m.Backend.Key()], spec.Resolved.BackendTLS))
		if err != nil {
			return err
		}
		d.tls[m.Backend] = loaded
	}
	return nil
}

// resolveOf is the resolve of a route's pool, if its members are discovered.
func (b *builder) resolveOf(spec *routefile.SetRoute) (*routefile.Resolve, bool) {
	if spec.Route.To.Scheme != "pool" {
		return nil, false
	}
	r := b.set.Pools[spec.Route.To.Host].Resolve
	return r, r != nil
}

// discoveredTargetTLS is targetTLS for backends that are not known yet: TLS is the same
// for all of them.
func (b *builder) discoveredTargetTLS(d *Target, r *routefile.Resolve, spec *routefile.SetRoute) (err error) {
	if r.Scheme == "wss" || r.Scheme == "https" {
		d.discoveredTLS, err = b.readTLS(tlsFiles(r.TLS, spec.Resolved.BackendTLS))
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

// Redirect is a compiled Redirect. Immutable.
type Redirect struct {
	match.Location
	Status int
}

func newRedirect(spec *routefile.SetRoute) (*Redirect, error) {
	location, err := spec.Route.Redirect.Location(spec.Rule().Path)
	return &Redirect{Location: location, Status: spec.Route.Redirect.Status}, err
}

// Respond is a compiled Respond. Immutable.
type Respond struct {
	Status  int
	Headers []forward.Header
	Body    match.Text
}

func (b *builder) newRespond(spec *routefile.Respond) (*Respond, error) {
	headers, err := b.headerLines(spec.Headers)
	if err != nil {
		return nil, err
	}
	body, err := match.ParseText(spec.Body)
	return &Respond{Status: spec.Status, Headers: headers, Body: body}, err
}

// TLSOf is how the route speaks TLS to a backend.
func (d *Target) TLSOf(b *upstream.Backend) upstream.TLS {
	if t, ok := d.tls[b]; ok {
		return t
	}
	return d.discoveredTLS
}
