package main

// What is measured, and what is aimed at.

import "slices"

// scenario gets a proxy that has just started and returns one number a row.
type scenario struct {
	name     string
	about    string
	site     site     // how the proxy is configured
	quick    bool     // part of -quick
	standIn  bool     // for a longer one that -quick leaves out
	relay    bool     // means something for a relay that does not parse
	pressure bool     // stands in the second table
	proxies  []string // nil: all that fit
	rounds   int      // the most; 0: as many as are asked for
	rows     []row
	play     func(*stage) ([]float64, error)
}

// row is one number of a scenario.
type row struct {
	name  string
	about string
	unit  string
	ratio map[string]float64 // the highest ratio to each other proxy that is aimed at
	most  *float64           // the highest figure of ours that is aimed at
}

func atMost(v float64) *float64 { return &v }

func (s scenario) fits(p peer) bool {
	if len(s.proxies) > 0 && !slices.Contains(s.proxies, p.name) && !(p.name == before && slices.Contains(s.proxies, product)) {
		return false
	}
	return (s.relay || !p.isRelay) && (!s.site.tls || p.canTLS)
}

func (s scenario) roundsOf(o options) int {
	if s.rounds > 0 {
		return min(s.rounds, o.rounds)
	}
	return o.rounds
}

// cost is the one row of a scenario that measures CPU.
func cost(unit string, ratio map[string]float64) []row {
	return []row{{name: "cpu", unit: "µs CPU/" + unit, ratio: ratio}}
}

type ratios = map[string]float64

// single is the rounds of what takes long: many tunnels have to open first, or
// memory to settle, which differs little from one time to the next.
const single = 1

var scenarios = []scenario{
	{name: "echo-64B-100", about: "64 B echoed on 100 tunnels", quick: true, relay: true, play: echo(100, 64),
		rows: cost("message", ratios{"relay": 1.10, "nginx": 0.90, "haproxy": 0.85, "caddy": 0.75, "apache": 0.40})},
	{name: "echo-64B-1000", about: "64 B echoed on 1,000 tunnels", quick: true, relay: true, play: echo(1000, 64),
		rows: cost("message", ratios{"relay": 1.10, "nginx": 0.80, "haproxy": 0.80})},
	{name: "echo-1KiB-100", about: "1 KiB echoed on 100 tunnels", relay: true, play: echo(100, 1<<10), rows: cost("message", nil)},
	{name: "echo-1KiB-1000", about: "1 KiB echoed on 1,000 tunnels", relay: true, play: echo(1000, 1<<10), rows: cost("message", nil)},
	{name: "echo-16KiB-100", about: "16 KiB echoed on 100 tunnels", quick: true, relay: true, play: echo(100, 16<<10),
		rows: cost("message", ratios{"relay": 1.15, "nginx": 0.50, "haproxy": 0.60, "caddy": 0.70})},
	{name: "echo-16KiB-1000", about: "16 KiB echoed on 1,000 tunnels", relay: true, play: echo(1000, 16<<10), rows: cost("message", nil)},
	{name: "rate-64B-1000", about: "2,000 messages of 64 B a second over 1,000 tunnels", relay: true, play: rate(1000, 2000), rows: []row{
		{name: "cpu", unit: "µs CPU/message", ratio: ratios{"relay": 1.25, "nginx": 0.85}},
		{name: "p50", about: "p50 from when a message was due", unit: "µs"},
		{name: "p99", about: "p99", unit: "µs"},
		{name: "p99.9", about: "p99.9", unit: "µs"}}},
	{name: "bulk", about: "1 MiB echoed on 8 tunnels", quick: true, relay: true, play: bulk,
		rows: []row{{name: "cpu", unit: "CPU s/GB", ratio: ratios{"haproxy": 0.40, "nginx": 0.30, "caddy": 0.60}}}},
	{name: "tls-64B-100", about: "64 B echoed on 100 TLS tunnels", site: site{tls: true}, play: echo(100, 64), rows: cost("message", ratios{"nginx": 0.90})},
	{name: "tls-64B-1000", about: "64 B echoed on 1,000 TLS tunnels", site: site{tls: true}, play: echo(1000, 64), rows: cost("message", nil)},
	{name: "tls-16KiB-100", about: "16 KiB echoed on 100 TLS tunnels", site: site{tls: true}, play: echo(100, 16<<10), rows: cost("message", ratios{"nginx": 0.60})},
	{name: "handshake", about: "tunnels opened and closed", quick: true, relay: true, play: handshakeCost, rows: cost("handshake", ratios{"nginx": 1.0})},
	{name: "handshake-tls", about: "TLS tunnels opened and closed", site: site{tls: true}, play: handshakeCost, rows: cost("handshake", nil)},
	{name: "http", about: "plain HTTP requests on 32 kept connections", quick: true, play: httpCost, rows: cost("request", ratios{"caddy": 1.0})},

	{name: "idle-1000", about: "1,000 idle tunnels", quick: true, relay: true, rounds: single, play: idle(1000), rows: idleRows(nil, nil)},
	{name: "idle-9000", about: "9,000 idle tunnels", site: site{room: 9000}, relay: true, rounds: single, play: idle(9000),
		rows: idleRows(atMost(0.5), atMost(25))},
	{name: "idle-tls-1000", about: "1,000 idle TLS tunnels", site: site{tls: true}, rounds: single, play: idle(1000), rows: idleRows(nil, nil)},
	{name: "idle-tls-9000", about: "9,000 idle TLS tunnels", site: site{tls: true, room: 9000}, rounds: single, play: idle(9000),
		rows: idleRows(atMost(14), nil)},

	{name: "match", about: "handshakes to one of many routes", site: site{routes: 10}, proxies: []string{product, "nginx", "haproxy"}, play: matching, rows: []row{
		{name: "10", about: "10 routes", unit: "µs CPU/handshake", ratio: ratios{"nginx": 1.0}},
		{name: "1000", about: "1,000 routes", unit: "µs CPU/handshake", ratio: ratios{"nginx": 1.0}},
		{name: "100000", about: "100,000 routes", unit: "µs CPU/handshake"},
		{name: "flat", about: "100,000 routes as a multiple of 10", unit: "×", most: atMost(1.1)}}},

	{name: "reload", about: "100 edits, 2,000 tunnels with traffic", pressure: true, rounds: single, site: site{edit: 1, room: 2000},
		proxies: []string{product, "nginx", "haproxy", "caddy"}, play: reloading(2000, 100), rows: reloadRows},
	{name: "reload-few", about: "3 edits, 200 tunnels with traffic", quick: true, standIn: true, pressure: true, rounds: single, site: site{edit: 1},
		proxies: []string{product, "nginx", "haproxy"}, play: reloading(200, 3), rows: reloadRows},
	{name: "flood", about: "1,000 tunnels at 2,000 messages a second while one floods", pressure: true, relay: true, rounds: single, play: flood, rows: []row{
		{name: "ratio", about: "their p99 as a multiple of the quiet one", unit: "×", most: atMost(3)},
		{name: "quiet", about: "quiet p99", unit: "µs"},
		{name: "flood", about: "p99 in the flood", unit: "µs"}}},
	{name: "stalled", about: "who stops reading after 64 MiB", pressure: true, relay: true, rounds: single, play: stalled, rows: []row{
		{name: "backend", about: "a backend: what the kernel holds for the tunnel's two sockets", unit: "KiB"},
		{name: "client", about: "a client that sends: the same", unit: "KiB"},
		{name: "proxy", about: "what the proxy itself has grown by", unit: "KiB"}}},
	{name: "descriptors", about: "64 descriptors, more clients", pressure: true, quick: true, proxies: []string{product}, rounds: single,
		site: site{descriptors: 64}, play: exhausted, rows: []row{
			{name: "said", about: "log lines about it", unit: "", most: atMost(1)},
			{name: "cpu", about: "CPU while there are none", unit: "% of a core", most: atMost(5)},
			{name: "again", about: "from one that is free to the next tunnel", unit: "ms", most: atMost(100)}}},
	{name: "churn", about: "9,000 tunnels opened and closed 20 times", pressure: true, proxies: []string{product}, rounds: single,
		site: site{room: 9000}, play: churn(9000, 20), rows: []row{
			{name: "second", about: "RSS after the second time", unit: "MiB"},
			{name: "last", about: "RSS after the last", unit: "MiB"},
			{name: "ratio", about: "the last as a multiple", unit: "×", most: atMost(1.1)}}},
	{name: "pauses", about: "9,000 tunnels, 2,000 messages and 500 handshakes a second", pressure: true, proxies: []string{product}, rounds: single,
		site: site{room: 9000, env: []string{"GODEBUG=gctrace=1"}}, play: pauses, rows: []row{
			{name: "count", about: "collections", unit: ""},
			{name: "p99", about: "p99 of what they stop the proxy for", unit: "µs"},
			{name: "max", about: "the longest stop", unit: "µs"}}},
}
