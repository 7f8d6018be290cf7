// Package handler carries a request from the connection on which it came to its answer or
// its tunnel.
//
// A request is a requestCtx (request.go). The current Table routes it, and dispatch.go
// carries out its route's action: the proxy answers, or a backend does over HTTP (package
// forward), or a handshake begins (upgrade.go).
//
// The steps of a handshake are in handshake.go, what the backend is asked and answers in
// backend_handshake.go, what the client gets of it in upgrade.go. A connection's first
// request is served by an event loop where there is one (handshake_epoll_linux.go), which
// takes the steps between its events; for all others net/http's handler (handler.go) waits
// for each. docs/design/floor-plan.md compares the two.
//
// An open tunnel has a tunnelRecord (access_log.go), which writes its lines in the log. If
// it may redial, it has a redialer too (redial.go). Neither holds on to a Table. The lines of
// other requests are in request.go, the proxy's own errors in error_response.go.
package handler

// The Handler: what requests share, and how they come in from a listen.Socket.

import (
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// Deps is what a handler is made of. All are required.
type Deps struct {
	Current  func() *routing.Table // one atomic load, called once a request
	Engine   tunnel.Engine
	Tunnels  *drain.Group
	Log      *slog.Logger
	Status   func() any // the answer of internal://status
	Counters *Counters
	Metrics  *metrics.Registry

	LogAgents bool // see agentAttrs; optional
}

// Counters count since the start.
type Counters struct {
	Opened    atomic.Uint64 // tunnels
	Ended     atomic.Uint64 // tunnels
	Redialled atomic.Uint64 // times that a tunnel continued with another backend
}

// Handler serves every request. It implements listen.Handler, and is safe for
// concurrent use.
type Handler struct {
	Deps
	forwarder  *forward.Forwarder
	logLimiter logLimiter
}

// New returns a Handler.
func New(d Deps) *Handler {
	return &Handler{Deps: d, forwarder: &forward.Forwarder{Fail: failForwarded}}
}

// ServeHTTP implements listen.Handler.
func (h *Handler) ServeHTTP(s *listen.Socket, w http.ResponseWriter, r *http.Request) {
	gate := h1.FromContext(r.Context())
	if a := takeDeferred(gate); a != nil {
		a.resume(gate, w, r)
		return
	}
	x := h.newRequest(s, r, gate, peerAddr(r.RemoteAddr))
	x.w.ResponseWriter = w
	if gate != nil {
		x.names = gate.Names()
	}
	defer x.finish()
	x.answerWhileReading()
	rf := x.route(h.Current())
	if rf == ownOptions {
		x.answersMaxForwards()
		return
	}
	if rf == nil {
		rf = x.admit()
	}
	if rf != nil {
		x.refuse(rf)
		return
	}
	x.dispatch()
}

// LogRefused implements listen.Handler.
func (h *Handler) LogRefused(c *listen.Config, conn net.Conn, status int, reason string) string {
	id, name := newID(), configName(c)
	h.logLimiter.log(h.Log, slog.LevelInfo, logKind{"request refused", name}, slog.String("id", id), slog.String("listener", name),
		slog.String("client", clientText(connAddr(conn).Addr())), slog.Int("status", status), slog.String("error", reason))
	return id
}

// LogLost implements listen.Handler.
func (h *Handler) LogLost(c *listen.Config, msg string, attrs ...slog.Attr) {
	h.logLimiter.log(h.Log, slog.LevelWarn, logKind{msg, configName(c)}, attrs...)
}

// configName is "" once the address is no longer configured.
func configName(c *listen.Config) string {
	if c == nil {
		return ""
	}
	return c.Name
}
