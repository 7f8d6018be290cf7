package e2e

// What GET /metrics says, shown by what moves it.

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// movedBy names the scenario that moves each metric.
var movedBy = map[string]string{
	"tunnels":                       "TestMetricsTunnels",
	"tunnels_opened_total":          "TestMetricsTunnels",
	"tunnels_draining":              "TestMetricsDrain",
	"drained_total":                 "TestMetricsDrain",
	"tunnels_closed_total":          "TestMetricsTunnels",
	"tunnel_duration_seconds":       "TestMetricsTunnels",
	"tunnel_bytes_total":            "TestMetricsCarried",
	"tunnel_messages_total":         "TestMetricsCarried",
	"tunnel_message_bytes":          "TestMetricsCarried",
	"ping_rtt_seconds":              "TestMetricsCarried",
	"event_loop_busy_ratio":         "TestMetricsCarried",
	"event_loop_lag_seconds":        "TestMetricsCarried",
	"dead_peers_total":              "TestMetricsDeadPeers",
	"redials_total":                 "TestMetricsRedial",
	"rebalanced_total":              "TestMetricsRebalance",
	"handshake_duration_seconds":    "TestMetricsTunnels",
	"handshakes_refused_total":      "TestMetricsHandshakes",
	"retries_total":                 "TestMetricsHandshakes",
	"http_requests_total":           "TestMetricsHTTP",
	"http_request_duration_seconds": "TestMetricsHTTP",
	"http_requests_in_flight":       "TestMetricsHTTP",

	"backend_up":                               "TestMetricsBackends",
	"backend_ejected":                          "TestMetricsEjection",
	"backend_weight":                           "TestMetricsBackends",
	"backend_tunnels":                          "TestMetricsBackends",
	"backend_requests_in_flight":               "TestMetricsQueue",
	"backend_connect_duration_seconds":         "TestMetricsBackends",
	"probe_duration_seconds":                   "TestMetricsBackends",
	"queue_length":                             "TestMetricsQueue",
	"queue_wait_seconds":                       "TestMetricsQueue",
	"discovery_last_success_timestamp_seconds": "TestMetricsDiscovery",

	"routes":                             "TestMetricsRoutes",
	"routes_generation":                  "TestMetricsRoutes",
	"routes_last_load_success":           "TestMetricsRoutes",
	"routes_last_load_timestamp_seconds": "TestMetricsRoutes",
	"routes_load_duration_seconds":       "TestMetricsRoutes",
	"routes_refused_total":               "TestMetricsRoutes",

	"connections":                          "TestMetricsConnections",
	"connections_refused_total":            "TestMetricsConnections",
	"certificate_expiry_timestamp_seconds": "TestMetricsConnections",
	"log_lines_lost_total":                 "TestMetricsLogLinesLost",
	"build_info":                           "TestMetricsRoutes",
	"metrics_series_dropped_total":         "TestMetricsSeriesLimit",
}

// TestEveryMetricIsMoved: the scenarios speak of their metrics; every metric that is
// registered has one, and no metric of the map is gone.
func TestEveryMetricIsMoved(t *testing.T) {
	t.Parallel()
	bodies := metricsScenarios(t)
	known := map[string]bool{}
	for _, m := range metrics.Table {
		name := strings.TrimPrefix(m.Name(), "tunnelform_")
		known[name] = true
		if body := bodies[movedBy[name]]; !strings.Contains(body, fmt.Sprintf("%q", name)) {
			t.Errorf("metric %s: no scenario moves it: %q does not name it", name, movedBy[name])
		}
	}
	for name := range movedBy {
		if !known[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// metricsScenarios are the texts of the functions of metrics_*test.go.
func metricsScenarios(t *testing.T) map[string]string {
	t.Helper()
	files, texts := scenarios(t)
	bodies := map[string]string{}
	for name, file := range files {
		if !strings.HasPrefix(file, "metrics_") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, texts[file], parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Name.Name == name {
				bodies[name] = texts[file][set.Position(f.Pos()).Offset:set.Position(f.End()).Offset]
			}
		}
	}
	return bodies
}

// TestMetricsRoutes: loads, refusals and what is served.
func TestMetricsRoutes(t *testing.T) {
	t.Parallel()
	routes := web + "routes: {one: {match: {path: /1}, respond: {}}, two: {match: {path: /2}, respond: {}}}\n"
	p, m := startMetered(t, routes)
	m.await("routes", nil, 2)
	m.await("routes_generation", nil, 1)
	m.await("routes_last_load_success", nil, 1)
	m.await("routes_load_duration_seconds", nil, 1)
	m.await("routes_refused_total", nil, 0)
	m.await("build_info", labels{"goversion": ""}, 1)
	first, _ := m.value("routes_last_load_timestamp_seconds", nil)

	p.spoil("not: a routes file\n")
	m.await("routes_last_load_success", nil, 0)
	m.await("routes_refused_total", nil, 1)
	m.await("routes", nil, 2)

	p.edit(web + "routes: {one: {match: {path: /1}, respond: {}}}\n")
	m.await("routes", nil, 1)
	m.await("routes_generation", nil, 2)
	m.await("routes_last_load_success", nil, 1)
	m.await("routes_load_duration_seconds", nil, 2)
	if second, _ := m.value("routes_last_load_timestamp_seconds", nil); second < first || first == 0 {
		t.Errorf("loaded at %v, and before that at %v", second, first)
	}
}

// TestMetricsBackends: a backend that is well, one that its probes find down, and one that
// the file drains.
func TestMetricsBackends(t *testing.T) {
	t.Parallel()
	well, sick := newBackend(t, "well"), hangingUp(t)
	p, m := startMetered(t, web+fill(`
pools:
  p:
    backends: {a: {url: "ws://$a", weight: 3}, b: {url: "ws://$b"}, c: {url: "ws://127.0.0.1:9", drain: true}}
    health: {http: {path: /}, interval: 20ms, timeout: 500ms, fails: 1, passes: 1}
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`, map[string]string{"a": well.authority(), "b": sick}))
	a, b, c := labels{"pool": "p", "backend": well.url("ws")}, labels{"pool": "p", "backend": "ws://" + sick}, labels{"pool": "p", "backend": "ws://127.0.0.1:9"}
	p.waitLog("backend down", fields{"backend": "p ws://" + sick})
	m.await("backend_up", a, 1)
	m.await("backend_up", b, 0)
	m.await("backend_up", c, 0)
	m.await("backend_weight", a, 3)
	m.await("backend_weight", b, 0)
	m.awaitSome("probe_duration_seconds", labels{"result": "passed"})
	m.awaitSome("probe_duration_seconds", labels{"result": "failed"})
	m.awaitSome("backend_connect_duration_seconds", a)

	conn := dial(t, p.ws("/"))
	m.await("backend_tunnels", a, 1)
	conn.Close()
	m.await("backend_tunnels", a, 0)
}

// hangingUp is the address of a server that closes every connection.
func hangingUp(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestMetricsEjection: a backend whose handshakes fail is ejected, and up for nobody.
func TestMetricsEjection(t *testing.T) {
	t.Parallel()
	well, sick := newBackend(t, "well"), hangingUp(t)
	p, m := startMetered(t, web+fill(`
pools:
  p:
    balance: round_robin
    backends: {a: {url: "ws://$a"}, b: {url: "ws://$b"}}
    health: {passive: {fails: 1, eject: 1m, at_most: 50%}}
routes:
  all: {match: {path_prefix: /}, to: "pool://p", retry: {others: 1, budget: 100%}}
`, map[string]string{"a": well.authority(), "b": sick}))
	b := labels{"pool": "p", "backend": "ws://" + sick}
	m.await("backend_ejected", b, 0)
	dial(t, p.ws("/"))
	dial(t, p.ws("/"))
	m.await("backend_ejected", b, 1)
	m.await("backend_up", b, 0)
}

// TestMetricsQueue: a request that waits for a place, and the one that has it.
func TestMetricsQueue(t *testing.T) {
	t.Parallel()
	h := held{asked: make(chan struct{}, 2), letGo: make(chan struct{})}
	b := proxytest.Serve(t, h)
	p, m := startMetered(t, web+`
pools: {p: {backends: {b: {url: "ws://`+b.Addr+`", max_requests: 1}}, queue: {length: 9, wait: 1h}}}
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`)
	answers := make(chan reply, 2)
	for range 2 {
		go func() { answers <- get(t, p.http("/")) }()
	}
	<-h.asked
	m.await("queue_length", labels{"pool": "p"}, 1)
	m.await("backend_requests_in_flight", labels{"pool": "p", "backend": "ws://" + b.Addr}, 1)
	for range 2 {
		h.letGo <- struct{}{}
		<-answers
	}
	m.await("queue_length", labels{"pool": "p"}, 0)
	m.await("queue_wait_seconds", labels{"pool": "p"}, 1)
	m.await("backend_requests_in_flight", labels{"pool": "p"}, 0)
}

// TestMetricsDiscovery: when a pool's backends were last found.
func TestMetricsDiscovery(t *testing.T) {
	t.Parallel()
	names := proxytest.NewNameServer(t)
	names.SetAddresses("chat.test.", "127.0.0.1")
	b := newBackend(t, "b")
	_, port, _ := net.SplitHostPort(b.authority())
	_, m := startMetered(t, web+`
pools:
  p: {resolve: {dns: "chat.test:`+port+`", server: "`+names.Addr+`", scheme: ws, every: 20ms}}
routes:
  all: {match: {path_prefix: /}, to: "pool://p"}
`)
	m.awaitSome("discovery_last_success_timestamp_seconds", labels{"pool": "p"})
	m.await("backend_up", labels{"pool": "p", "backend": "ws://127.0.0.1:" + port}, 1)
}

// TestMetricsConnections: connections of a listener, those that are refused, and when its
// certificate ends.
func TestMetricsConnections(t *testing.T) {
	t.Parallel()
	c := proxytest.NewAuthority(t).Issue([]string{"one.test"})
	p, m := startMetered(t, overTLS("", c)+"routes: {echo: {to: \"internal://echo\"}}\n")
	m.await("connections", labels{"listener": "web"}, 0)
	raw := connect(t, p)
	m.await("connections", labels{"listener": "web"}, 1)
	raw.Send("GET / HTTP/1.1\r\n\r\n") // not TLS
	m.await("connections_refused_total", labels{"listener": "web", "cause": "tls"}, 1)
	raw.Close()
	m.await("connections", labels{"listener": "web"}, 0)
	m.awaitSome("certificate_expiry_timestamp_seconds", labels{"listener": "web", "name": "one.test"})

	plain, n := startMetered(t, web+"routes: {echo: {to: \"internal://echo\"}}\n")
	connect(t, plain).Send("GET / HTTP/1.1\r\nHost: a\nb\r\n\r\n")
	n.await("connections_refused_total", labels{"listener": "web", "cause": "bad_request"}, 1)
}

// TestMetricsLogLinesLost: nobody reads the log, and the proxy goes on.
func TestMetricsLogLinesLost(t *testing.T) {
	t.Parallel()
	p := &proxy{t: t, dir: t.TempDir(), log: newLogbook(), exited: make(chan struct{})}
	p.write(routesFile, web+"shutdown: {delay: 0s, window: 0s}\nroutes: {here: {match: {path_prefix: /}, respond: {}}}\n")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary(t), "serve", routesFile, "--admin", "127.0.0.1:0")
	p.cmd.Dir, p.cmd.Stderr = p.dir, writer
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	lines := bufio.NewReader(reader)
	for p.countLog("admin listening", nil) == 0 {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		p.log.add(line)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait() // its error is the status
		p.status = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(p.stop)
	t.Cleanup(func() { reader.Close() })

	m := meterOf(p)
	m.await("log_lines_lost_total", nil, 0)
	long := strings.Repeat("x", 7<<10)
	connection, err := net.Dial("tcp", p.address("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	answers := bufio.NewReader(connection)
	for range 250 {
		fmt.Fprintf(connection, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", long)
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
	}
	m.awaitSome("log_lines_lost_total", nil)
	p.signal(syscall.SIGTERM)
	p.exit()
}

// TestMetricsSeriesLimit: what is beyond the limit is counted together.
func TestMetricsSeriesLimit(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	_, m := startMetered(t, web+`
pools: {p: {backends: {b: {url: "`+b.url("ws")+`"}}}}
routes: {all: {match: {path_prefix: /}, to: "pool://p"}}
`, "--metrics-series", "2")
	m.await("metrics_series_dropped_total", nil, 3)
	if got := m.names(); len(got) == 0 {
		t.Error("nothing is published")
	}
}
