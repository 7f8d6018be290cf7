package routing

// How a Table's backends are probed and judged.

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"

	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
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
		spec := b.set.Pools[name].Health
		for _, m := range pool.Members() {
			h, err := buildHealthCheck(spec, tls[m.Backend])
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

func buildHealthCheck(spec routefile.Health, t upstream.TLS) (upstream.HealthCheck, error) {
	probe, err := buildProbe(&spec)
	digest := fingerprintOf(struct {
		Spec routefile.Health
		TLS  string
	}{spec, t.Key})
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

// buildProbe is nil where nothing is probed.
func buildProbe(spec *routefile.Health) (health.Probe, error) {
	switch {
	case spec.TCP:
		return health.TCP, nil
	case spec.WebSocket != nil:
		ws := spec.WebSocket
		return (&health.WebSocket{Target: ws.Path, Host: ws.Host, Header: buildHeader(ws.Headers), Subprotocol: ws.Subprotocol}).Probe, nil
	case spec.HTTP != nil:
		return buildHTTPProbe(spec.HTTP)
	}
	return nil, nil
}

func buildHTTPProbe(spec *routefile.HTTPHealth) (health.Probe, error) {
	probe := &health.HTTP{Method: spec.Method, Target: spec.Path, Host: spec.Host, Header: buildHeader(spec.Headers)}
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

func buildHeader(list []routefile.Header) http.Header {
	h := make(http.Header, len(list))
	for _, line := range list {
		h.Add(line.Name, line.Value)
	}
	for _, line := range list { // in the spelling of the file
		spelling.Respell(h, line.Name)
	}
	return h
}
