package proxy

// One route, compiled: its settings in the forms that the rooms below want.

import (
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// route is one route of a Table. Immutable, but for counts, which are
// shared with the route of that name in other Tables.
type route struct {
	name string

	// What it does: exactly one of the three.
	to       *destination
	redirect *redirect
	respond  *routefile.Respond

	*settings

	traces  bool           // match.methods names TRACE
	clients []netip.Prefix // match.client, to judge open tunnels by
	counts  *limits.Route

	// Fingerprints, to tell what a reload has changed: of everything, and of
	// what makes it the same route under another name.
	whole, shape fingerprint
}

type fingerprint [sha256.Size]byte

// settings are what a route sets. Immutable, and shared by routes that set the same:
// of ten thousand, most do.
type settings struct {
	upgrade          wsproto.Attempts
	httpFallback     bool
	handshakeTimeout time.Duration
	lifetimeJitter   time.Duration
	tunnel           tunnel.Limits
	limits           limits.TunnelLimits
	retry            retryRule
	redials          bool  // on_backend_loss
	headerBytes      int64 // of a request's head; 0 is no limit
	pinThroughProxy  bool  // ntlm
	origins          wsproto.OriginRules
	lenient          wsproto.Lenient
	drain            drain.Policy
	policy           *forward.Policy

	said fingerprint
}

func (b *builder) route(said *routefile.SetRoute) (*route, error) {
	settings, err := b.settings(said.Resolved)
	if err != nil {
		return nil, err
	}
	rt := &route{
		name:     said.Route.Name,
		respond:  said.Route.Respond,
		settings: settings,
		traces:   slices.Contains(said.Route.Match.Methods, http.MethodTrace),
		clients:  said.Route.Match.Client,
		counts:   b.counts(said.Route.Name),
	}
	rt.whole, rt.shape = fingerprints(said, settings)
	switch {
	case said.Route.To != nil:
		rt.to, err = b.destination(said)
	case said.Route.Redirect != nil:
		rt.redirect, err = newRedirect(said)
	}
	return rt, err
}

// settings compiles what a route sets, once for all routes that share it.
func (b *builder) settings(said *routefile.Settings) (*settings, error) {
	if known := b.built[said]; known != nil {
		return known, nil
	}
	origins, err := buildOrigins(said.Origins)
	if err != nil {
		return nil, err
	}
	s := &settings{
		upgrade:          wsproto.NewAttempts(said.Upgrade.Mode, said.Upgrade.Protocols),
		httpFallback:     said.HTTPFallback == routefile.On,
		handshakeTimeout: max(said.Timeouts.Handshake, 0),
		lifetimeJitter:   max(said.Timeouts.LifetimeJitter, 0),
		tunnel:           buildTunnelLimits(said),
		limits:           buildRouteLimits(said.Limits),
		retry:            retryRule{others: max(said.Retry.Others, 0), budget: said.Retry.Budget},
		redials:          said.OnBackendLoss == "redial",
		headerBytes:      max(said.Limits.HeaderBytes, 0),
		pinThroughProxy:  said.NTLM == "pin_through_proxy",
		origins:          origins,
		lenient:          said.Leniency(),
		drain:            buildDrainPolicy(said.Drain),
		policy:           buildPolicy(said),
		said:             fingerprintOf(said),
	}
	b.built[said] = s
	return s, nil
}

// counts is what the route of that name has counted before.
func (b *builder) counts(name string) *limits.Route {
	if before := b.prev.byName[name]; before != nil {
		return before.counts
	}
	return b.prev.former.routeCounts(name)
}

func buildOrigins(o routefile.Origins) (wsproto.OriginRules, error) {
	switch o.Mode {
	case "any":
		return wsproto.ParseOrigins([]string{"any"})
	case "list":
		return wsproto.ParseOrigins(o.Allow)
	}
	return wsproto.ParseOrigins([]string{"same-host"})
}

func buildTunnelLimits(s *routefile.Settings) tunnel.Limits {
	limits := tunnel.Limits{
		Idle:            max(s.Timeouts.Idle, 0),
		IdleFromClient:  max(s.Timeouts.IdleFromClient, 0),
		IdleFromBackend: max(s.Timeouts.IdleFromBackend, 0),
		Lifetime:        max(s.Timeouts.Lifetime, 0),
		Pong:            max(s.Keepalive.Pong, 0),
		CloseTimeout:    max(s.Drain.CloseTimeout, time.Millisecond), // zero would mean the engine's default
		MessageSize:     max(s.Limits.MessageSize, 0),
		FrameSize:       max(s.Limits.FrameSize, 0),
		Strict:          s.Strict == routefile.On,
	}
	if s.Keepalive.Client == routefile.On {
		limits.PingClient = max(s.Keepalive.Ping, 0)
	}
	if s.Keepalive.Backend == routefile.On {
		limits.PingBackend = max(s.Keepalive.Ping, 0)
	}
	return limits
}

// tunnelLimits is what one new tunnel of the route gets: the route's limits,
// its lifetime shortened at random so that tunnels opened together do not end
// together.
func (rt *route) tunnelLimits() tunnel.Limits {
	limits := rt.tunnel
	if limits.Lifetime > 0 && rt.lifetimeJitter > 0 {
		limits.Lifetime -= rand.N(min(rt.lifetimeJitter, limits.Lifetime-1) + 1)
	}
	return limits
}

func buildRouteLimits(l routefile.Limits) limits.TunnelLimits {
	return limits.TunnelLimits{
		Tunnels:             l.Tunnels,
		TunnelsPerClient:    l.TunnelsPerClient,
		HandshakesPerSecond: l.HandshakesPerSecond,
	}
}

func buildDrainPolicy(d routefile.DrainPolicy) drain.Policy {
	return drain.Policy{
		Window: max(d.Window, 0),
		Code:   uint16(d.Code),
		Reason: d.Reason,
		Keep:   d.Keep == routefile.On,
	}
}

func buildPolicy(s *routefile.Settings) *forward.Policy {
	return &forward.Policy{
		Host:            hostMode(s.PreserveHost),
		Forwarded:       forwardedMode(s.Forwarded),
		Request:         buildHeaderEdit(s.Headers.Request),
		Response:        buildHeaderEdit(s.Headers.Response),
		BodyBytes:       max(s.Limits.BodyBytes, 0),
		ConnectTimeout:  max(s.Timeouts.Connect, 0),
		ResponseTimeout: max(s.Timeouts.Response, 0),
		BodyTimeout:     max(s.Timeouts.Body, 0),
		SendTimeout:     max(s.Timeouts.Send, 0),
		Rewriting: forward.Rewriting{
			Location:     s.RewriteResponse.Location == routefile.On,
			CookiePath:   s.RewriteResponse.CookiePath,
			CookieDomain: s.RewriteResponse.CookieDomain,
		},
	}
}

func hostMode(preserve routefile.Switch) forward.HostMode {
	switch preserve {
	case routefile.On:
		return forward.HostClient
	case routefile.Off:
		return forward.HostTarget
	}
	return forward.HostByTLS
}

func forwardedMode(mode string) forward.ForwardedMode {
	switch mode {
	case "rfc7239":
		return forward.ForwardedRFC7239
	case "off":
		return forward.ForwardedOff
	}
	return forward.ForwardedX
}

func buildHeaderEdit(e routefile.HeaderEdit) forward.HeaderEdit {
	edit := forward.HeaderEdit{Remove: e.Remove}
	for _, h := range e.Set {
		edit.Set = append(edit.Set, forward.Header(h))
	}
	for _, h := range e.Add {
		edit.Add = append(edit.Add, forward.Header(h))
	}
	return edit
}

// allowsOrigin says whether a tunnel opened with that Origin would still be
// let in.
func (rt *route) allowsOrigin(f drain.Facts) bool {
	if f.Origin == "" {
		return true
	}
	return wsproto.CheckOrigin(http.Header{"Origin": {f.Origin}}, f.Host, rt.origins) == nil
}

func (rt *route) allowsClient(client netip.Addr) bool {
	return len(rt.clients) == 0 || trust(rt.clients).contains(client)
}

// has says whether tunnels to that backend may stay: the route's target still
// contains it, and it is not drained.
func (rt *route) has(id upstream.BackendKey) bool {
	if rt.to == nil || rt.to.pool == nil {
		return false
	}
	for _, m := range rt.to.pool.Members() {
		if m.Backend.Key() == id {
			return !m.Drain
		}
	}
	return false
}

// leadsTo says whether the route's target is that pool, of one for a target written
// in place.
func (rt *route) leadsTo(pool string) bool {
	return rt.to != nil && rt.to.pool != nil && rt.to.pool.Name() == pool
}

// fingerprints hashes what a route says, without positions in the file.
func fingerprints(said *routefile.SetRoute, settings *settings) (whole, shape fingerprint) {
	s := struct {
		Match    routefile.Match
		To       string
		Redirect *routefile.Redirect
		Respond  *routefile.Respond
	}{Match: said.Route.Match, Redirect: said.Route.Redirect, Respond: said.Route.Respond}
	if said.Route.To != nil {
		s.To = said.Route.To.Raw
	}
	shape = fingerprintOf(s)
	whole = sha256.Sum256(append(shape[:], settings.said[:]...))
	return whole, shape
}

// fingerprintOf hashes plain data; JSON sorts maps, so equal data hash alike.
func fingerprintOf(plain any) fingerprint {
	data, err := json.Marshal(plain)
	if err != nil {
		panic(err) // plain data of ours that JSON cannot say
	}
	return sha256.Sum256(data)
}
