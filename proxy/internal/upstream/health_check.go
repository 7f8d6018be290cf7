package upstream

// Package health judges a backend; here is how it reaches the backend, and what its
// verdict means to the pool.

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// HealthCheck is how a backend is probed and judged.
type HealthCheck struct {
	health.Config
	TLS TLS // of the probes

	// Probed is called with the result of each probe and how long it took; nil: nobody asks.
	Probed func(took time.Duration, err error)
}

// CheckHealth has the backend probed and judged as h says, until the next CheckHealth or
// Close, see health.Monitor.Configure. notify may be nil.
func (b *Backend) CheckHealth(h HealthCheck, notify func(*Backend, health.Event)) {
	if probe := h.Probe; probe != nil && h.Probed != nil {
		h.Probe = func(ctx context.Context, t health.Target) error {
			began := time.Now()
			err := probe(ctx, t)
			h.Probed(time.Since(began), err)
			return err
		}
	}
	b.health.Configure(h.Config, probeTarget{b, h.TLS}, func(e health.Event) {
		if e.Up() {
			b.serveQueues()
		}
		if notify != nil {
			notify(b, e)
		}
	})
}

// Available reports whether nothing is known against giving the backend new work.
func (b *Backend) Available() bool { return b.health.Available() }

// Ejected reports whether failures of its traffic are a reason why it gets nothing new.
func (b *Backend) Ejected() bool { return b.health.Ejected() }

// Failing reports whether the backend's last connection or handshake failed.
func (b *Backend) Failing() bool { return b.health.Failing() }

// Succeeded notes that the backend answered what it was sent.
func (b *Backend) Succeeded() { b.health.Succeeded() }

// Failed notes that b failed before there was an answer: no connection, or no handshake.
// It may eject b, see health.Ejection, as long as another backend is available.
func (p *Pool) Failed(b *Backend, err error) {
	b.health.Failed(err, func(maxPercent int) bool {
		members, ejected, others := 0, 0, 0
		for _, m := range p.Members() {
			if m.Drain || m.Disabled || m.Temporary() != nil {
				continue
			}
			members++
			switch {
			case m.Backend == b:
			case m.Backend.health.Ejected():
				ejected++
			case m.Backend.Available():
				others++
			}
		}
		return others > 0 && (ejected+1)*100 <= members*maxPercent
	})
}

// probeTarget implements health.Target.
type probeTarget struct {
	backend *Backend
	tls     TLS
}

func (p probeTarget) Host() string { return p.backend.Host() }

func (p probeTarget) Dial(ctx context.Context) (net.Conn, error) { return p.backend.Dial(ctx, p.tls) }

func (p probeTarget) RoundTrip(r *http.Request) (*http.Response, error) {
	t := newSharedTransport(p.backend, p.tls)
	t.retired.Store(true)
	return t.RoundTrip(r)
}
