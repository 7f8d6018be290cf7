// Package metrics publishes what the proxy counts, for Prometheus.
//
// The table (table.go) lists every metric; docs/metrics.md is made of it. What is counted
// stays in the rooms that count it, except what has a route: that is here (routes.go),
// because it outlives a Table. At a scrape each source writes its numbers into a [Scrape],
// which keeps the limit of series (series.go). The client library is behind this package.
package metrics

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Source writes the present numbers into a scrape. It is called by one goroutine at a time.
type Source func(*Scrape)

// Exporter answers GET /metrics.
type Exporter struct {
	slots    chan struct{} // a token for each scrape that runs or is being sent
	registry *prometheus.Registry

	mu     sync.Mutex // guards series, and is held for a whole scrape: the library reads what the series point to
	series seriesSet
	source []Source // constant after New
}

// maxScrapes bounds the scrapes at once, each with its answer in memory.
const maxScrapes = 8

// New returns an Exporter of the sources, the Go runtime and the process. limit is how many
// series with a route or a pool there may be.
func New(limit int, sources ...Source) *Exporter {
	e := &Exporter{
		slots:    make(chan struct{}, maxScrapes),
		registry: prometheus.NewRegistry(),
		series:   seriesSet{limit: limit, known: make(map[string]*series)},
		source:   sources,
	}
	e.registry.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(to chan<- *prometheus.Desc) {
	for _, m := range Table {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector. Gather is called with e.mu.
func (e *Exporter) Collect(to chan<- prometheus.Metric) {
	s := e.series.begin()
	for _, source := range e.source {
		source(s)
	}
	s.Counter(SeriesDropped, float64(e.series.dropped))
	e.series.end(to)
}

// ServeHTTP answers a scrape. The answer is made before any of it is sent, so that a slow
// reader holds up no other scrape.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	body, err := e.encode(format)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", string(format))
	h.Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		_, _ = zip.Write(body)
		_ = zip.Close()
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func (e *Exporter) encode(format expfmt.Format) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	families, err := e.registry.Gather()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	to := expfmt.NewEncoder(&body, format)
	for _, family := range families {
		if err := to.Encode(family); err != nil {
			return nil, err
		}
	}
	if closer, ok := to.(expfmt.Closer); ok { // of OpenMetrics
		err = closer.Close()
	}
	return body.Bytes(), err
}
