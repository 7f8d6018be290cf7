package cli

// What GET /metrics says of the routes files and of the process.

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
)

// loadCounts are what loads have come to.
type loadCounts struct {
	began   time.Time // of the last build; the reload loop's goroutine alone has it
	times   histogram.Lazy
	refused atomic.Uint64
}

// served notes that what was built last is served.
func (c *loadCounts) served() { c.times.Of(histogram.Waits).Since(c.began) }

// collect is the service's metrics.Source.
func (s *service) collect(m *metrics.Scrape) {
	now := s.loop.Status()
	if table := s.loop.Cell().Load(); table != nil {
		m.Gauge(metrics.Routes, float64(table.Routes()))
		m.Gauge(metrics.RoutesLastLoad, float64(now.LoadedAt.UnixMilli())/1000)
	}
	m.Gauge(metrics.RoutesGeneration, float64(now.Generation))
	success := 1.0
	if now.LastError != nil {
		success = 0
	}
	m.Gauge(metrics.RoutesLastLoadSuccess, success)
	if h := s.loads.times.Get(); h != nil {
		m.Histogram(metrics.RoutesLoads, h)
	}
	m.Counter(metrics.RoutesRefused, float64(s.loads.refused.Load()))
	m.Counter(metrics.LogLinesLost, float64(s.logWriters.linesLost()))
	m.Gauge(metrics.BuildInfo, 1, versionText(), runtime.Version())
}
