// Package auth decides whether a request may come in, and as whom.
//
// A route has a [Policy], a list of entries. [Policy.Check] asks them in order: an entry
// that finds no credential of its kind leaves the request to the next one; an entry that
// finds a bad one refuses it at once, whatever the next would say. Without a credential the
// answer is 401, and its challenges name every way in. A Grant says who it is, what the
// backend is told, what is cut from the request, and when an open tunnel has to end.
//
//	places.go               where a credential may be, and how it is cut out
//	jwt.go, keys.go         signed tokens and the keys that verify them
//	keys_url.go             keys that are fetched
//	basic.go, users.go      passwords; hashing.go keeps their cost in bounds
//	api_key.go              keys with a name
//	client_certificate.go   certificates that the listener has verified
//	forward.go              a service that is asked
//	state.go                what outlives a reload: fetched keys, caches, failures
//
// A Policy is made of plain data and the content of files, and is immutable. What it has to
// remember is its State's, which the next Policy takes over. Nothing here knows a route, a
// table or a connection.
//
// Sources of the rules: RFC 7519 and RFC 8725 (tokens), RFC 6750 (bearer), RFC 7617 (basic),
// RFC 9440 (certificates), RFC 9110 section 11 (challenges).
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Request is what an entry may look at. It is not changed.
type Request struct {
	Method string
	Scheme string // http or https, as the client sees it
	Host   string // as the client sent it
	Path   string // as the backend gets it, before a rewrite
	Query  string // raw
	Header http.Header
	Client netip.Addr
	TLS    *tls.ConnectionState // nil without TLS

	Handshake bool                             // it asks for a tunnel
	Capture   func(name string) (string, bool) // what the route's match has captured
}

// Identity is what an open tunnel keeps of the credential that let it in. It holds no
// credential. Its fields are comparable, so that tunnels can be compared with a new Policy.
type Identity struct {
	User   string      // "" where the entry names none
	Entry  Fingerprint // of the entry that let it in
	Record string      // the name of its user or API key, which must stay in its file; "" has none
}

// Fingerprint identifies an entry by what must not change under an open tunnel.
type Fingerprint [sha256.Size]byte

// Grant lets a request in.
type Grant struct {
	Identity
	Expires  time.Time // when the credential expires; zero is never
	OnExpiry OnExpiry

	Set    []Header    // to the backend, after everything in Policy.Owned was removed
	Cut    []Place     // places whose credential the backend does not get
	Answer http.Header // Set-Cookie lines for the client; nil has none
}

// OnExpiry is how a tunnel ends when its credential expires.
type OnExpiry struct {
	Keep   bool // it stays
	Code   uint16
	Reason string
}

// Header is one header line.
type Header struct{ Name, Value string }

// The causes of a Refusal, for logs and metrics.
const (
	CauseNone        = "no_credential"
	CauseBad         = "bad_credential"
	CauseForbidden   = "not_allowed"
	CauseFailures    = "auth_failures"
	CauseUnavailable = "auth_unavailable"
	CauseUnsendable  = "claim_not_sendable"
)

// Refusal is the answer to a request that is not let in. Text is for the client, and tells
// nothing that a stranger should not know; Err is for the log, and holds no secret.
type Refusal struct {
	Status     int
	Text       string
	Cause      string
	Challenges []string // WWW-Authenticate, with 401
	RetryAfter time.Duration
	Err        error

	// Of a service that was asked: its own answer is relayed.
	Header http.Header
	Body   []byte
}

// entry is one way in. Its methods are safe for concurrent use.
type entry interface {
	// check returns neither a Grant nor a Refusal if the request has no credential of
	// this kind.
	check(ctx context.Context, r *Request) (*Grant, *Refusal)
	// challenge is the WWW-Authenticate of this way in, "" where HTTP has none for it.
	challenge() string
	// places are those that are cut from every request that the policy lets in.
	places() []Place
	// owns names the headers that only the entry may set.
	owns() []string
	// still says whether the identity that the entry has let in would still be let in.
	still(Identity) bool
	fingerprint() Fingerprint
}

// Policy is the ways into a route.
type Policy struct {
	entries    []entry
	owned      []string // folded names
	cut        []Place
	challenges []string
}

func newPolicy(entries []entry) *Policy {
	p := &Policy{entries: entries}
	for _, e := range entries {
		for _, name := range e.owns() {
			p.owned = append(p.owned, foldName(name))
		}
		p.cut = append(p.cut, e.places()...)
		if c := e.challenge(); c != "" && !slices.Contains(p.challenges, c) {
			p.challenges = append(p.challenges, c)
		}
	}
	for i, e := range entries {
		if f, ok := e.(forwardEntry); ok {
			f.cut = p.cut
			entries[i] = f
		}
	}
	return p
}

// Check decides about a request. Exactly one of its results is not nil.
func (p *Policy) Check(ctx context.Context, r *Request) (*Grant, *Refusal) {
	for _, e := range p.entries {
		grant, refusal := e.check(ctx, r)
		switch {
		case refusal != nil:
			if refusal.Status == http.StatusUnauthorized && refusal.Header == nil {
				refusal.Challenges = p.challenges
			}
			return nil, refusal
		case grant != nil:
			grant.Cut = append(grant.Cut, p.cut...)
			return grant, nil
		}
	}
	if len(p.challenges) == 0 { // by certificate only: HTTP has no challenge for it, and a 401 must have one
		return nil, &Refusal{Status: http.StatusForbidden, Text: "this route needs a client certificate", Cause: CauseNone}
	}
	return nil, &Refusal{Status: http.StatusUnauthorized, Text: "this route needs a credential", Cause: CauseNone, Challenges: p.challenges}
}

// Owns reports whether only the policy may set the header: one that a client sends is
// removed before any entry is asked, under every spelling that a backend may take for it.
func (p *Policy) Owns(name string) bool { return slices.Contains(p.owned, foldName(name)) }

// Still reports whether an open tunnel with that identity may stay. The identity is nil for
// a tunnel that was opened while its route had no policy.
func (p *Policy) Still(id *Identity) bool {
	if id == nil {
		return false
	}
	for _, e := range p.entries {
		if e.fingerprint() == id.Entry {
			return e.still(*id)
		}
	}
	return false
}

// Hidden are the places that are cut from every request, whatever its credential.
func (p *Policy) Hidden() []Place { return p.cut }

// foldName is how CGI-like backends read a header's name: X_User and x-user are one, and to
// some of them X.User and X~User too.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

func bad(err error) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Text: "the credential is not valid", Cause: CauseBad, Err: err}
}

func forbidden(cause string, err error) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Text: "the credential does not allow this", Cause: cause, Err: err}
}

func unavailable(err error) *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Text: "the credential cannot be checked now", Cause: CauseUnavailable, RetryAfter: unavailableFor, Err: err}
}

// unavailableFor is the Retry-After of what is away: a key server restarts within seconds.
const unavailableFor = 5 * time.Second
