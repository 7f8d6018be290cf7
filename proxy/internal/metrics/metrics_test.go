package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const page = "../../../docs/metrics.md"

// TestPage holds docs/metrics.md to the table.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(pageHead)
	last := section("")
	for _, m := range Table {
		if m.section != last {
			fmt.Fprintf(&b, "\n## %s\n\n| metric | kind | labels | |\n|---|---|---|---|\n", m.section)
			last = m.section
		}
		labels := "`" + strings.Join(m.labels, "`, `") + "`"
		if len(m.labels) == 0 {
			labels = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name(), m.kind, labels, m.help)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, b.Bytes()) {
		t.Errorf("%s is not what the table says: go test ./proxy/internal/metrics -run TestPage -update", page)
	}
}

const pageHead = `# Metrics

Printed by TestPage from ` + "`proxy/internal/metrics/table.go`" + `, and checked by it; do not edit.

` + "`GET /metrics`" + ` on the [admin API](admin.md) answers in the text format of Prometheus, or as
OpenMetrics where it is asked for. The metrics of the Go runtime and of the process (` + "`go_*`" + `,
` + "`process_*`" + `) are there, too.

[deploy/monitoring](deploy/monitoring) has a [dashboard for Grafana](deploy/monitoring/grafana.json)
and [alert rules](deploy/monitoring/alerts.yaml) with their [tests](deploy/monitoring/alerts_test.yaml).
A scrape job is

` + "```" + `yml
scrape_configs:
  - job_name: tunnelform
    static_configs: [{targets: ["127.0.0.1:9901"]}]
` + "```" + `

Labels come from the routes file (` + "`route`, `pool`, `backend`, `listener`" + `) and from small fixed sets.
No label is a client's address, a path, a user or a tunnel's id. ` + "`backend`" + ` is its URL.
Histograms have a listener and an empty route. A route with ` + "`metrics: {histograms: true}`" + ` has its
own, and is not in those of the empty route, so that the sum is still all of them.
A series with a route exists from its first request on, and ends when the route is gone and its
last tunnel has ended; that of a pool or a listener ends with it. A counter begins at 0 when the
process does.

There are at most as many series with a route or a pool as ` + "`serve --metrics-series`" + ` says, 50,000 by
default. What is beyond is counted under the route ` + "`_other`" + `, or left out where there is no route;
` + "`tunnelform_metrics_series_dropped_total`" + ` says how many series that concerns.
`

// everything writes one series of each metric, with n different routes and pools.
func everything(n int) Source {
	h := histogram.New(nil)
	return func(s *Scrape) {
		for i := range n {
			for _, m := range Table {
				if m == SeriesDropped {
					continue
				}
				values := make([]string, len(m.labels))
				for j := range values {
					values[j] = "v" + strconv.Itoa(i)
				}
				switch {
				case m.kind == counter:
					s.Counter(m, float64(i), values...)
				case m.kind == gauge:
					s.Gauge(m, float64(i), values...)
				default:
					h = histogram.New(m.layout)
					h.Observe(1)
					s.Histogram(m, h, values...)
				}
			}
		}
	}
}

func TestLint(t *testing.T) {
	e := New(1000, everything(2))
	problems, err := testutil.GatherAndLint(e.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestTableIsWritten: every row has a help text that is a sentence, and no two have a name
// in common.
func TestTableIsWritten(t *testing.T) {
	names := map[string]bool{}
	for _, m := range Table {
		if names[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		names[m.name] = true
		if !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: the help is not a sentence: %q", m.name, m.help)
		}
		if (m.kind == distribution) != (m.layout != nil) {
			t.Errorf("%s is a %s with the layout %v", m.name, m.kind, m.layout)
		}
	}
}

// scrape asks for the text format, and returns the lines that begin with the prefix, without it.
func scrape(t *testing.T, e *Exporter) string {
	t.Helper()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if ours, ok := strings.CutPrefix(line, prefix); ok && !strings.HasPrefix(ours, "metrics_") {
			lines = append(lines, ours)
		}
	}
	return strings.Join(lines, "")
}

// rowsOf adds rows to the table until the test ends.
func rowsOf(t *testing.T, rows func()) {
	t.Helper()
	before := Table
	t.Cleanup(func() { Table = before })
	Table = append([]*Metric(nil), before...)
	rows()
}

func TestSeriesEnd(t *testing.T) {
	var there *Metric
	rowsOf(t, func() { there = ofProcess.gauge("there", "listener", "For a test.") })
	names := []string{"a", "b"}
	e := New(10, func(s *Scrape) {
		for i, name := range names {
			s.Gauge(there, float64(i), name)
		}
	})
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"a", "b"}, "there{listener=\"a\"} 0\nthere{listener=\"b\"} 1\n"},
		{[]string{"b"}, "there{listener=\"b\"} 0\n"},
		{nil, ""},
		{[]string{"a"}, "there{listener=\"a\"} 0\n"},
	} {
		names = tt.names
		if got := scrape(t, e); got != tt.want {
			t.Errorf("with %q: %q, want %q", tt.names, got, tt.want)
		}
	}
}

// TestLimit: series beyond the limit go to the route _other, stay there, and the sum of all
// never falls.
func TestLimit(t *testing.T) {
	var of, pools, times *Metric
	rowsOf(t, func() {
		of = ofProcess.counter("of_total", "route backend cause", "For a test.")
		pools = ofProcess.gauge("pools_here", "pool", "For a test.")
		times = ofProcess.histogram("times_seconds", histogram.Layout{1}, "route", "For a test.")
	})
	routes := []string{"a", "b", "c", "d"}
	h := histogram.New(histogram.Layout{1})
	e := New(2, func(s *Scrape) {
		for _, name := range routes {
			s.Counter(of, 10, name, "ws://"+name, "x")
		}
		if len(routes) == 4 {
			h.Observe(0.5)
			s.Histogram(times, h, "a") // which has four series
			s.Gauge(pools, 1, "p")
		}
	})
	for range 2 {
		got := scrape(t, e)
		for _, want := range []string{
			`of_total{backend="ws://a",cause="x",route="a"} 10`, `of_total{backend="ws://b",cause="x",route="b"} 10`,
			`of_total{backend="_other",cause="x",route="_other"} 20`, `times_seconds_bucket{route="_other",le="1"}`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if strings.Contains(got, "pools_here") {
			t.Errorf("a pool's series beyond the limit is published:\n%s", got)
		}
		if e.series.dropped != 2+4+1 {
			t.Errorf("%d series dropped, want 7", e.series.dropped)
		}
	}
	routes = []string{"b", "c"} // d is gone, and what it counted is not; a has made room
	want := "of_total{backend=\"_other\",cause=\"x\",route=\"_other\"} 20\nof_total{backend=\"ws://b\",cause=\"x\",route=\"b\"} 10\n"
	for range 2 {
		if got := scrape(t, e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	routes = []string{"b", "c", "e"}
	if got := scrape(t, e); !strings.Contains(got, `route="e"`) {
		t.Errorf("there is room for e:\n%s", got)
	}
}

// TestTooManyScrapes: one more than may run at once is refused, and counts for nothing.
func TestTooManyScrapes(t *testing.T) {
	e := New(10)
	for range maxScrapes {
		e.slots <- struct{}{}
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 503 {
		t.Errorf("%d for one scrape too many, want 503", w.Code)
	}
	<-e.slots
	w = httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Errorf("%d when one has ended, want 200", w.Code)
	}
}

// BenchmarkScrape is of 10,000 series of ours.
func BenchmarkScrape(b *testing.B) {
	names := make([]string, 2500)
	for i := range names {
		names[i] = "pool-" + strconv.Itoa(i)
	}
	e := New(50000, func(s *Scrape) {
		for _, name := range names {
			s.Gauge(BackendUp, 1, name, "ws://10.0.0.1:9000")
			s.Gauge(BackendWeight, 1, name, "ws://10.0.0.1:9000")
			s.Gauge(BackendTunnels, 1, name, "ws://10.0.0.1:9000")
			s.Gauge(BackendRequests, 1, name, "ws://10.0.0.1:9000")
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/series")
}
