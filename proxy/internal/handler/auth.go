package handler

// Who a request comes from: the route's authentication is asked, and what the backend gets
// of the request is made anew.

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
)

// admit asks the route's authentication. It comes after route, before anything answers the
// request or counts it, and may wait. A request that is routed again is asked about again:
// the new routes may let in others.
func (x *requestCtx) admit() *refusal {
	policy := x.rt.Auth
	if policy == nil {
		return nil
	}
	if x.passesPreflight() {
		x.receive(policy, &auth.Grant{Cut: policy.Hidden()})
		return nil
	}
	grant, refused := policy.Check(x.r.Context(), &auth.Request{
		Method:    x.r.Method,
		Scheme:    x.forwardedClient().Proto(),
		Host:      x.r.Host,
		Path:      x.path.Text,
		Query:     strings.TrimPrefix(x.query, "?"),
		Header:    x.r.Header,
		Client:    x.client,
		TLS:       x.r.TLS,
		Handshake: x.rt.Upgrade.Protocol(x.r) != "",
		Capture:   x.decodedCapture,
	})
	if refused != nil {
		return authRefusal(refused)
	}
	x.grant = grant
	x.receive(policy, grant)
	if grant.User != "" {
		var err error
		if x.policy, err = x.rt.Policy.For(x.values); err != nil {
			return unfit(err)
		}
	}
	return nil
}

// decodedCapture is a capture as a credential spells it: without escapes. One that has no
// plain spelling is none.
func (x *requestCtx) decodedCapture(name string) (string, bool) {
	raw, ok := x.captures.Get(name)
	if !ok {
		return "", false
	}
	text, err := url.PathUnescape(raw)
	return text, err == nil
}

// receive makes x.r what the backend gets of the request.
func (x *requestCtx) receive(policy *auth.Policy, grant *auth.Grant) {
	x.received, x.r = x.r, withIdentity(x.r, policy, grant)
	if query := x.r.URL.RawQuery; query != x.received.URL.RawQuery {
		if x.query = ""; query != "" {
			x.query = "?" + query
		}
	}
}

// passesPreflight reports whether the request is a CORS preflight that a backend is to answer
// over HTTP. What the proxy answers itself, and a tunnel, which begins with any method, need
// a credential.
func (x *requestCtx) passesPreflight() bool {
	return x.rt.PreflightPasses && isPreflight(x.r) && x.rt.Target != nil && x.rt.Target.Internal == "" && x.rt.Upgrade.Protocol(x.r) == ""
}

// isPreflight reports whether a request is a CORS preflight, which never has a credential.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// withIdentity returns the request as the backend gets it: without the headers that only
// the policy may set, in any spelling, without credentials that are not for the backend, and
// with what the policy says of the client.
func withIdentity(r *http.Request, policy *auth.Policy, grant *auth.Grant) *http.Request {
	known := *r
	known.Header = r.Header.Clone()
	owned := func(name string, _ []string) bool { return policy.Owns(name) }
	maps.DeleteFunc(known.Header, owned)
	maps.DeleteFunc(known.Trailer, owned) // not a copy: net/http fills this one at the body's end
	auth.CutHeader(known.Header, grant.Cut)
	for _, h := range grant.Set {
		known.Header.Add(h.Name, h.Value)
	}
	u := *r.URL
	u.RawQuery = auth.CutQuery(u.RawQuery, grant.Cut)
	known.URL = &u
	return &known
}

// authRefusal is the answer to a request that is not let in. The log gets the cause.
func authRefusal(a *auth.Refusal) *refusal {
	cause := errors.New(a.Cause)
	if a.Err != nil {
		cause = fmt.Errorf("%s: %w", a.Cause, a.Err)
	}
	rf := refuse(a.Status, a.Text, cause)
	rf.header, rf.body = a.Header, a.Body
	if len(a.Challenges) > 0 {
		rf.header = http.Header{"Www-Authenticate": a.Challenges}
	}
	rf.retryAfter = a.RetryAfter
	return rf.because(a.Cause)
}

// identityHeader is what the policy says of the client.
func (x *requestCtx) identityHeader() http.Header {
	if x.grant == nil {
		return nil
	}
	h := http.Header{}
	for _, line := range x.grant.Set {
		h.Add(line.Name, line.Value)
	}
	return h
}

// user is who the request comes from; "" if nobody knows.
func (x *requestCtx) user() string {
	if x.grant == nil {
		return ""
	}
	return x.grant.User
}

// setGrantedCookies adds what the authentication service has for the client.
func (x *requestCtx) setGrantedCookies(h http.Header) {
	if x.grant == nil {
		return
	}
	for _, line := range x.grant.Answer["Set-Cookie"] {
		h.Add("Set-Cookie", line)
	}
}

// identity is what the tunnel keeps of who has opened it.
func (x *requestCtx) identity() *auth.Identity {
	if x.grant == nil {
		return nil
	}
	id := x.grant.Identity
	return &id
}

// expiry is when the tunnel ends because its credential does.
func (x *requestCtx) expiry() drain.Expiry {
	if x.grant == nil || x.grant.OnExpiry.Keep {
		return drain.Expiry{}
	}
	return drain.Expiry{At: x.grant.Expires, Code: x.grant.OnExpiry.Code, Reason: x.grant.OnExpiry.Reason}
}
