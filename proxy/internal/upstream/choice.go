package upstream

// What is asked of a pool, and why it may have nobody.

import (
	"errors"
	"net/http"
	"net/netip"
)

// Choice is one question to a pool: who gets this? A policy that does not look
// at the request costs nothing to have one that could.
type Choice struct {
	Tunnel bool // for a tunnel, from the handshake on; else for one request

	// What a policy or stickiness may look at. Each may be left out.
	Client   netip.Addr
	Request  *http.Request
	Captures Captures

	Exclude []*Backend // tried already
	Wary    bool       // of those that have failed what they were sent last: only where there is nobody else

	// Place is kept by whoever asks PickOrWait again for one and the same request, of
	// this pool or another one; nil is for who does not.
	Place *Place
}

// Captures is what a route's pattern captured: *match.Captures.
type Captures interface {
	Index(number int) (string, bool)
	Get(name string) (string, bool)
}

// Why Pick has nobody.
var (
	ErrUnavailable = errors.New("no backend is available")
	ErrFull        = errors.New("every available backend has all that it may have at once")
	ErrMoved       = errors.New("another generation of the pool has come while waiting") // of PickOrWait: ask that one
	ErrStuck       = errors.New("the backend that the client is bound to is not available")
)
