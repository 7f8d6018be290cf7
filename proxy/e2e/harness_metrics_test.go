package e2e

// What GET /metrics says of the proxy under test.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// meter asks a proxy for its metrics.
type meter struct {
	t     testing.TB
	admin string // its URL
}

// startMetered is start with the admin API, and more arguments to serve.
func startMetered(t testing.TB, routes string, more ...string) (*proxy, meter) {
	t.Helper()
	args := append([]string{routesFile, "--admin", "127.0.0.1:0"}, more...)
	p := startFiles(t, map[string]string{routesFile: routes}, args...)
	return p, meterOf(p)
}

func meterOf(p *proxy) meter {
	p.t.Helper()
	return meter{p.t, "http://" + p.waitLog("admin listening", nil).text("address")}
}

func (m meter) families() map[string]*dto.MetricFamily {
	m.t.Helper()
	got := get(m.t, m.admin+"/metrics")
	if got.status != 200 {
		m.t.Fatalf("GET /metrics: %d %s", got.status, got.body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(got.body))
	if err != nil {
		m.t.Fatalf("GET /metrics: %v", err)
	}
	return families
}

// labels are those that a series must have; others do not matter.
type labels map[string]string

func (l labels) match(series *dto.Metric) bool {
	for name, want := range l {
		has := slices.ContainsFunc(series.Label, func(p *dto.LabelPair) bool { return p.GetName() == name && p.GetValue() == want })
		if !has && want != "" {
			return false
		}
	}
	return true
}

// value is the sum of the series of a metric, named without its prefix, with these labels:
// of histograms how many values they have. there is false where no series has them.
func (m meter) value(name string, l labels) (sum float64, there bool) {
	m.t.Helper()
	return valueOf(m.families(), name, l)
}

func valueOf(families map[string]*dto.MetricFamily, name string, l labels) (sum float64, there bool) {
	for _, series := range families["tunnelform_"+name].GetMetric() {
		if l.match(series) {
			there = true
			sum += series.GetCounter().GetValue() + series.GetGauge().GetValue() + float64(series.GetHistogram().GetSampleCount())
		}
	}
	return sum, there
}

// await waits until the sum of these series is want.
func (m meter) await(name string, l labels, want float64) {
	m.t.Helper()
	m.awaitThat(name, l, fmt.Sprint(want), func(got float64) bool { return got == want })
}

// awaitSome waits until the sum of these series is more than 0.
func (m meter) awaitSome(name string, l labels) {
	m.t.Helper()
	m.awaitThat(name, l, "more than 0", func(got float64) bool { return got > 0 })
}

func (m meter) awaitThat(name string, l labels, want string, holds func(float64) bool) {
	m.t.Helper()
	eventually(m.t, func() (bool, string) {
		families := m.families()
		got, there := valueOf(families, name, l)
		return there && holds(got), fmt.Sprintf("%s%v is %v, wanted %s; there are %v", name, l, got, want, families["tunnelform_"+name].GetMetric())
	})
}

// awaitNone waits until no series of the metric has these labels.
func (m meter) awaitNone(name string, l labels) {
	m.t.Helper()
	eventually(m.t, func() (bool, string) {
		got, there := m.value(name, l)
		return !there, fmt.Sprintf("%s%v is %v, wanted none", name, l, got)
	})
}

// names are those of all metrics of the proxy's own that have a series.
func (m meter) names() (names []string) {
	m.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(m.families())) {
		if ours, ok := strings.CutPrefix(name, "tunnelform_"); ok {
			names = append(names, ours)
		}
	}
	return names
}
