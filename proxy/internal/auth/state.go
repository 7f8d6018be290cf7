package auth

// What outlives a reload: fetched keys, passwords that were right a moment ago, and who has
// failed how often.

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// State is what policies remember. All policies of a process share one; safe for concurrent
// use.
type State struct {
	hasher    *hasher
	passwords *passwordCache
	failures  *failureTable
	sources   weakMap[string, keyURL]
	services  weakMap[Fingerprint, forwardService]
}

// NewState returns an empty State.
func NewState() *State {
	return &State{
		hasher:    newHasher(),
		passwords: newPasswordCache(),
		failures:  &failureTable{clients: map[failing]*rate.Limiter{}},
	}
}

// passwordCache remembers right passwords for a minute, by a keyed hash that also covers the
// stored hash: when the user's line changes, its entries are never found again.
type passwordCache struct {
	key [32]byte

	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time // guarded by mu
}

const (
	passwordFor        = time.Minute
	maxCachedPasswords = 20_000
)

func newPasswordCache() *passwordCache {
	c := &passwordCache{until: map[[sha256.Size]byte]time.Time{}}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

func (c *passwordCache) sum(hash, user, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.key[:])
	for _, s := range []string{hash, user, password} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		mac.Write(length[:])
		mac.Write([]byte(s))
	}
	mac.Sum(sum[:0])
	return sum
}

func (c *passwordCache) has(hash, user, password string) bool {
	sum := c.sum(hash, user, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[sum])
}

func (c *passwordCache) add(hash, user, password string) {
	sum := c.sum(hash, user, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.until) >= maxCachedPasswords {
		for old, until := range c.until {
			if now.After(until) {
				delete(c.until, old)
			}
		}
	}
	if len(c.until) < maxCachedPasswords {
		c.until[sum] = now.Add(passwordFor)
	}
}

// failureTable limits how many bad credentials a client may send in a minute. A client is a
// /32 or a /64. The table is bounded: when it is full, new clients share one allowance.
type failureTable struct {
	mu      sync.Mutex
	clients map[failing]*rate.Limiter // guarded by mu; those that have failed
	swept   time.Time                 // guarded by mu; when forget last ran
}

// failing is a client, under one of the limits that routes set.
type failing struct {
	client    netip.Prefix // the zero value is a peer on a Unix socket, and all that find the table full
	perMinute int
}

const (
	maxFailingClients = 50_000
	failureRetryAfter = 10 * time.Second
	sweepPause        = 5 * time.Second // a sweep of a full table takes milliseconds
)

// guard counts the failures of one policy's clients.
type guard struct {
	*State
	failuresPerMinute int // not positive is no limit
}

// blocked refuses a client that has used up its failures, before its credential costs
// anything.
func (g guard) blocked(client netip.Addr) *Refusal {
	if g.failuresPerMinute <= 0 || g.failures.limiter(client, g.failuresPerMinute, false).Tokens() >= 1 {
		return nil
	}
	return &Refusal{Status: http.StatusTooManyRequests, Text: "too many bad credentials", Cause: CauseFailures, RetryAfter: failureRetryAfter,
		Err: errors.New("this client has sent too many bad credentials")}
}

// failed counts a bad credential, and returns the refusal.
func (g guard) failed(client netip.Addr, refusal *Refusal) *Refusal {
	if g.failuresPerMinute > 0 {
		// Many may have been under way at once, before the first had failed: they are
		// owed, up to a minute's worth.
		if l := g.failures.limiter(client, g.failuresPerMinute, true); l.Tokens() > -float64(g.failuresPerMinute) {
			l.Reserve()
		}
	}
	return refusal
}

// limiter returns the client's limiter. One that has not failed gets a place in the table
// only when it fails.
func (f *failureTable) limiter(client netip.Addr, perMinute int, fails bool) *rate.Limiter {
	key := failing{perMinute: perMinute}
	bits := 32
	if client = client.Unmap(); client.Is6() {
		bits = 64
	}
	if prefix, err := client.Prefix(bits); err == nil {
		key.client = prefix
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.clients[key]; l != nil {
		return l
	}
	unused := rate.NewLimiter(rate.Every(time.Minute/time.Duration(perMinute)), perMinute)
	if now := time.Now(); len(f.clients) >= maxFailingClients && now.Sub(f.swept) > sweepPause {
		f.forget()
		f.swept = now
	}
	if len(f.clients) >= maxFailingClients {
		key.client = netip.Prefix{}
		if l := f.clients[key]; l != nil {
			return l
		}
		f.clients[key] = unused
		return unused
	}
	if fails {
		f.clients[key] = unused
	}
	return unused
}

// forget drops the clients whose failures are long ago.
func (f *failureTable) forget() {
	for key, l := range f.clients {
		if l.Tokens() >= float64(key.perMinute) {
			delete(f.clients, key)
		}
	}
}
