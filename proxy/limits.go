package proxy

// Limits on a route's tunnels: how many are open, how many one client has open,
// how fast one client may knock. The counts outlive reloads, by route name.

import (
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// routeLimits is what the current settings allow. Not positive is no limit.
type routeLimits struct {
	tunnels          int
	tunnelsPerClient int
	handshakesPerSec float64
}

// occupancy is a route's open tunnels and its clients' recent handshakes. Safe
// for concurrent use.
type occupancy struct {
	retries retryBudget
	redials redialGate

	mu      sync.Mutex
	open    int                           // guarded by mu
	clients map[netip.Addr]*clientTunnels // guarded by mu; only clients that matter now
	sweepAt int                           // guarded by mu; size of clients at which idle ones are dropped
}

// clientTunnels is one client's share. The bucket is full (a second's worth,
// at least one) when it was last touched long enough ago.
type clientTunnels struct {
	open    int
	tokens  float64
	touched time.Time
	rate    float64
}

// admit counts one tunnel in, or says why not. What it counted in is counted
// out by release.
func (o *occupancy) admit(limits routeLimits, client netip.Addr, now time.Time) *refusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	if limits.tunnels > 0 && o.open >= limits.tunnels {
		return refuse(http.StatusServiceUnavailable, "this route has all the tunnels it may have", nil)
	}
	c := o.clientLocked(client, now)
	if limits.handshakesPerSec > 0 && !c.take(limits.handshakesPerSec, now) {
		return refuse(http.StatusTooManyRequests, "too many handshakes from this address", nil)
	}
	if limits.tunnelsPerClient > 0 && c.open >= limits.tunnelsPerClient {
		return refuse(http.StatusTooManyRequests, "too many open tunnels from this address", nil)
	}
	o.open++
	c.open++
	return nil
}

// release counts one tunnel out.
func (o *occupancy) release(client netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open--
	c := o.clients[client]
	c.open--
	if c.open == 0 && c.rate == 0 {
		delete(o.clients, client)
	}
}

// isEmpty reports whether no tunnel is counted in.
func (o *occupancy) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open == 0
}

func (o *occupancy) clientLocked(client netip.Addr, now time.Time) *clientTunnels {
	c := o.clients[client]
	if c != nil {
		return c
	}
	if len(o.clients) >= o.sweepAt {
		o.sweepLocked(now)
	}
	if o.clients == nil {
		o.clients = make(map[netip.Addr]*clientTunnels)
	}
	c = &clientTunnels{}
	o.clients[client] = c
	return c
}

// sweepLocked drops the clients that have nothing open and a full bucket. It
// runs each time the map has doubled, so its cost is spread over the additions.
func (o *occupancy) sweepLocked(now time.Time) {
	for addr, c := range o.clients {
		if c.open == 0 && now.Sub(c.touched).Seconds()*c.rate >= burst(c.rate) {
			delete(o.clients, addr)
		}
	}
	o.sweepAt = max(1024, 2*len(o.clients))
}

// take takes one handshake from the client's bucket.
func (c *clientTunnels) take(rate float64, now time.Time) bool {
	if c.touched.IsZero() {
		c.tokens = burst(rate)
	} else {
		c.tokens = min(burst(rate), c.tokens+now.Sub(c.touched).Seconds()*rate)
	}
	c.touched, c.rate = now, rate
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// burst is a second's worth of handshakes, and at least one.
func burst(rate float64) float64 { return math.Max(1, rate) }
