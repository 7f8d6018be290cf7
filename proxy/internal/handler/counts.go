package handler

// What package metrics is told of tunnels, handshakes and requests. It happens where the log
// gets their lines.

import (
	"errors"
	"net/http"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// Why handshakes are refused, as handshakes_refused_total has it. What is not said where a
// refusal is made, refusedFor derives.
const (
	whyOrigin       = "origin"
	whyRouteFull    = "route_full"
	whyClientFull   = "client_full"
	whyClientRate   = "client_rate"
	whyNoBackend    = "no_backend"
	whyBackendsFull = "backends_full"
	whyBackendSaid  = "backend_refused"
	whyFailed       = "backend_failed"
	whyTimeout      = "backend_timeout"
	whyClientGone   = "client_gone"
	whyNoRoute      = "no_route"
	whyBadRequest   = "bad_request"
	whyInternal     = "internal"
)

// because says why a handshake is refused.
func (rf *refusal) because(why string) *refusal {
	rf.why = why
	return rf
}

// counts are those of the request's route.
func (x *requestCtx) counts() *metrics.Route {
	if x.rt == nil {
		return x.h.Metrics.Route("")
	}
	return x.h.Metrics.Route(x.rt.Name)
}

// times are the histograms of the request's route, if it has its own, or of its listener.
func (x *requestCtx) times() *metrics.Times {
	if x.rt != nil && x.rt.Histograms {
		return x.h.Metrics.Times(x.listenerName(), x.rt.Name)
	}
	return x.h.Metrics.Times(x.listenerName(), "")
}

// countRequest counts a request that opened no tunnel.
func (x *requestCtx) countRequest() {
	if !x.asksTunnel && (x.rt != nil || !wsproto.AsksUpgrade(x.r)) {
		x.counts().Answered(x.r.Method, x.w.status)
		x.times().Request(x.began)
		return
	}
	why := x.refusedFor()
	x.counts().Refused(why)
	x.times().Handshake(resultOf(why), x.began)
}

func resultOf(why string) metrics.Result {
	switch why {
	case whyClientGone:
		return metrics.ClientGone
	case whyNoBackend, whyBackendsFull, whyBackendSaid, whyFailed, whyTimeout:
		return metrics.Failed
	}
	return metrics.Refused
}

// refusedFor is why the handshake opened no tunnel.
func (x *requestCtx) refusedFor() string {
	switch {
	case errors.Is(x.err, forward.ErrClientGone), x.w.status == http.StatusSwitchingProtocols: // it took no 101
		return whyClientGone
	case x.why != "":
		return x.why
	case x.rt == nil && x.w.status == http.StatusNotFound:
		return whyNoRoute
	case x.w.status == http.StatusBadGateway:
		return whyFailed
	case x.w.status == http.StatusGatewayTimeout:
		return whyTimeout
	case x.w.status >= 500, x.w.status == 0:
		return whyInternal
	}
	return whyBadRequest
}

// countOpened counts a tunnel whose 101 is sent.
func (s *tunnelRecord) countOpened(a *handshake) {
	protocol := "other"
	if a.isWebSocket() {
		protocol = websocket
	}
	s.route.TunnelOpened(s.backend.URL(), protocol)
	s.times.Handshake(metrics.Opened, a.began)
}

func (s *tunnelRecord) countClosed(end tunnel.Summary) {
	s.route.TunnelClosed(s.backend.URL(), !s.detached, metrics.End{
		By: partyText(end.ClosedBy), Reason: string(end.Reason), Code: metrics.CodeText(end.Code),
	})
	if end.Silent != tunnel.ByProxy && !s.detached { // or the redial has counted it
		s.route.PeerDead(partyText(end.Silent))
	}
	s.times.Tunnel(end.Duration)
}

// countLeft counts a backend that a tunnel is without, and why.
func (s *tunnelRecord) countLeft(why tunnel.Reason) {
	s.route.TunnelLeft(s.backend.URL())
	if why == tunnel.ReasonPongTimeout {
		s.route.PeerDead(partyText(tunnel.ByBackend))
	}
}
