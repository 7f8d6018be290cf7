package proxy

// What the log says of the health of backends. The probes begin in server.go and, for
// members found in DNS, in package discovery; package upstream/health judges.

import (
	"context"
	"log/slog"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// healthChanged writes a change of a backend's health to the log, and lets its pool
// rebalance when it is back.
func (s *Server) healthChanged(b *upstream.Backend, e health.Event) {
	level := slog.LevelWarn
	if e.Up() {
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{slog.String("backend", b.Key().String())}
	if e.For > 0 {
		attrs = append(attrs, slog.Float64("seconds", e.For.Seconds()))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	s.log.LogAttrs(context.Background(), level, "backend "+string(e.Change), attrs...)
	if s.health != nil {
		told := statusapi.BackendEvent{Pool: b.Key().Pool, Backend: b.URL(), Change: string(e.Change)}
		if e.Err != nil {
			told.Error = e.Err.Error()
		}
		s.health(told)
	}
	if e.Up() {
		s.rebalance(b.Key().Pool)
	}
}
