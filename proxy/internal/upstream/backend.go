package upstream

// One backend: its counts, and the connections it keeps.

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// Backend is one server. It lives across reloads for as long as the routes name its
// key; then Close ends it. All methods are safe for concurrent use.
type Backend struct {
	id     BackendKey
	url    string         // see URL
	direct netip.AddrPort // see Direct; invalid if it is not
	*counts

	health *health.Monitor
	host   atomic.Pointer[string] // see SetHost

	mu         sync.Mutex            // guards the two below
	transports map[string]*transport // by TLS.Key
	closed     bool
}

// counts is the backend's load. A revived backend shares it.
type counts struct {
	meter    tunnel.Meter
	tunnels  atomic.Int64
	inFlight atomic.Int64

	temporary atomic.Pointer[Temporary] // by hand; nil: none
	http      atomic.Int64              // bytes of ordinary requests and their answers, heads included
	connects  histogram.Lazy            // how long connecting to it took, in seconds
	queues    atomic.Pointer[queues]    // of its pool; nil: it is in no pool yet
}

// NewBackend makes a backend that nothing is known of yet. It does not dial.
func NewBackend(id BackendKey) *Backend {
	return newBackend(id, &counts{}, health.New())
}

func newBackend(id BackendKey, c *counts, h *health.Monitor) *Backend {
	b := &Backend{id: id, url: id.URL(), counts: c, health: h, transports: map[string]*transport{}}
	b.direct, _ = id.direct()
	return b
}

// Revive makes a backend with the same key and counts: for one that the routes
// file names again after it was removed, and closed, while tunnels to it stayed open.
func (b *Backend) Revive() *Backend {
	return newBackend(b.id, b.counts, b.health.Revive())
}

// Key identifies the backend. Immutable.
func (b *Backend) Key() BackendKey { return b.id }

// URL is Key().URL().
func (b *Backend) URL() string { return b.url }

// Direct is the address of a backend that is reached by a TCP connect alone: no name
// to resolve, no TLS. False for any other.
func (b *Backend) Direct() (netip.AddrPort, bool) { return b.direct, b.direct.IsValid() }

// SetHost sets the host:port that the Host header and TLS use for a backend that
// was found by address. "" means the key's own.
func (b *Backend) SetHost(authority string) { b.host.Store(&authority) }

// keyWithHost is the key with the host that SetHost set.
func (b *Backend) keyWithHost() BackendKey {
	id := b.id
	if name := b.host.Load(); name != nil && *name != "" {
		id.Authority = *name
	}
	return id
}

// Host is the default Host header.
func (b *Backend) Host() string { return b.keyWithHost().Host() }

// Meter sums the bytes of this backend's tunnels, live: each tunnel's Spec has it.
func (b *Backend) Meter() *tunnel.Meter { return &b.meter }

// bytes is how many bytes have gone to the backend and come from it, ever.
func (b *Backend) bytes() int64 {
	return b.meter.FromClient.Load() + b.meter.FromBackend.Load() + b.http.Load()
}

// OpenTunnel counts one more tunnel, until one CloseTunnel. Pool.Pick has called it for
// the backend that it returns.
func (b *Backend) OpenTunnel() { b.tunnels.Add(1) }

// CloseTunnel ends one OpenTunnel. The first handshake in the queue gets the place.
func (b *Backend) CloseTunnel() {
	b.tunnels.Add(-1)
	if l := b.queues.Load(); l != nil {
		l.tunnels.serve()
	}
}

// Tunnels is the number of open tunnels to this backend.
func (b *Backend) Tunnels() int64 { return b.tunnels.Load() }

// Acquire counts one more request in flight, until one Release. Pool.Pick has called it
// for the backend that it returns.
func (b *Backend) Acquire() { b.inFlight.Add(1) }

// Release ends one Acquire. The first request in the queue gets the place.
func (b *Backend) Release() {
	b.inFlight.Add(-1)
	if l := b.queues.Load(); l != nil {
		l.requests.serve()
	}
}

// Connected counts how long a connection to the backend took to make. Dial has called it
// for those that it returns.
func (b *Backend) Connected(took time.Duration) {
	b.connects.Of(histogram.Waits).Observe(took.Seconds())
}

// ConnectTimes are the times of Connected; nil if there are none.
func (b *Backend) ConnectTimes() *histogram.Histogram { return b.connects.Get() }

// InFlight is the number of requests in flight.
func (b *Backend) InFlight() int64 { return b.inFlight.Load() }

// RoundTripper speaks HTTP/1.1 to the backend and keeps idle connections for
// the next request under equal TLS settings, across reloads. The same TLS.Key
// gets the same RoundTripper until RetainTransports or Close drops it; one that is in
// use then goes on working and keeps no idle connections.
//
// Of a request's URL only path and query matter. The context's connect timeout
// (WithConnectTimeout) bounds the dial. An answer whose framing is ambiguous is
// an *h1.ResponseError, and its connection is not used again.
func (b *Backend) RoundTripper(t TLS) http.RoundTripper {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rt, ok := b.transports[t.Key]; ok {
		return rt
	}
	rt := newSharedTransport(b, t)
	rt.retired.Store(b.closed)
	b.transports[t.Key] = rt
	return rt
}

// RetainTransports drops every RoundTripper whose TLS key keep does not want, with its
// idle connections. Requests in flight finish.
func (b *Backend) RetainTransports(keep func(key string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, rt := range b.transports {
		if !keep(key) {
			delete(b.transports, key)
			rt.retire()
		}
	}
}

// Reopen undoes a Close. The next CheckHealth begins the probes again.
func (b *Backend) Reopen() {
	b.mu.Lock()
	b.closed = false
	for _, rt := range b.transports {
		rt.retired.Store(false)
	}
	b.mu.Unlock()
	b.health.Reopen()
}

// Close drops all idle connections, keeps none from now on, and ends the health checks.
// Requests in flight and tunnels go on; a later request gets a connection of its own.
// Close may be called again.
func (b *Backend) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.health.Close()
	b.RetainTransports(func(string) bool { return false })
}
