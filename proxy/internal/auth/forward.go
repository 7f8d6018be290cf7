package auth

// A service that is asked about each request, as nginx's auth_request, Traefik's ForwardAuth
// and Authelia have it.

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Forward is an entry that asks a service.
type Forward struct {
	URL     string
	Headers []string // of the request, which the service gets
	Copy    []string // of the service's answer, which the backend gets
	User    string   // the header of its answer that names the user; "" is none
	Timeout time.Duration
	Cache   time.Duration // how long a 2xx without Set-Cookie counts for the same question; 0 is not
}

type forwardEntry struct {
	*forwardService
	id  Fingerprint
	cut []Place // of the policy: tokens are not the service's to see
}

// forwardService is the service with its connections and its cache. It outlives reloads
// that do not change the entry.
type forwardService struct {
	Forward
	client *http.Client

	mu    sync.Mutex
	cache map[[sha256.Size]byte]cachedGrant // guarded by mu
}

type cachedGrant struct {
	set   []Header
	user  string
	until time.Time
}

const (
	maxCachedAnswers = 10_000
	maxRelayedBody   = 64 << 10
)

// service returns the service of the entry with that fingerprint, which covers all of spec.
func (s *State) service(id Fingerprint, spec Forward) *forwardService {
	return s.services.get(id, func() *forwardService {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = nil
		transport.DisableCompression = true
		transport.MaxIdleConnsPerHost = 32
		transport.MaxResponseHeaderBytes = 64 << 10
		client := &http.Client{Transport: transport, Timeout: spec.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		return &forwardService{Forward: spec, client: client, cache: map[[sha256.Size]byte]cachedGrant{}}
	})
}

func (e forwardEntry) check(ctx context.Context, r *Request) (*Grant, *Refusal) {
	question, err := e.question(ctx, r)
	if err != nil {
		return nil, unavailable(fmt.Errorf("forward: %w", err))
	}
	sum := hashQuestion(question)
	if cached, ok := e.cached(sum); ok {
		return e.grant(cached, nil), nil
	}
	answer, err := e.client.Do(question)
	if err != nil {
		return nil, unavailable(fmt.Errorf("forward: %w", err))
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxRelayedBody)) // so that the connection can be used again
		return e.accept(sum, answer)
	case answer.StatusCode >= 300 && answer.StatusCode < 400, answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return nil, e.relayed(r, answer)
	}
	return nil, unavailable(fmt.Errorf("forward: the service answered with status %d", answer.StatusCode))
}

// question asks about what the route has matched, not about what the client has written.
func (e forwardEntry) question(ctx context.Context, r *Request) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range e.Headers {
		if values := r.Header.Values(name); len(values) > 0 {
			q.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	CutHeader(q.Header, e.cut)
	if !slices.ContainsFunc(e.Headers, func(name string) bool { return strings.EqualFold(name, "User-Agent") }) {
		q.Header.Set("User-Agent", "tunnelform")
	}
	uri := r.Path
	if query := CutQuery(r.Query, e.cut); query != "" {
		uri += "?" + query
	}
	q.Header.Set("X-Forwarded-Method", r.Method)
	q.Header.Set("X-Forwarded-Proto", r.Scheme)
	q.Header.Set("X-Forwarded-Host", r.Host)
	q.Header.Set("X-Forwarded-Uri", uri)
	q.Header.Set("X-Forwarded-For", r.Client.String())
	return q, nil
}

// hashQuestion hashes all that the service is told.
func hashQuestion(q *http.Request) (sum [sha256.Size]byte) {
	h := sha256.New()
	_ = q.Header.Write(h) // sorted by name
	h.Sum(sum[:0])
	return sum
}

func (f *forwardService) cached(sum [sha256.Size]byte) (cachedGrant, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.cache[sum]
	return c, ok && time.Now().Before(c.until)
}

func (e forwardEntry) accept(sum [sha256.Size]byte, answer *http.Response) (*Grant, *Refusal) {
	c := cachedGrant{until: time.Now().Add(e.Cache), user: answer.Header.Get(e.User)}
	for _, name := range e.Copy {
		for _, value := range answer.Header.Values(name) {
			c.set = append(c.set, Header{Name: name, Value: value})
		}
	}
	cookies := answer.Header.Values("Set-Cookie")
	if e.Cache > 0 && len(cookies) == 0 {
		e.remember(sum, c)
	}
	return e.grant(c, cookies), nil
}

func (f *forwardService) remember(sum [sha256.Size]byte, c cachedGrant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.cache) >= maxCachedAnswers {
		now := time.Now()
		for old, c := range f.cache {
			if now.After(c.until) {
				delete(f.cache, old)
			}
		}
	}
	if len(f.cache) < maxCachedAnswers {
		f.cache[sum] = c
	}
}

func (e forwardEntry) grant(c cachedGrant, cookies []string) *Grant {
	g := &Grant{Identity: Identity{User: c.user, Entry: e.id}, Set: c.set}
	if len(cookies) > 0 {
		g.Answer = http.Header{"Set-Cookie": cookies}
	}
	return g
}

// relayedHeaders are those of a refusal that mean something to the client.
var relayedHeaders = []string{"Location", "Set-Cookie", "Www-Authenticate", "Content-Type", "Content-Language", "Cache-Control", "Vary"}

// relayed passes the service's refusal on. A browser follows no redirect of a handshake, so
// that one is a 401.
func (e forwardEntry) relayed(r *Request, answer *http.Response) *Refusal {
	rf := &Refusal{Status: answer.StatusCode, Text: "the authentication service refused", Cause: CauseBad, Header: http.Header{},
		Err: fmt.Errorf("forward: the service answered with status %d", answer.StatusCode)}
	if answer.StatusCode == http.StatusForbidden {
		rf.Cause = CauseForbidden
	}
	for _, name := range relayedHeaders {
		if values := answer.Header[name]; len(values) > 0 {
			rf.Header[name] = values
		}
	}
	if r.Handshake && answer.StatusCode < 400 {
		rf.Status = http.StatusUnauthorized
		delete(rf.Header, "Location")
	}
	if rf.Status == http.StatusUnauthorized && len(rf.Header["Www-Authenticate"]) == 0 {
		rf.Header.Set("WWW-Authenticate", "Bearer")
	}
	rf.Body, _ = io.ReadAll(io.LimitReader(answer.Body, maxRelayedBody)) // what came is passed on
	return rf
}

func (e forwardEntry) challenge() string        { return "" }
func (e forwardEntry) places() []Place          { return nil }
func (e forwardEntry) owns() []string           { return e.Copy }
func (e forwardEntry) still(Identity) bool      { return true }
func (e forwardEntry) fingerprint() Fingerprint { return e.id }
