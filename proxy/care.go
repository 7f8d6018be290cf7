package proxy

// What a Table wants of its backends' health: what each is asked, how it is
// judged, and what the log says when that changes.

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// health notes how the members of every pool are asked and judged.
func (b *builder) health() {
	ways := b.waysOfTLS()
	for name, pool := range b.table.pools {
		if b.set.Pools[name].Resolve != nil {
			continue // its members are watched by who finds them
		}
		said := b.set.Pools[name].Health
		for _, m := range pool.Members() {
			h, err := buildHealth(said, ways[m.Backend])
			if err != nil {
				b.fail(b.set.Pools[name].Pos, "pools."+name+".health", fmt.Sprintf("pool %q", name), err)
				break
			}
			b.table.health[m.Backend] = h
		}
	}
}

// waysOfTLS is how probes speak TLS: as the first route by name does that leads
// to the backend. Others may trust other authorities; whether one certificate is
// good is not asked in several ways.
func (b *builder) waysOfTLS() map[*upstream.Backend]upstream.TLS {
	ways := make(map[*upstream.Backend]upstream.TLS)
	for _, rt := range b.table.routes {
		if rt.to == nil {
			continue
		}
		for backend, t := range rt.to.tls {
			if _, known := ways[backend]; !known {
				ways[backend] = t
			}
		}
	}
	return ways
}

func buildHealth(said routefile.Health, t upstream.TLS) (upstream.Health, error) {
	probe, err := buildProbe(&said, t)
	print := fingerprintOf(struct {
		Said routefile.Health
		TLS  string
	}{said, t.Key})
	return upstream.Health{
		Probe:     probe,
		Interval:  said.Interval,
		Timeout:   said.Timeout,
		Passes:    said.Passes,
		Fails:     said.Fails,
		StartDown: said.Initial == "down",
		SlowStart: said.SlowStart,
		Eject: upstream.Ejection{
			Fails:  said.Passive.Fails,
			For:    said.Passive.Eject,
			Max:    said.Passive.Max,
			AtMost: said.Passive.AtMost,
		},
		Key: hex.EncodeToString(print[:]),
	}, err
}

// buildProbe is nil where nothing is asked.
func buildProbe(said *routefile.Health, t upstream.TLS) (upstream.Probe, error) {
	switch {
	case said.TCP:
		return upstream.ProbeTCP(t), nil
	case said.WebSocket != nil:
		ws := said.WebSocket
		return upstream.ProbeWebSocket(upstream.WebSocketQuestion{
			Target: ws.Path, Host: ws.Host, Header: buildHeader(ws.Headers), Subprotocol: ws.Subprotocol,
		}, t), nil
	case said.HTTP != nil:
		return buildHTTPProbe(said.HTTP, t)
	}
	return nil, nil
}

func buildHTTPProbe(said *routefile.HTTPHealth, t upstream.TLS) (upstream.Probe, error) {
	q := upstream.HTTPQuestion{Method: said.Method, Target: said.Path, Host: said.Host, Header: buildHeader(said.Headers)}
	for _, text := range said.Statuses {
		first, last, _ := routefile.StatusRange(text)
		q.Statuses = append(q.Statuses, upstream.StatusRange{First: first, Last: last})
	}
	if said.Body != "" {
		var err error
		if q.Body, err = regexp.Compile(said.Body); err != nil {
			return nil, err
		}
	}
	return upstream.ProbeHTTP(q, t), nil
}

func buildHeader(list []routefile.Header) http.Header {
	h := make(http.Header, len(list))
	for _, line := range list {
		h.Add(line.Name, line.Value)
	}
	return h
}

// watchBackends has the Table's backends asked as it says, from now on.
func (s *Server) watchBackends(t *Table) {
	for backend, h := range t.health {
		backend.Watch(h, s.tellHealth)
	}
}

// dismissWaiting lets who waits at a pool ask the one that has taken its place.
func dismissWaiting(old, new *Table) {
	for name, pool := range old.pools {
		if new.pools[name] != pool {
			pool.Retire()
		}
	}
}

// endCare stops asking after anybody.
func (s *Server) endCare() {
	for _, backend := range s.current().backends {
		backend.Close()
	}
	for name, d := range s.discoveries {
		delete(s.discoveries, name)
		d.end(func(*upstream.Backend) bool { return false })
	}
}

// tellHealth writes a change of a backend's health to the log.
func (s *Server) tellHealth(e upstream.HealthEvent) {
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("backend", e.Backend.Key().String())}
	if e.What == upstream.WentDown || e.What == upstream.Ejected {
		level = slog.LevelWarn
	}
	if e.For > 0 {
		attrs = append(attrs, slog.Float64("seconds", e.For.Seconds()))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	s.log.LogAttrs(context.Background(), level, "backend "+string(e.What), attrs...)
	if e.What == upstream.CameUp || e.What == upstream.Returned {
		s.rebalance(e.Backend.Key().Pool)
	}
}
