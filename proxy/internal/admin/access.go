package admin

// Who may call what.
//
//	                     unix socket   loopback          other addresses, over TLS only
//	health               yes           yes               yes, without TLS too
//	reads                yes           yes               a token, or a verified client certificate
//	calls that change    yes           scope write       scope write
//	tap                  yes           scope tap         scope tap
//
// The mode of a unix socket's file is the permission. Loopback is no proof of anything: a
// pod shares it, and what a server can be made to fetch carries no Origin.

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// need is what a call needs of its caller.
type need uint8

const (
	needsNothing need = iota // health
	needsPublic              // a read that Options.PublicMetrics frees
	needsRead
	needsToken // any token, sent as one: a call that opens a session
	needsWrite
	needsTap
)

// scope is the scope of a token that a need asks for; 0: any will do.
func (n need) scope() Scope {
	switch n {
	case needsWrite:
		return ScopeWrite
	case needsTap:
		return ScopeTap
	}
	return 0
}

// network is how a request has come.
type network uint8

const (
	byAddress network = iota // that is not loopback
	byLoopback
	byUnixSocket
)

func networkOf(r *http.Request) network {
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr:
		return byUnixSocket
	case *net.TCPAddr:
		if local.IP.IsLoopback() {
			return byLoopback
		}
	}
	return byAddress
}

// denial is why a request is refused.
type denial struct {
	status int
	text   string
}

// guard refuses what a page in a browser could send: one whose name was rebound to this
// address sends that name as Host, and every cross-site request has a foreign Origin.
func (a *api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // of the answer before, on this connection
		switch {
		case len(r.Header["Origin"]) > 0 && !isOwnOrigin(r):
			writeError(w, http.StatusForbidden, "requests from other web pages are refused")
		case !a.isOwnHost(r.Host):
			writeError(w, http.StatusForbidden, "Host must be an IP address, localhost or a name of --admin-host")
		default:
			w.Header().Set("X-Content-Type-Options", "nosniff")
			next.ServeHTTP(w, r)
		}
	})
}

// isOwnOrigin reports whether the request comes from a page of this API: its one Origin is
// scheme://Host.
func isOwnOrigin(r *http.Request) bool {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return slices.Equal(r.Header["Origin"], []string{scheme + r.Host})
}

// isOwnHost accepts addresses and localhost, which DNS cannot rebind, and the names of
// Options.Hosts. A client of a unix socket may send any of them.
func (a *api) isOwnHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	isHost := func(name string) bool { return strings.EqualFold(name, host) }
	if host == "localhost" || host != "" && slices.ContainsFunc(a.Hosts, isHost) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// caller is what is known of where a request comes from.
type caller struct {
	name   string // of its token or certificate; "" for none
	scopes Scope
	from   string // an address, or "unix"
}

// by is the caller for a line of the log.
func (c caller) by() string {
	if c.name == "" {
		return c.from
	}
	return c.name
}

type callerKey struct{}

// callerOf is the caller that admit has found.
func callerOf(r *http.Request) caller { c, _ := r.Context().Value(callerKey{}).(caller); return c }

// admit lets those through to the call that have what it needs, and has what they change
// audited.
func (a *api) admit(c call) http.HandlerFunc {
	handle := c.handle
	if c.need >= needsToken {
		handle = a.audit.record(c.handle)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		who := a.identify(r)
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, who))
		if d := a.deny(r, who, c.need); d != nil {
			if c.need >= needsToken {
				a.audit.denied(r, d.status)
			}
			if d.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			writeError(w, d.status, d.text)
			return
		}
		handle(w, r)
	}
}

// deny returns why a request is refused, or nil.
func (a *api) deny(r *http.Request, who caller, n need) *denial {
	network := networkOf(r)
	tokens := a.Tokens()
	switch {
	case n == needsNothing, network == byUnixSocket && n != needsToken:
		return nil
	case network == byAddress && r.TLS == nil:
		return &denial{http.StatusForbidden, "on an address that is not loopback this needs TLS (serve --admin-tls)"}
	case n == needsPublic && a.PublicMetrics, n < needsToken && network == byLoopback:
		return nil
	case n >= needsToken && tokens == nil:
		return &denial{http.StatusForbidden, "this proxy has no tokens (serve --admin-token-file): it can only be read here"}
	case who.name == "":
		return &denial{http.StatusUnauthorized, "this needs a token: Authorization: Bearer TOKEN"}
	case n == needsToken && bearerOf(r) == "":
		return &denial{http.StatusUnauthorized, "this needs the token itself: Authorization: Bearer TOKEN"}
	case n > needsToken && r.Header.Get("Authorization") == "" && len(r.Header["Origin"]) == 0:
		// A cookie goes with whatever a browser sends. That a page of this API has sent it
		// only Origin proves.
		return &denial{http.StatusForbidden, "a session may change nothing without an Origin"}
	case n.scope()&^who.scopes != 0:
		return &denial{http.StatusForbidden, "the token does not have the scope " + n.scope().String()}
	}
	return nil
}

// identify finds a request's token, by itself or by its session, or its certificate, which
// has no scope: it may read.
func (a *api) identify(r *http.Request) caller {
	c := caller{from: r.RemoteAddr}
	if networkOf(r) == byUnixSocket {
		c.from = "unix"
	}
	tokens := a.Tokens()
	if text := bearerOf(r); text != "" {
		c.name, c.scopes = tokens.find(hashOf(text))
		return c
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if hash, ok := a.sessions.find(cookie.Value); ok {
			if c.name, c.scopes = tokens.find(hash); c.name != "" {
				return c
			}
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.name = "certificate " + r.TLS.VerifiedChains[0][0].Subject.String()
	}
	return c
}

// bearerOf is the token that a request sends; "" for none.
func bearerOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
