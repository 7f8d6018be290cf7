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
	x.grant = nil
	policy := x.rt.Auth
	if policy == nil || x.rt.PreflightPasses && isPreflight(x.r) {
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
	x.received, x.r = x.r, withIdentity(x.r, policy, grant)
	if len(x.query) > 1 {
		x.query = "?" + x.r.URL.RawQuery
	}
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
	maps.DeleteFunc(known.Header, func(name string, _ []string) bool { return policy.Owns(name) })
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
