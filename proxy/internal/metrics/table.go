package metrics

// Every metric: name, labels, and what it says. docs/metrics.md is made of it.

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

// Metric is one row of the table.
type Metric struct {
	section section
	name    string // without the prefix
	kind    kind
	help    string
	labels  []string
	layout  histogram.Layout // of a distribution
	desc    *prometheus.Desc
}

type kind string

const (
	counter      kind = "counter"
	gauge        kind = "gauge"
	distribution kind = "histogram"
)

const prefix = "tunnelform_"

// Name is what is published.
func (m *Metric) Name() string { return prefix + m.name }

// route is the index of the label route; -1 if there is none.
func (m *Metric) route() int { return slices.Index(m.labels, "route") }

// weight is how many series one of the metric's counts as against the limit. What there is
// for listeners, loops and the process is few by nature.
func (m *Metric) weight() int {
	switch {
	case m.route() < 0 && !slices.Contains(m.labels, "pool"):
		return 0
	case m.kind == distribution:
		return len(m.layout) + 3 // the bucket of infinity, the sum and the count
	}
	return 1
}

// other are the labels of the series that has what is beyond the limit.
func (m *Metric) other(values []string) []string {
	values = slices.Clone(values)
	for i, name := range m.labels {
		if name == "route" || name == "backend" {
			values[i] = otherRoute
		}
	}
	return values
}

// Table lists every metric.
var Table []*Metric

// section is a heading of docs/metrics.md.
type section string

const (
	ofTunnels  section = "Tunnels"
	ofShakes   section = "Handshakes"
	ofHTTP     section = "HTTP"
	ofBackends section = "Backends"
	ofRoutes   section = "The routes file"
	ofProcess  section = "The process"
)

func (s section) row(k kind, name string, l histogram.Layout, labels, help string) *Metric {
	m := &Metric{section: s, name: name, kind: k, help: help, layout: l, labels: strings.Fields(labels)}
	m.desc = prometheus.NewDesc(m.Name(), help, m.labels, nil)
	Table = append(Table, m)
	return m
}

func (s section) counter(name, labels, help string) *Metric {
	return s.row(counter, name, nil, labels, help)
}

func (s section) gauge(name, labels, help string) *Metric {
	return s.row(gauge, name, nil, labels, help)
}

func (s section) histogram(name string, l histogram.Layout, labels, help string) *Metric {
	return s.row(distribution, name, l, labels, help)
}

var (
	Tunnels = ofTunnels.gauge("tunnels", "route backend",
		"Open tunnels. One that is between two backends is in none of them.")
	TunnelsDraining = ofTunnels.gauge("tunnels_draining", "route",
		"Open tunnels that have been told to end, or will be.")
	TunnelsOpened = ofTunnels.counter("tunnels_opened_total", "route backend protocol",
		"Tunnels that have opened, by protocol: websocket or other. The backend is the first one.")
	TunnelsClosed = ofTunnels.counter("tunnels_closed_total", "route backend closed_by reason code",
		"Tunnels that have ended, as the log line `tunnel closed` says it. Codes from 3000 and from 4000 on are 3xxx and 4xxx, a protocol without Close frames has none, and any code that is not registered is other.")
	TunnelDuration = ofTunnels.histogram("tunnel_duration_seconds", histogram.Lives, "listener route",
		"How long tunnels were open that have ended.")
	TunnelBytes = ofTunnels.counter("tunnel_bytes_total", "route direction",
		"Bytes that open and former tunnels have passed on after the handshake, by direction: from_client or from_backend.")
	TunnelMessages = ofTunnels.counter("tunnel_messages_total", "route direction type",
		"WebSocket messages whose last byte has come, by direction and type: text or binary.")
	MessageBytes = ofTunnels.histogram("tunnel_message_bytes", histogram.Sizes, "listener route direction",
		"Payload of WebSocket messages, as it was on the wire.")
	PingRTT = ofTunnels.histogram("ping_rtt_seconds", histogram.Waits, "listener route peer",
		"How long peers took to answer the proxy's pings.")
	DeadPeers = ofTunnels.counter("dead_peers_total", "route peer",
		"Peers that did not answer a ping: client or backend.")
	Redials = ofTunnels.counter("redials_total", "route result",
		"Tunnels that have lost or left their backend, by result: redialled or failed. One whose client has gone meanwhile is not counted.")
	Drained = ofTunnels.counter("drained_total", "route cause",
		"Tunnels that were told to go, or to move to another backend, by cause: routes (an edit, or backends found by name), rebalance, forbidden (the client or Origin is no longer allowed), operator or shutdown.")
	Rebalanced = ofTunnels.counter("rebalanced_total", "pool",
		"Tunnels that were told to leave a backend because it had more than its share.")

	HandshakeDuration = ofShakes.histogram("handshake_duration_seconds", histogram.Waits, "listener route result",
		"How long handshakes took, from the request's head to the 101, by result: opened, refused (by the proxy), failed (no backend took it) or client_gone. They are not among the HTTP requests.")
	HandshakesRefused = ofShakes.counter("handshakes_refused_total", "route cause",
		"Handshakes that opened no tunnel, by cause: no_route, bad_request, origin, no_credential, bad_credential, not_allowed, claim_not_sendable, auth_failures, auth_unavailable, client_rate, client_full, route_full, backends_full, no_backend, backend_failed, backend_timeout, backend_refused (it answered, not with 101), client_gone or internal.")
	Retries = ofShakes.counter("retries_total", "route",
		"Backends that were tried in vain before another one, for handshakes and HTTP requests.")

	HTTPRequests = ofHTTP.counter("http_requests_total", "route method code",
		"HTTP requests, without handshakes. A status without a meaning is its class, as in 2xx; that of a request that was cut before its answer is none, and that of a client that has gone is 499. The route is empty where none matches.")
	HTTPDuration = ofHTTP.histogram("http_request_duration_seconds", histogram.Waits, "listener route",
		"How long HTTP requests took, from the head of the request to the end of the answer.")
	HTTPInFlight = ofHTTP.gauge("http_requests_in_flight", "route",
		"HTTP requests that a backend is being asked for.")

	BackendUp = ofBackends.gauge("backend_up", "pool backend",
		"1 if the backend of a pool may get something new: its probes pass, it is not ejected, and the routes file neither drains nor disables it; else 0.")
	BackendEjected = ofBackends.gauge("backend_ejected", "pool backend",
		"1 while the backend is ejected because connections or handshakes failed, else 0.")
	BackendWeight = ofBackends.gauge("backend_weight", "pool backend",
		"The backend's share of what is new: its weight, less in slow start, 0 while it gets nothing.")
	BackendTunnels = ofBackends.gauge("backend_tunnels", "pool backend",
		"Open tunnels to the backend, and handshakes for which it was chosen.")
	BackendRequests = ofBackends.gauge("backend_requests_in_flight", "pool backend",
		"HTTP requests that the backend has not answered to the end.")
	BackendConnects = ofBackends.histogram("backend_connect_duration_seconds", histogram.Waits, "pool backend",
		"How long connections to the backend took to make, those of probes among them: the name, TCP and TLS.")
	Probes = ofBackends.histogram("probe_duration_seconds", histogram.Waits, "result",
		"How long health checks took, by result: passed or failed.")
	QueueLength = ofBackends.gauge("queue_length", "pool",
		"Requests and handshakes that wait for a backend of the pool.")
	QueueWaits = ofBackends.histogram("queue_wait_seconds", histogram.Waits, "pool",
		"How long requests and handshakes have waited in the pool's queue, for a backend or in vain.")
	DiscoverySuccess = ofBackends.gauge("discovery_last_success_timestamp_seconds", "pool",
		"When the pool's backends were last found by name.")

	Routes = ofRoutes.gauge("routes", "",
		"Routes that are served.")
	RoutesGeneration = ofRoutes.gauge("routes_generation", "",
		"How often routes have been loaded since the start.")
	RoutesLastLoadSuccess = ofRoutes.gauge("routes_last_load_success", "",
		"1 if what the routes files hold is served, 0 if it was refused.")
	RoutesLastLoad = ofRoutes.gauge("routes_last_load_timestamp_seconds", "",
		"When the routes that are served were loaded.")
	RoutesLoads = ofRoutes.histogram("routes_load_duration_seconds", histogram.Waits, "",
		"How long loads took that were served, from the first look at the file's text until every open tunnel was judged.")
	RoutesRefused = ofRoutes.counter("routes_refused_total", "",
		"Edits that were refused.")

	Connections = ofProcess.gauge("connections", "listener",
		"Open connections of clients, tunnels included.")
	ConnectionsRefused = ofProcess.counter("connections_refused_total", "listener cause",
		"Connections that were closed before there was a request, by cause: tls (the TLS handshake failed), bad_request (what was sent is no HTTP that the proxy reads) or no_descriptor.")
	CertificateExpiry = ofProcess.gauge("certificate_expiry_timestamp_seconds", "listener name",
		"When a listener's certificate ends, by its first name. Of several with that name, the one that ends first.")
	LoopBusy = ofProcess.gauge("event_loop_busy_ratio", "loop",
		"The share of its time that an event loop has worked lately, from 0 to 1.")
	LoopLag = ofProcess.histogram("event_loop_lag_seconds", histogram.Turns, "",
		"How long event loops worked before they looked for events again: so long an event may have waited.")
	LogLinesLost = ofProcess.counter("log_lines_lost_total", "",
		"Lines of the log that were lost because its reader was blocked.")
	BuildInfo = ofProcess.gauge("build_info", "version goversion",
		"1, with the version of this build and that of Go.")
	SeriesDropped = ofProcess.counter("metrics_series_dropped_total", "",
		"Series that were not made because there were as many as --metrics-series allows. What has a route is counted under the route _other.")
)
