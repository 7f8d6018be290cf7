package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// plannedRoute is a route as Terraform plans it.
func plannedRoute(t *testing.T, r *recordResource, name string, keys routefile.Plain) record {
	t.Helper()
	object := schemaOf(t, r).Type().TerraformType(t.Context())
	values := members(recordValue(r.section, object, keys))
	values[nameAttribute] = tftypes.NewValue(tftypes.String, name)
	rec, err := r.read(tftypes.NewValue(object, values))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// shiftedRoutes is a file of n routes, each with a path of its own.
func shiftedRoutes(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  r%d: {match: {path: /%d}, respond: {status: 204}}\n", i, i)
	}
	return b.String()
}

// A conflict is judged by the plans that the check saw.
func TestLaterPlanIsNoConflict(t *testing.T) {
	s := newTestSession(t, shiftedRoutes(2))
	r := newRoute().(*recordResource)
	doc, err := s.reader.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name, path string) record {
		rec := plannedRoute(t, r, name, respond(path))
		file, all := rec.checkStandalone(t.Context())
		if len(all) > 0 || !s.plan.claim(rec.id, &plannedRecord{file: file, priorName: name}) {
			t.Fatalf("route %q cannot be planned: %v", name, all)
		}
		return rec
	}
	first := claim("r0", "/1")
	check, _ := s.plan.check(t.Context(), doc)
	claim("r1", "/2")
	if len(check.problems) != 1 {
		t.Fatalf("problems %v, want the conflict with r1 in the file", check.problems)
	}
	if d := check.diagnose(first, check.problems[0]); d.Severity() != diag.SeverityWarning {
		t.Errorf("got the error %s: %s, want a warning", d.Summary(), d.Detail())
	}
	claim("r1", "/1")
	check, _ = s.plan.check(t.Context(), doc)
	for _, mistake := range check.problems {
		if d := check.diagnose(first, mistake); d.Severity() != diag.SeverityError {
			t.Errorf("got the warning %s for two plans that conflict", d.Summary())
		}
	}
}
