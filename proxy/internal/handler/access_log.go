package handler

// A tunnel's lines in the log, and the release of all that was reserved for it. A record
// holds what that needs and nothing else: an open tunnel must not keep a Table or a request
// in memory. The line of a request that opens no tunnel is in request.go.

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/limits"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// tunnelRecord is what the log says of one open tunnel.
type tunnelRecord struct {
	h       *Handler
	id      string
	client  netip.Addr
	backend *upstream.Backend
	entry   *drain.Entry
	counts  *limits.Route
	slot    listen.Slot
	route   *metrics.Route
	times   *metrics.Times

	redials  int32 // so far
	detached bool  // it redials, and counts at no backend
}

func (a *handshake) record() *tunnelRecord {
	return &tunnelRecord{
		h:       a.h,
		id:      a.entry.ID(),
		client:  a.client,
		backend: a.backend,
		entry:   a.entry,
		counts:  a.rt.Counts,
		slot:    a.slot,
		route:   a.counts(),
		times:   a.times(),
	}
}

// logOpened logs the opening. Its arguments have what no later line needs.
func (s *tunnelRecord) logOpened(a *handshake, answer http.Header) {
	attrs := []slog.Attr{
		slog.String("host", a.r.Host),
		slog.String("path", a.loggedPath()),
		slog.String("protocol", a.protocol),
	}
	if user := a.user(); user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	if sub := answer.Get("Sec-WebSocket-Protocol"); sub != "" {
		attrs = append(attrs, slog.String("subprotocol", sub))
	}
	s.logOf(slog.LevelInfo, "tunnel opened", a.rt.Name, attrs...)
}

// logClosed is the tunnel's Done. It releases before it logs, so that a reader of the line
// can rely on that. A Shutdown waits for the line.
func (s *tunnelRecord) logClosed(end tunnel.Summary) {
	s.slot.Release()
	s.h.Counters.Ended.Add(1)
	s.countClosed(end)
	if !s.detached {
		s.backend.CloseTunnel()
	}
	s.counts.Tunnels.Release(s.client)
	defer s.entry.BeginRemove()()
	attrs := []slog.Attr{
		slog.String("closed_by", partyText(end.ClosedBy)),
		slog.Int("code", int(end.Code)),
		slog.String("reason", string(end.Reason)),
	}
	if end.Text != "" {
		attrs = append(attrs, slog.String("text", end.Text))
	}
	if s.redials > 0 {
		attrs = append(attrs, slog.Int("redials", int(s.redials)))
	}
	attrs = append(attrs,
		slog.Int64("bytes_from_client", end.Counts.FromClient.Bytes),
		slog.Int64("bytes_from_backend", end.Counts.FromBackend.Bytes),
		slog.Int64("messages_from_client", end.Counts.FromClient.Messages),
		slog.Int64("messages_from_backend", end.Counts.FromBackend.Messages),
		slog.Float64("duration", end.Duration.Seconds()))
	if s.h.LogAgents {
		attrs = append(attrs, slog.String("path", s.entry.Path()))
	}
	s.log("tunnel closed", attrs...)
}

// log logs a line with the tunnel's present route.
func (s *tunnelRecord) log(line string, attrs ...slog.Attr) { s.logAt(slog.LevelInfo, line, attrs...) }

func (s *tunnelRecord) logAt(level slog.Level, line string, attrs ...slog.Attr) {
	s.logOf(level, line, s.entry.Route(), attrs...)
}

func (s *tunnelRecord) logOf(level slog.Level, line, route string, attrs ...slog.Attr) {
	s.h.Log.LogAttrs(context.Background(), level, line, append([]slog.Attr{
		slog.String("id", s.id),
		slog.String("route", route),
		slog.String("backend", s.backend.Key().String()),
		slog.String("client", clientText(s.client)),
	}, attrs...)...)
}

func partyText(p tunnel.Party) string {
	switch p {
	case tunnel.ByClient:
		return "client"
	case tunnel.ByBackend:
		return "backend"
	}
	return "proxy"
}
