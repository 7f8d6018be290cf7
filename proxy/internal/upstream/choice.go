package upstream

// What is asked of a pool, and why it may have no backend.

import (
	"errors"
	"net/http"
	"net/netip"
)

// Choice is one question to a pool: which backend gets this?
type Choice struct {
	Tunnel bool // for a tunnel, from the handshake on; else for one request

	// For policies and stickiness; each may be left out.
	Client   netip.Addr
	Request  *http.Request
	Captures Captures

	Exclude      []*Backend // tried before
	AvoidFailing bool       // pick a backend whose last request failed only if there is no other

	// Ticket keeps the position in the queue of a request that calls PickOrWait again, of
	// this pool or another. nil: the request will not.
	Ticket *QueueTicket
}

// Captures is what a route's pattern captured: a *match.Captures.
type Captures interface {
	Index(number int) (string, bool)
	Get(name string) (string, bool)
}

// Why Pick and PickOrWait return no backend.
var (
	ErrUnavailable      = errors.New("no backend is available")
	ErrFull             = errors.New("all backends are at capacity")
	ErrReplaced         = errors.New("the pool was replaced while the request waited") // by PickOrWait: ask the new pool
	ErrBoundUnavailable = errors.New("the client's sticky backend is not available")
)
