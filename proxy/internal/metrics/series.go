package metrics

// The series that are published, and the limit on how many there may be.

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

// otherRoute is the route of what has no series of its own.
const otherRoute = "_other"

// seriesSet is every series of the last scrape. A series that is not written in a scrape is
// forgotten. One beyond the limit has no series of its own as long as it is written: what it
// counts is added to that of the route "_other", or left out where it has no route.
type seriesSet struct {
	limit   int
	limited int // series that count against the limit
	dropped uint64
	known   map[string]*series
	order   []*series // in the order in which they came
	scrape  uint64
	key     []byte // scratch
}

// series is one time series, or all buckets of one histogram, as the client library wants
// it. It is made once, so that a scrape allocates little. It implements prometheus.Metric.
type series struct {
	metric  *Metric
	key     string
	written uint64  // the scrape in which it was last written
	weight  int     // how many series it counts as against the limit; 0: it does not
	into    *series // where its numbers go instead; nil: it has them itself
	lost    bool    // it is beyond the limit and has no route
	kept    float64 // of a counter: what series that are gone have left here

	labels    []*dto.LabelPair
	value     float64
	counter   dto.Counter
	gauge     dto.Gauge
	histogram dto.Histogram
	counts    []uint64 // of a histogram's buckets, not cumulated
	cumulated []uint64
	total     uint64
	sum       float64
}

// Desc implements prometheus.Metric.
func (s *series) Desc() *prometheus.Desc { return s.metric.desc }

// Write implements prometheus.Metric.
func (s *series) Write(to *dto.Metric) error {
	to.Label = s.labels
	switch s.metric.kind {
	case counter:
		to.Counter = &s.counter
	case gauge:
		to.Gauge = &s.gauge
	case distribution:
		s.total = 0
		for i, n := range s.counts {
			s.total += n
			if i < len(s.cumulated) {
				s.cumulated[i] = s.total
			}
		}
		to.Histogram = &s.histogram
	}
	return nil
}

// begin begins a scrape.
func (c *seriesSet) begin() *Scrape {
	c.scrape++
	return &Scrape{c}
}

// end forgets what was not written, and sends the rest.
func (c *seriesSet) end(to chan<- prometheus.Metric) {
	c.order = slices.DeleteFunc(c.order, func(s *series) bool {
		if s.written == c.scrape || s.kept > 0 {
			return false
		}
		delete(c.known, s.key)
		if s.into == nil && !s.lost {
			c.limited -= s.weight
		} else if s.into != nil && s.metric.kind == counter {
			s.into.kept += s.value // or the counter of all would fall
			s.into.value += s.value
		}
		return true
	})
	for _, s := range c.order {
		if s.into == nil && !s.lost {
			to <- s
		}
	}
}

// find returns the series with these values of the metric's labels, ready to be written.
func (c *seriesSet) find(m *Metric, values []string) *series {
	if len(values) != len(m.labels) {
		panic("metrics: " + m.name + " has other labels")
	}
	c.key = append(c.key[:0], m.name...)
	for _, v := range values {
		c.key = append(append(c.key, 0xff), v...) // which no UTF-8 has
	}
	s := c.known[string(c.key)]
	if s == nil {
		s = c.add(m, values)
	}
	c.touch(s)
	return s
}

// touch prepares a series for the numbers of this scrape.
func (c *seriesSet) touch(s *series) {
	if s.into != nil {
		c.touch(s.into)
	}
	if s.written != c.scrape {
		s.written, s.value, s.sum = c.scrape, s.kept, 0
		clear(s.counts)
	}
}

func (c *seriesSet) add(m *Metric, values []string) *series {
	s := newSeries(m, string(c.key), values)
	s.weight = m.weight()
	if i := m.route(); i >= 0 && (values[i] == otherRoute || values[i] == "") { // few by nature
		s.weight = 0
	}
	if s.weight > 0 && c.limited+s.weight > c.limit {
		c.dropped += uint64(s.weight)
		if s.lost = m.route() < 0; !s.lost {
			s.into = c.find(m, m.other(values))
		}
	} else {
		c.limited += s.weight
	}
	c.known[s.key] = s
	c.order = append(c.order, s)
	return s
}

func newSeries(m *Metric, key string, values []string) *series {
	s := &series{metric: m, key: key, labels: make([]*dto.LabelPair, len(values))}
	for i, v := range values {
		s.labels[i] = &dto.LabelPair{Name: &m.labels[i], Value: &v}
	}
	slices.SortFunc(s.labels, func(a, b *dto.LabelPair) int {
		if a.GetName() < b.GetName() {
			return -1
		}
		return 1
	})
	s.counter.Value, s.gauge.Value = &s.value, &s.value
	if m.kind == distribution {
		s.counts, s.cumulated = make([]uint64, len(m.layout)+1), make([]uint64, len(m.layout))
		s.histogram.SampleCount, s.histogram.SampleSum = &s.total, &s.sum
		for i := range m.layout {
			s.histogram.Bucket = append(s.histogram.Bucket, &dto.Bucket{UpperBound: &m.layout[i], CumulativeCount: &s.cumulated[i]})
		}
	}
	return s
}

// Scrape is what the sources write into. Two numbers for one series are added.
type Scrape struct{ *seriesSet }

// Counter writes a counter. The values are of the metric's labels, in their order.
func (s *Scrape) Counter(m *Metric, v float64, values ...string) { s.write(m, counter, v, values) }

// Gauge writes a gauge.
func (s *Scrape) Gauge(m *Metric, v float64, values ...string) { s.write(m, gauge, v, values) }

func (s *Scrape) write(m *Metric, k kind, v float64, values []string) {
	if m.kind != k {
		panic("metrics: " + m.name + " is of another kind")
	}
	n := s.find(m, values)
	n.value += v
	if n.into != nil {
		n.into.value += v
	}
}

// Histogram writes a histogram, which has the metric's layout.
func (s *Scrape) Histogram(m *Metric, h *histogram.Histogram, values ...string) {
	n := s.find(m, values)
	if n.into != nil {
		n = n.into
	}
	n.sum += h.AddTo(n.counts)
}

// Counts writes a histogram of so many values in each bucket of the metric's layout.
func (s *Scrape) Counts(m *Metric, counts []uint64, sum float64, values ...string) {
	n := s.find(m, values)
	if n.into != nil {
		n = n.into
	}
	for i, c := range counts {
		n.counts[i] += c
	}
	n.sum += sum
}
