package provider

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// plansToTry is how often a plan is repeated: few times, unless TUNNELFORM_PLANS says more.
func plansToTry(few int) int {
	if n, err := strconv.Atoi(os.Getenv("TUNNELFORM_PLANS")); err == nil {
		return n
	}
	return few
}

// planAll plans routes as Terraform does, many at once and in any order, and returns the
// errors and warnings.
func planAll(t *testing.T, s spoken, routes []plannedRouteChange) (errors, warnings []string) {
	t.Helper()
	schema := s.schemas.ResourceSchemas["tunnelform_route"]
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 50)
	for _, i := range rand.Perm(len(routes)) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			resp, err := s.PlanResourceChange(t.Context(), routes[i].request(t, schema))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errors = append(errors, err.Error())
				return
			}
			for _, d := range resp.Diagnostics {
				if line := d.Summary + ": " + d.Detail; d.Severity == tfprotov6.DiagnosticSeverityError {
					errors = append(errors, line)
				} else {
					warnings = append(warnings, line)
				}
			}
		})
	}
	wg.Wait()
	return errors, warnings
}

// plannedRouteChange is a change of a route's path.
type plannedRouteChange struct{ name, before, after string }

func (one plannedRouteChange) request(t *testing.T, schema *tfprotov6.Schema) *tfprotov6.PlanResourceChangeRequest {
	typ := schema.ValueType()
	value := func(path string, computed bool) *tfprotov6.DynamicValue {
		keys := respond(path)
		all := members(recordValue(routefile.InRoutes, typ, keys))
		all[nameAttribute] = text(one.name)
		if computed {
			all[revisionAttribute] = text(routefile.InRoutes.Fingerprint(keys))
		}
		v, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, all))
		if err != nil {
			t.Error(err)
		}
		return &v
	}
	return &tfprotov6.PlanResourceChangeRequest{TypeName: "tunnelform_route", PriorState: value(one.before, true),
		ProposedNewState: value(one.after, true), Config: value(one.after, false)}
}

// A plan has the same result each time, whatever the order of its records: routes whose
// paths shift by one conflict with what the others leave.
func TestPlanIsRepeatable(t *testing.T) {
	plans := plansToTry(10)
	for _, tt := range []struct {
		routes int
		want   string // the only error; "" for none
	}{
		{40, "Too many records take each other's places: "},
		{7, ""},
	} {
		file, _ := routesFile(t, shiftedRoutes(tt.routes))
		var changes []plannedRouteChange
		for i := range tt.routes {
			changes = append(changes, plannedRouteChange{fmt.Sprintf("r%d", i), fmt.Sprintf("/%d", i), fmt.Sprintf("/%d", i+1)})
		}
		for range plans {
			errors, _ := planAll(t, speak(t, map[string]tftypes.Value{"file": text(file)}), changes)
			if len(errors) > 1 || len(errors) == 1 && (tt.want == "" || !strings.HasPrefix(errors[0], tt.want)) || len(errors) == 0 && tt.want != "" {
				t.Fatalf("%d routes: errors %q, want %q alone", tt.routes, errors, tt.want)
			}
		}
	}
}

// The same with Terraform.
func TestAccPlanIsRepeatable(t *testing.T) {
	acceptance(t)
	plans := plansToTry(2)
	for _, tt := range []struct {
		routes int
		fails  string
	}{
		{40, "Too many records take each other's places"},
		{7, ""},
	} {
		t.Run(fmt.Sprint(tt.routes), func(t *testing.T) {
			w := newWorkspace(t, "")
			file := filepath.Join(w.dir, "routes.yaml")
			writeFile(t, file, noRoutes)
			config := func(shift int) string {
				name, path := func(i int) string { return fmt.Sprintf("r%d", i) }, func(i int) string { return fmt.Sprintf("/%d", i+shift) }
				return providerBlock(file) + keyedRoutes(path, name, tt.routes)
			}
			w.write(config(0))
			w.must("apply", "-auto-approve")
			w.write(config(1))
			for range plans {
				if tt.fails == "" {
					w.must("plan", "-parallelism=50")
				} else if out := w.fails(tt.fails, "plan", "-parallelism=50"); strings.Count(out, "Error:") != 1 {
					t.Fatalf("want one error, got\n%s", out)
				}
			}
		})
	}
}
