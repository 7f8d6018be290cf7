package routing

// One route, compiled: its settings in the types of the packages that apply them.

import (
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Route is one route of a Table. Its fields are not to be changed. The counts are shared
// with the route of that name in other Tables.
type Route struct {
	Name string
	Pos  routefile.Pos // where it is written

	// What it does: exactly one of the three.
	Target   *Target
	Redirect *Redirect
	Respond  *Respond

	*Settings

	AllowsTrace bool // match.methods names TRACE
	Counts      *limits.Route
	clients     []netip.Prefix // match.client, to evaluate open tunnels

	identity // by which Compare finds what a reload has changed
}

type fingerprint [sha256.Size]byte

// Settings are a route's settings. They are shared by routes that set the same: of ten
// thousand, most do. The fields are not to be changed.
type Settings struct {
	Paths            match.PathRules
	Upgrade          wsproto.Attempts
	HTTPFallback     bool
	HandshakeTimeout time.Duration
	Tunnel           tunnel.Limits // without jitter, see NewTunnelLimits
	Limits           limits.TunnelLimits
	Retry            RetryRule
	Redials          bool  // on_backend_loss
	HeaderBytes      int64 // of a request's head; 0 is no limit
	PinThroughProxy  bool  // ntlm
	Histograms       bool  // metrics.histograms
	Origins          wsproto.OriginRules
	Lenient          wsproto.Lenient
	Drain            drain.Policy
	Policy           *forward.Policy
	Auth             *auth.Policy // nil lets everybody in
	PreflightPasses  bool         // auth_preflight: backend

	lifetimeJitter time.Duration
	digest         fingerprint
}

func (b *builder) route(spec *routefile.SetRoute) (*Route, error) {
	settings, err := b.settings(spec.Resolved)
	if err != nil {
		return nil, err
	}
	rt := &Route{
		Name:        spec.Route.Name,
		Pos:         spec.Route.Pos,
		Settings:    settings,
		AllowsTrace: slices.Contains(spec.Route.Match.Methods, http.MethodTrace),
		clients:     spec.Route.Match.Client,
		Counts:      b.counts(spec.Route.Name),
	}
	switch {
	case spec.Route.To != nil:
		rt.Target, err = b.target(spec)
	case spec.Route.Redirect != nil:
		rt.Redirect, err = newRedirect(spec)
	case spec.Route.Respond != nil:
		rt.Respond, err = b.newRespond(spec.Route.Respond)
	}
	rt.identity = identify(spec, settings.digest, b.digestOf)
	return rt, err
}

// settings compiles a route's settings, once for all routes that share them.
func (b *builder) settings(spec *routefile.Settings) (*Settings, error) {
	if known := b.built[spec]; known != nil {
		return known, nil
	}
	origins, err := buildOrigins(spec.Origins)
	if err != nil {
		return nil, err
	}
	policy, err := b.policy(spec)
	if err != nil {
		return nil, err
	}
	authPolicy, authFiles, err := b.auth(spec)
	if err != nil {
		return nil, err
	}
	s := &Settings{
		Paths:            spec.PathRules(),
		Upgrade:          wsproto.NewAttempts(spec.Upgrade.Mode, spec.Upgrade.Protocols),
		HTTPFallback:     spec.HTTPFallback == routefile.On,
		HandshakeTimeout: max(spec.Timeouts.Handshake, 0),
		Tunnel:           buildTunnelLimits(spec),
		Limits:           buildRouteLimits(spec.Limits),
		Retry:            RetryRule{Others: max(spec.Retry.Others, 0), Budget: spec.Retry.Budget},
		Redials:          spec.OnBackendLoss == "redial",
		HeaderBytes:      max(spec.Limits.HeaderBytes, 0),
		PinThroughProxy:  spec.NTLM == "pin_through_proxy",
		Histograms:       spec.Metrics.Histograms == routefile.On,
		Origins:          origins,
		Lenient:          spec.Leniency(),
		Drain:            buildDrainPolicy(spec.Drain),
		Policy:           policy,
		Auth:             authPolicy,
		PreflightPasses:  spec.AuthPreflight == "backend",
		lifetimeJitter:   max(spec.Timeouts.LifetimeJitter, 0),
		digest:           settingsDigest(spec, b.digestOf),
	}
	if authPolicy != nil {
		s.digest = sha256.Sum256(append(authFiles[:], s.digest[:]...))
	}
	b.built[spec] = s
	return s, nil
}

// sentFiles returns the files of settings whose text is sent.
func sentFiles(s *routefile.Settings) []string {
	in, out := &s.Headers.Request, &s.Headers.Response
	return append(headerFiles(in.Set, in.Add, in.Default, out.Set, out.Add, out.Default), s.Errors.Files()...)
}

// counts returns the counts of the route of that name in earlier Tables.
func (b *builder) counts(name string) *limits.Route {
	if before := b.prev.byName[name]; before != nil {
		return before.Counts
	}
	return b.prev.retired.routeCounts(name)
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
		IdleCountsData:  s.Timeouts.IdleCounts == "data",
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

// NewTunnelLimits is what one new tunnel of the route gets: the route's limits,
// its lifetime shortened at random so that tunnels opened together do not end
// together.
func (rt *Route) NewTunnelLimits() tunnel.Limits {
	limits := rt.Tunnel
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

func (b *builder) policy(s *routefile.Settings) (*forward.Policy, error) {
	request, err := b.headerEdit(s.Headers.Request)
	if err != nil {
		return nil, err
	}
	response, err := b.headerEdit(s.Headers.Response)
	if err != nil {
		return nil, err
	}
	pages, err := b.errorAnswers(s.Errors)
	return &forward.Policy{
		Host:            hostMode(s.PreserveHost),
		Forwarded:       forwardedMode(s.Forwarded),
		Request:         request,
		Response:        response,
		Errors:          pages,
		RemoveQuery:     s.Query.Remove,
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
	}, err
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

// allowsOrigin says whether a tunnel opened with that Origin would still be
// let in.
func (rt *Route) allowsOrigin(f drain.Facts) bool {
	if f.Origin == "" {
		return true
	}
	return wsproto.CheckOrigin(http.Header{"Origin": {f.Origin}}, f.Host, rt.Origins) == nil
}

func (rt *Route) allowsClient(client netip.Addr) bool {
	return len(rt.clients) == 0 || Trusted(rt.clients).Contains(client)
}

// HasBackend says whether tunnels to that backend may stay: the route's target still
// contains it, and it is not drained.
func (rt *Route) HasBackend(id upstream.BackendKey) bool { return rt.leaves(id) == drain.Stays }

// leaves says why tunnels to that backend may not stay.
func (rt *Route) leaves(id upstream.BackendKey) drain.Cause {
	if rt.Target == nil || rt.Target.Pool == nil {
		return drain.TargetGone
	}
	for _, m := range rt.Target.Pool.Members() {
		if m.Backend.Key() != id {
			continue
		}
		if m.Drains() {
			return drain.BackendDrained
		}
		return drain.Stays
	}
	if rt.LeadsTo(id.Pool) {
		return drain.BackendGone
	}
	return drain.TargetGone
}

// HasBackendURL says whether the route's target contains a backend with that URL.
func (rt *Route) HasBackendURL(url string) bool {
	return rt.Target != nil && rt.Target.Pool != nil && rt.Target.Pool.HasURL(url)
}

// LeadsTo says whether the route's target is that pool, of one for a target written
// in place.
func (rt *Route) LeadsTo(pool string) bool {
	return rt.Target != nil && rt.Target.Pool != nil && rt.Target.Pool.Name() == pool
}

// contentsDigest hashes what files hold.
type contentsDigest func(files []string) fingerprint

func settingsDigest(s *routefile.Settings, contents contentsDigest) fingerprint {
	return fingerprintOf([]any{s, contents(sentFiles(s))})
}

// identify hashes a route, without its positions in the file. contents hashes the files
// whose text is sent.
func identify(spec *routefile.SetRoute, settings fingerprint, contents contentsDigest) identity {
	s := struct {
		Match    routefile.Match
		To       string
		Redirect *routefile.Redirect
		Respond  *routefile.Respond
	}{Match: spec.Route.Match, Redirect: spec.Route.Redirect, Respond: spec.Route.Respond}
	if spec.Route.To != nil {
		s.To = spec.Route.To.Raw
	}
	shape := fingerprintOf(s)
	all := append(shape[:], settings[:]...)
	if s.Respond != nil {
		files := contents(headerFiles(s.Respond.Headers))
		all = append(all, files[:]...)
	}
	return identity{digest: sha256.Sum256(all), shape: shape}
}

// fingerprintOf hashes plain data; JSON sorts maps, so equal data hash alike.
func fingerprintOf(plain any) fingerprint {
	data, err := json.Marshal(plain)
	if err != nil {
		panic(err) // a bug: the data is ours, and plain
	}
	return sha256.Sum256(data)
}

// RetryRule is a route's retry. The zero value allows nothing.
type RetryRule struct {
	Others int // backends to try after the first
	Budget int // percent of the requests that may be tried again
}
