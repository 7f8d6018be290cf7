package proxy

// What the Server counts, for package metrics.

import (
	"crypto/x509"
	"strconv"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// probeTimes are how long probes took, in seconds.
type probeTimes struct{ passed, failed histogram.Lazy }

func (p *probeTimes) note(took time.Duration, err error) {
	of := &p.passed
	if err != nil {
		of = &p.failed
	}
	of.Of(histogram.Waits).Observe(took.Seconds())
}

// served is a Table as a metrics.Keeper.
type served struct{ *routing.Table }

func (t served) HasRoute(name string) bool { return t.Route(name) != nil }

func (t served) HasListener(name string) bool {
	for _, l := range t.Listeners() {
		if l.Name == name {
			return true
		}
	}
	return false
}

func (t served) HasBackend(route, url string) bool {
	rt := t.Route(route)
	return rt != nil && rt.HasBackendURL(url)
}

// countRebalanced counts tunnels of a pool that are told to leave a backend.
func (s *Server) countRebalanced(pool string, tunnels int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebalanced[pool] += uint64(tunnels)
}

// Collect is the Server's metrics.Source.
func (s *Server) Collect(m *metrics.Scrape) {
	t := s.current()
	if t == nil {
		return
	}
	s.metrics.Collect(m, metrics.State{
		Keeper:   served{t},
		Draining: s.tunnels.Draining(),
		Carried:  func(all []*tunnel.Tally) []tunnel.Carried { return tunnel.ReadTallies(s.engine, all) },
	})
	for i, l := range tunnel.ReadLoops(s.engine) {
		m.Gauge(metrics.LoopBusy, l.Busy, strconv.Itoa(i))
		m.Counts(metrics.LoopLag, l.Turns.Counts, l.Turns.Sum)
	}
	for name, pool := range t.Pools() {
		collectPool(m, name, pool)
	}
	for name, at := range s.discovery.Succeeded() {
		m.Gauge(metrics.DiscoverySuccess, seconds(at), name)
	}
	if h := s.probes.passed.Get(); h != nil {
		m.Histogram(metrics.Probes, h, "passed")
	}
	if h := s.probes.failed.Get(); h != nil {
		m.Histogram(metrics.Probes, h, "failed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.rebalanced {
		if t.Pools()[name] == nil {
			delete(s.rebalanced, name)
			continue
		}
		m.Counter(metrics.Rebalanced, float64(n), name)
	}
	for _, k := range s.sockets {
		if c := k.Config(); c != nil {
			collectSocket(m, c, k)
		}
	}
}

func collectPool(m *metrics.Scrape, name string, pool *upstream.Pool) {
	members := pool.Members()
	for i := range members {
		member := &members[i]
		b := member.Backend
		backend, weight := b.URL(), member.EffectiveWeight()
		m.Gauge(metrics.BackendUp, oneIf(weight > 0), name, backend)
		m.Gauge(metrics.BackendEjected, oneIf(b.Ejected()), name, backend)
		m.Gauge(metrics.BackendWeight, weight, name, backend)
		m.Gauge(metrics.BackendTunnels, float64(b.Tunnels()), name, backend)
		m.Gauge(metrics.BackendRequests, float64(b.InFlight()), name, backend)
		if h := b.ConnectTimes(); h != nil {
			m.Histogram(metrics.BackendConnects, h, name, backend)
		}
	}
	if pool.HasQueue() {
		m.Gauge(metrics.QueueLength, float64(pool.QueueLength()), name)
		if h := pool.QueueWaits(); h != nil {
			m.Histogram(metrics.QueueWaits, h, name)
		}
	}
}

var causes = [listen.Causes]string{
	listen.BadTLS:       "tls",
	listen.BadRequest:   "bad_request",
	listen.NoDescriptor: "no_descriptor",
}

func collectSocket(m *metrics.Scrape, c *listen.Config, k *listen.Socket) {
	m.Gauge(metrics.Connections, float64(k.Connections()), c.Name)
	for why, cause := range causes {
		m.Counter(metrics.ConnectionsRefused, float64(k.Refused(listen.Cause(why))), c.Name, cause)
	}
	if c.TLS == nil {
		return
	}
	ends := make(map[string]time.Time)
	for i := range c.TLS.Certificates {
		leaf := c.TLS.Certificates[i].Leaf
		if end, known := ends[nameOf(leaf)]; !known || leaf.NotAfter.Before(end) {
			ends[nameOf(leaf)] = leaf.NotAfter
		}
	}
	for name, end := range ends {
		m.Gauge(metrics.CertificateExpiry, seconds(end), c.Name, name)
	}
}

// nameOf is a certificate's first name.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return c.Subject.CommonName
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
