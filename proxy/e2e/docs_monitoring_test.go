package e2e

// docs/deploy/monitoring: the dashboard and the alert rules ask for metrics that there are,
// and the rules pass their tests.

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
)

var monitoring = filepath.Join(moduleRoot, "docs", "deploy", "monitoring")

// TestMonitoringAsksForMetrics: every name in the dashboard and the rules is a metric, and
// the dashboard shows them all but build_info, which is for joins.
func TestMonitoringAsksForMetrics(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, m := range metrics.Table {
		there[m.Name()] = true
	}
	shown := map[string]bool{}
	name := regexp.MustCompile(`tunnelform_[a-z_]+`)
	for _, file := range []string{"grafana.json", "alerts.yaml", "alerts_test.yaml"} {
		text, err := os.ReadFile(filepath.Join(monitoring, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range name.FindAllString(string(text), -1) {
			base := found
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !there[found] && !there[base] {
				t.Errorf("%s asks for %s, which there is not", file, found)
			}
			if file == "grafana.json" {
				shown[found], shown[base] = true, true
			}
		}
	}
	for metric := range there {
		if !shown[metric] {
			t.Errorf("the dashboard does not show %s", metric)
		}
	}
}

// TestDashboard: Grafana can import it.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(monitoring, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID    string `json:"uid"`
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" {
			t.Errorf("panel %d %q: the id is not its own, or there is no title", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
	}
	if dashboard.UID == "" || len(ids) < 20 {
		t.Errorf("uid %q, %d panels", dashboard.UID, len(ids))
	}
}

// TestAlertRules: promtool checks the rules, and runs their tests.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on the PATH (Debian's package prometheus has it): the alert rules are not tested")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = monitoring
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestMetricsPromtool: promtool finds nothing to complain of in what a proxy answers.
func TestMetricsPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on the PATH (Debian's package prometheus has it): the metrics are linted without it only")
	}
	p, m := startMetered(t, web+"routes: {echo: {match: {path: /}, to: \"internal://echo\"}}\n")
	echo(t, dial(t, p.ws("/")), "hello")
	get(t, p.http("/"))
	m.await("tunnel_messages_total", labels{"direction": "from_client"}, 1)
	command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	command.Stdin = strings.NewReader(get(t, m.admin+"/metrics").body)
	if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
