package routing

// How a Table's backends are probed and judged.

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// healthChecks notes how the members of every pool are probed and judged.
func (b *builder) healthChecks() {
	tls := b.probeTLS()
	for name, pool := range b.table.pools {
		if b.set.Pools[name].Resolve != nil {
			continue // discovery checks the members that it finds
		}
		spec := b.probeSpec(name)
		for _, m := range pool.Members() {
			h, err := b.healthCheck(spec, tls[m.Backend])
			if err != nil {
				b.fail(b.set.Pools[name].Pos, "pools."+name+".health", fmt.Sprintf("pool %q", name), err)
				break
			}
			b.table.health[m.Backend] = h
		}
	}
}

// probeTLS is how probes speak TLS: as the first route by name that leads to the
// backend. Other routes may trust other authorities, but one certificate has one verdict.
func (b *builder) probeTLS() map[*upstream.Backend]upstream.TLS {
	first := make(map[*upstream.Backend]upstream.TLS)
	for _, rt := range b.table.routes {
		if rt.Target == nil {
			continue
		}
		for backend, t := range rt.Target.tls {
			if _, known := first[backend]; !known {
				first[backend] = t
			}
		}
	}
	return first
}

// probeSpec is how a pool's backends are probed: with the Host that the first route by name
// sets which leads there and sets one, unless the probe has its own. A backend that answers
// requests for one host only would fail any other probe.
func (b *builder) probeSpec(pool string) routefile.Health {
	spec := b.set.Pools[pool].Health
	for _, rt := range b.table.routes {
		host := rt.Policy.SetHost()
		if host == "" || !rt.LeadsTo(pool) {
			continue
		}
		if spec.HTTP != nil {
			probe := *spec.HTTP
			probe.Host, spec.HTTP = cmp.Or(probe.Host, host), &probe
		}
		if spec.WebSocket != nil {
			probe := *spec.WebSocket
			probe.Host, spec.WebSocket = cmp.Or(probe.Host, host), &probe
		}
		break
	}
	return spec
}

func (b *builder) healthCheck(spec routefile.Health, t upstream.TLS) (upstream.HealthCheck, error) {
	probe, header, err := b.probe(&spec)
	digest := fingerprintOf(struct {
		Spec   routefile.Health
		Header http.Header // of which files may hold values
		TLS    string
	}{spec, header, t.Key})
	return upstream.HealthCheck{TLS: t, Config: health.Config{
		Probe:     probe,
		Interval:  spec.Interval,
		Timeout:   spec.Timeout,
		Passes:    spec.Passes,
		Fails:     spec.Fails,
		StartDown: spec.Initial == "down",
		SlowStart: spec.SlowStart,
		Eject: health.Ejection{
			Fails:      spec.Passive.Fails,
			For:        spec.Passive.Eject,
			Max:        spec.Passive.Max,
			MaxPercent: spec.Passive.AtMost,
		},
		Key: hex.EncodeToString(digest[:]),
	}}, err
}

// probe is nil where nothing is probed. It returns the header that it sends, too.
func (b *builder) probe(spec *routefile.Health) (health.Probe, http.Header, error) {
	switch {
	case spec.TCP:
		return health.TCP, nil, nil
	case spec.WebSocket != nil:
		ws := spec.WebSocket
		header, err := b.probeHeader(ws.Headers)
		return (&health.WebSocket{Target: ws.Path, Host: ws.Host, Header: header, Subprotocol: ws.Subprotocol}).Probe, header, err
	case spec.HTTP != nil:
		header, err := b.probeHeader(spec.HTTP.Headers)
		if err != nil {
			return nil, nil, err
		}
		probe, err := buildHTTPProbe(spec.HTTP, header)
		return probe, header, err
	}
	return nil, nil, nil
}

func buildHTTPProbe(spec *routefile.HTTPHealth, header http.Header) (health.Probe, error) {
	probe := &health.HTTP{Method: spec.Method, Target: spec.Path, Host: spec.Host, Header: header}
	for _, text := range spec.Statuses {
		first, last, _ := routefile.StatusRange(text)
		probe.Statuses = append(probe.Statuses, health.StatusRange{First: first, Last: last})
	}
	if spec.Body != "" {
		var err error
		if probe.Body, err = regexp.Compile(spec.Body); err != nil {
			return nil, err
		}
	}
	return probe.Probe, nil
}
