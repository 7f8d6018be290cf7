package drain

// What an entry keeps of its facts. There is one record for every open tunnel, so what
// many tunnels have in common is kept once.

import (
	"net/netip"
	"strings"
	"time"
	"unique"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// record is a tunnel's Facts in little memory.
type record struct {
	route    string
	backend  unique.Handle[upstream.BackendKey]
	settings unique.Handle[settings]
	client   netip.Addr
	site     *site // nil where there was neither an Origin nor a credential
	id       string
	path     unique.Handle[string]
	about    unique.Handle[about]
}

// about is what many tunnels of one application have in common.
type about struct{ host, protocol string }

// settings are the same for all tunnels of a route, as it was when they opened.
type settings struct {
	policy       Policy
	closeTimeout time.Duration
}

type site struct {
	host, origin string
	identity     *auth.Identity
}

// recordOf copies the texts that are parts of a request's head, which they would keep in
// memory.
func recordOf(f Facts) record {
	r := record{
		route:    f.Route,
		backend:  unique.Make(f.Backend),
		settings: unique.Make(settings{policy: f.Policy, closeTimeout: f.CloseTimeout}),
		client:   f.Client,
		id:       strings.Clone(f.ID),
		path:     unique.Make(bounded(f.Path, maxPath)),
		about:    unique.Make(about{bounded(f.Host, maxPath), bounded(f.Protocol, maxToken)}),
	}
	if f.Origin != "" || f.Identity != nil {
		r.site = &site{identity: f.Identity}
	}
	if f.Origin != "" {
		r.site.host, r.site.origin = strings.Clone(f.Host), strings.Clone(f.Origin)
	}
	return r
}

func (r *record) facts() Facts {
	t := r.settings.Value()
	f := Facts{Route: r.route, Backend: r.backend.Value(), Client: r.client, Policy: t.policy, CloseTimeout: t.closeTimeout}
	if r.site != nil {
		f.Host, f.Origin, f.Identity = r.site.host, r.site.origin, r.site.identity
	}
	return f
}

func (r *record) user() string {
	if r.site == nil || r.site.identity == nil {
		return ""
	}
	return r.site.identity.User
}

func (r *record) policy() Policy { return r.settings.Value().policy }
