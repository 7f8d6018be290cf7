package limits

// Open tunnels of a route and of each of its clients, and how fast one client may
// open them.

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// TunnelLimits is what the current settings allow. A value that is not positive is
// no limit.
type TunnelLimits struct {
	Tunnels          int
	TunnelsPerClient int
	// HandshakesPerSecond is a client's rate. A client may use one second's worth at
	// once, and always at least one.
	HandshakesPerSecond float64
}

// The reasons for which Admit refuses.
var (
	ErrRouteFull  = errors.New("tunnel limit of this route reached")
	ErrClientRate = errors.New("too many handshakes from this address")
	ErrClientFull = errors.New("too many open tunnels from this address")
)

// Tunnels counts a route's open tunnels and its clients' recent handshakes.
type Tunnels struct {
	mu      sync.Mutex
	open    int                    // guarded by mu
	clients map[netip.Addr]*client // guarded by mu; only those with an open tunnel or a recent handshake
	sweepAt int                    // guarded by mu; size of clients at which idle ones are dropped

	earlier []*Tunnels // that these continue; immutable
}

type client struct {
	open       int
	handshakes *rate.Limiter // nil until a rate limit applied
}

// Admit counts one tunnel, or returns why it may not open: [ErrRouteFull],
// [ErrClientRate] or [ErrClientFull]. Release must follow for each tunnel admitted.
func (t *Tunnels) Admit(allowed TunnelLimits, addr netip.Addr, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	earlier, ofClient := t.earlierTunnels(addr)
	if allowed.Tunnels > 0 && t.open+earlier >= allowed.Tunnels {
		return ErrRouteFull
	}
	c := t.clientLocked(addr, now)
	if allowed.HandshakesPerSecond > 0 && !c.allowHandshake(allowed.HandshakesPerSecond, now) {
		return ErrClientRate
	}
	if allowed.TunnelsPerClient > 0 && c.open+ofClient >= allowed.TunnelsPerClient {
		return ErrClientFull
	}
	t.open++
	c.open++
	return nil
}

// Release undoes one Admit.
func (t *Tunnels) Release(addr netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	c := t.clients[addr]
	c.open--
	if c.open == 0 && c.handshakes == nil {
		delete(t.clients, addr)
	}
}

// Open returns the number of tunnels that are counted now.
func (t *Tunnels) Open() int {
	all, _ := t.count(netip.Addr{})
	return all
}

// count returns how many tunnels are open, and how many of them are a client's.
func (t *Tunnels) count(addr netip.Addr) (all, ofClient int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, ofClient = t.earlierTunnels(addr)
	if c := t.clients[addr]; c != nil {
		ofClient += c.open
	}
	return all + t.open, ofClient
}

// earlierTunnels is count of those that t continues. They are older than t, so locks are
// taken in one order.
func (t *Tunnels) earlierTunnels(addr netip.Addr) (all, ofClient int) {
	for _, e := range t.earlier {
		n, of := e.count(addr)
		all, ofClient = all+n, ofClient+of
	}
	return all, ofClient
}

func (t *Tunnels) clientLocked(addr netip.Addr, now time.Time) *client {
	if c := t.clients[addr]; c != nil {
		return c
	}
	if len(t.clients) >= t.sweepAt {
		t.sweepLocked(now)
	}
	if t.clients == nil {
		t.clients = make(map[netip.Addr]*client)
	}
	c := &client{}
	t.clients[addr] = c
	return c
}

// sweepLocked drops clients that have nothing open and a full bucket. It runs each
// time the map has doubled, so its cost is spread over the additions.
func (t *Tunnels) sweepLocked(now time.Time) {
	for addr, c := range t.clients {
		if c.open == 0 && (c.handshakes == nil || c.handshakes.TokensAt(now) >= float64(c.handshakes.Burst())) {
			delete(t.clients, addr)
		}
	}
	t.sweepAt = max(1024, 2*len(t.clients))
}

func (c *client) allowHandshake(perSecond float64, now time.Time) bool {
	limit, burst := rate.Limit(perSecond), max(1, int(perSecond))
	if c.handshakes == nil {
		c.handshakes = rate.NewLimiter(limit, burst)
	}
	if c.handshakes.Limit() != limit { // an edit has changed it
		c.handshakes.SetLimitAt(now, limit)
		c.handshakes.SetBurstAt(now, burst)
	}
	return c.handshakes.AllowN(now, 1)
}
