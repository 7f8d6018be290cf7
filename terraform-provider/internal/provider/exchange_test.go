package provider

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// update changes a route's name and path.
func update(prior, priorPath, name, path string) change {
	return change{id: recordID{routefile.InRoutes, name}, priorName: prior, prior: respond(priorPath), desired: respond(path)}
}

func deletion(name, path string) change {
	return change{id: recordID{routefile.InRoutes, name}, priorName: name, prior: respond(path)}
}

// pathsIn has the path of each route of a file.
func pathsIn(t *testing.T, file string) string {
	t.Helper()
	f, _ := routefile.Parse(file, []byte(readFile(t, file)))
	if errs := routefile.Check(f); len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []string
	for name, r := range f.Routes {
		all = append(all, name+r.Match.Path)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Records that take each other's places are written at once.
func TestExchange(t *testing.T) {
	const before = "version: 1\nroutes:\n" +
		"  a: {match: {path: /1}, respond: {status: 204}} # of a\n" +
		"  b: {match: {path: /2}, respond: {status: 204}} # of b\n" +
		"  c: {match: {path: /3}, respond: {status: 204}} # of c\n"
	for _, tt := range []struct {
		name    string
		changes []change
		want    string
		has     string
	}{
		{"two paths", []change{update("a", "/1", "a", "/2"), update("b", "/2", "b", "/1")}, "a/2 b/1 c/3", "# of c"},
		{"two names", []change{update("a", "/1", "b", "/1"), update("b", "/2", "a", "/2")}, "a/2 b/1 c/3", "# of c"},
		{"three names", []change{update("a", "/1", "b", "/1"), update("b", "/2", "c", "/2"), update("c", "/3", "a", "/3")}, "a/3 b/1 c/2", ""},
		{"names and paths", []change{update("a", "/1", "b", "/2"), update("b", "/2", "a", "/1")}, "a/1 b/2 c/3", "# of c"},
		{"a chain of names", []change{update("a", "/1", "b", "/1"), update("b", "/2", "d", "/2")}, "b/1 c/3 d/2", "# of c"},
		{"a name that goes", []change{creation("a", "/9"), deletion("a", "/1")}, "a/9 b/2 c/3", "# of c"},
		{"a name that goes is taken by a rename", []change{update("b", "/2", "a", "/2"), deletion("a", "/1")}, "a/2 c/3", "# of c"},
		{"a path that goes", []change{creation("d", "/1"), deletion("a", "/1")}, "b/2 c/3 d/1", "  d: {match: {path: /1}, respond: {status: 204}} # of a"},
		{"a path that goes to another target", []change{{id: recordID{routefile.InRoutes, "d"}, desired: routefile.Plain{"match": routefile.Plain{"path": "/1"}, "to": "internal://echo"}}, deletion("a", "/1")}, "b/2 c/3 d/1", "# of c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestSession(t, before)
			s.clashWait = time.Minute
			for i, err := range applyAll(t, s, tt.changes...) {
				if err != nil {
					t.Errorf("%s: %v", tt.changes[i].id, err)
				}
			}
			if got := pathsIn(t, s.file); got != tt.want || !strings.Contains(readFile(t, s.file), tt.has) {
				t.Errorf("routes %s, want %s; the file holds\n%s\nwant it to have %q", got, tt.want, readFile(t, s.file), tt.has)
			}
		})
	}
}

// A new route takes the place of one that its plan deletes before the deletion is under
// way, if that one is as it was planned; if it is not served, that one is back.
func TestSuccession(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /1}, respond: {status: 204}} # of a\n"
	succession := func(on routefile.Plain) change {
		return change{id: recordID{routefile.InRoutes, "b"}, desired: respond("/1"), succeeds: "a", plannedOn: routefile.InRoutes.Fingerprint(on)}
	}
	s := newTestSession(t, before)
	if err := applyAll(t, s, succession(respond("/1")))[0]; err != nil {
		t.Fatal(err)
	}
	if got, want := readFile(t, s.file), strings.Replace(before, " a:", " b:", 1); got != want {
		t.Errorf("the file holds\n%s\nwant\n%s", got, want)
	}
	if err := applyAll(t, s, deletion("a", "/1"))[0]; err != nil {
		t.Errorf("the deletion, later: %v", err)
	}

	s = newTestSession(t, before)
	if err := applyAll(t, s, succession(respond("/2")))[0]; err == nil || readFile(t, s.file) != before {
		t.Errorf("a route that has changed: error %v and\n%s\nwant an error, and the file as it was", err, readFile(t, s.file))
	}

	p := newFakeProxy(t)
	p.outcome = pending
	s = newTestSession(t, before, withAdmin(p.address), withWait("50ms", "all"))
	if err := applyAll(t, s, succession(respond("/1")))[0]; err == nil || readFile(t, s.file) != before {
		t.Errorf("not served: error %v and\n%s\nwant an error, and the file as it was", err, readFile(t, s.file))
	}
}

// The plan tells Create which route it succeeds.
func TestSuccessionIsPlanned(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /1}, respond: {status: 204}} # of a\n"
	file, _ := routesFile(t, before)
	s := speak(t, map[string]tftypes.Value{"file": text(file), "clash_wait": text("0s")})
	schema := s.schemas.ResourceSchemas["tunnelform_route"]
	typ := schema.ValueType()
	gone, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, nil))
	if err != nil {
		t.Fatal(err)
	}
	old := plannedRouteChange{"a", "/1", "/1"}.request(t, schema)
	old.Config, old.ProposedNewState = &gone, &gone
	created := plannedRouteChange{"b", "/1", "/1"}.request(t, schema)
	created.PriorState, created.ProposedNewState = &gone, created.Config
	if _, err := s.PlanResourceChange(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	plan, err := s.PlanResourceChange(t.Context(), created)
	if err != nil || len(plan.PlannedPrivate) == 0 {
		t.Fatalf("no private data: %v, %v", err, plan)
	}
	later := speak(t, map[string]tftypes.Value{"file": text(file), "clash_wait": text("0s")}) // the process of the apply
	resp, err := later.ApplyResourceChange(t.Context(), &tfprotov6.ApplyResourceChangeRequest{TypeName: "tunnelform_route",
		PriorState: &gone, PlannedState: plan.PlannedState, Config: created.Config, PlannedPrivate: plan.PlannedPrivate, PlannedIdentity: plan.PlannedIdentity})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatalf("%v, %v", err, resp.Diagnostics)
	}
	if got, want := readFile(t, file), strings.Replace(before, " a:", " b:", 1); got != want {
		t.Errorf("the file holds\n%s\nwant\n%s", got, want)
	}
}

// An exchange that a proxy rejects is taken back.
func TestExchangeIsRolledBack(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /1}, respond: {status: 204}}\n  b: {match: {path: /2}, respond: {status: 204}}\n"
	p := newFakeProxy(t)
	p.outcome = func(_ context.Context, revision string) statusapi.Status {
		return rejects(statusapi.Mistake{Text: "no"})(nil, revision)
	}
	s := newTestSession(t, before, withAdmin(p.address))
	s.clashWait = time.Minute
	for _, err := range applyAll(t, s, update("a", "/1", "b", "/1"), update("b", "/2", "a", "/2")) {
		if !strings.Contains(errorText(err), "no") {
			t.Errorf("error %v, want the rejection", err)
		}
	}
	if got := readFile(t, s.file); got != before {
		t.Errorf("the file holds\n%s\nwant\n%s", got, before)
	}
}

// A record that frees no place, as its own change is refused, holds the others back.
func TestExchangeWithRefused(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /1}, respond: {status: 204}}\n  b: {match: {path: /2}, respond: {status: 201}}\n"
	s := newTestSession(t, before)
	errs := applyAll(t, s, update("a", "/1", "b", "/1"), update("b", "/2", "c", "/2")) // b was changed by hand
	if got := errorText(errs[0]); !strings.Contains(got, "in the routes file already") || !strings.Contains(got, "No other change of this run has resolved it within 0s") {
		t.Errorf("error %q, want that the name is taken, and that it was waited for", got)
	}
	if got := errorText(errs[1]); !strings.Contains(got, "was changed outside of Terraform") {
		t.Errorf("error %q, want that it was changed", got)
	}
	if got := readFile(t, s.file); got != before {
		t.Errorf("the file holds\n%s\nwant\n%s", got, before)
	}
}

// A plan may exchange as many records as Terraform has under way.
func TestExchangeLimit(t *testing.T) {
	planned := func(n int, add func(ps *planState, doc *document, i int) bool) (errors int) {
		s := newTestSession(t, shiftedRoutes(n))
		doc, err := s.reader.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if add(s.plan, doc, i) {
				errors++
			}
		}
		return errors
	}
	name := func(i int) string { return fmt.Sprintf("r%d", i) }
	match := func(i int) string { return matchOf(respond(fmt.Sprintf("/%d", i))) }
	for _, tt := range []struct {
		name string
		most int
		add  func(ps *planState, doc *document, i int) bool
	}{
		{"shifted paths", 8, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), name(i), match(i+1)).HasError()
		}},
		{"shifted names", 8, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), name(i+1), match(i)).HasError()
		}},
		{"new names", 4, func(ps *planState, doc *document, i int) bool {
			created := ps.addToExchange(doc, routefile.InRoutes, "", "new"+name(i), match(i)).HasError()
			return ps.addToExchange(doc, routefile.InRoutes, name(i), "", "").HasError() || created
		}},
		{"renamed in place", 1000, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), "new"+name(i), match(i)).HasError()
		}},
		{"changed in place", 1000, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), name(i), match(i+1000)).HasError()
		}},
		{"unknown matches", 1000, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), name(i), "").HasError()
		}},
		{"destroyed", 1000, func(ps *planState, doc *document, i int) bool {
			return ps.addToExchange(doc, routefile.InRoutes, name(i), "", "").HasError()
		}},
	} {
		if got := planned(min(tt.most, 100), tt.add); got != 0 {
			t.Errorf("%s: %d errors for %d records, want none", tt.name, got, min(tt.most, 100))
		}
		if got := planned(40, tt.add); tt.most < 40 && got != 1 {
			t.Errorf("%s: %d errors for 40 records, want one", tt.name, got)
		}
	}
	if got := planned(9, func(ps *planState, doc *document, i int) bool {
		return ps.addToExchange(doc, routefile.InRoutes, name(i), name(i), match(i+1)).HasError()
	}); got != 1 {
		t.Errorf("%d errors for 9 records, want one", got)
	}
}

func keyedRoutes(pathOf func(i int) string, nameOf func(i int) string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "resource \"tunnelform_route\" \"r%d\" {\n  name = %q\n  match { path = %q }\n  respond { status = 204 }\n}\n", i, nameOf(i), pathOf(i))
	}
	return b.String()
}

func TestAccExchange(t *testing.T) {
	acceptance(t)
	plain := func(prefix string, shift, n int) func(int) string {
		return func(i int) string { return fmt.Sprintf("%s%d", prefix, (i+shift)%n) }
	}
	for _, tt := range []struct {
		name          string
		n             int
		before, after func(n int) string
		args          []string
		want          string // in the error of the plan; "" for none
		fails         string // in the error of the apply; "" for none
	}{
		{"paths in a ring", 8, func(n int) string { return keyedRoutes(plain("/", 0, n), plain("n", 0, n), n) },
			func(n int) string { return keyedRoutes(plain("/", 1, n), plain("n", 0, n), n) }, nil, "", ""},
		{"names in a ring", 8, func(n int) string { return keyedRoutes(plain("/", 0, n), plain("n", 0, n), n) },
			func(n int) string { return keyedRoutes(plain("/", 0, n), plain("n", 1, n), n) }, nil, "", ""},
		{"keys renamed without moved", 4, func(n int) string { return providerRoutes("a", n) },
			func(n int) string { return providerRoutes("b", n) }, nil, "", ""},
		{"paths shifted", 40, func(n int) string { return keyedRoutes(plain("/", 0, 2*n), plain("n", 0, n), n) },
			func(n int) string { return keyedRoutes(plain("/", 1, 2*n), plain("n", 0, n), n) }, nil, "Too many records take each other's places", ""},
		{"many keys renamed without moved", 40, func(n int) string { return providerRoutes("a", n) },
			func(n int) string { return providerRoutes("b", n) }, nil, "Too many records take each other's places", ""},
		{"two paths, one by one", 2, func(n int) string { return keyedRoutes(plain("/", 0, n), plain("n", 0, n), n) },
			func(n int) string { return keyedRoutes(plain("/", 1, n), plain("n", 0, n), n) }, []string{"-parallelism=1"}, "", "both must be under way at once"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkspace(t, "")
			file := filepath.Join(t.TempDir(), "routes.yaml")
			writeFile(t, file, noRoutes)
			wait := "1m"
			if tt.fails != "" {
				wait = "500ms"
			}
			provider := providerBlock(file, fmt.Sprintf("clash_wait = %q", wait))
			w.write(provider + tt.before(tt.n))
			w.must("apply", "-auto-approve")
			w.write(provider + tt.after(tt.n))
			if tt.want != "" {
				if out := w.fails(tt.want, "plan"); strings.Count(out, "Error:") != 1 {
					t.Errorf("want one error, got\n%s", out)
				}
				return
			}
			args := append([]string{"apply", "-auto-approve"}, tt.args...)
			if tt.fails != "" {
				w.fails(tt.fails, args...)
				return
			}
			w.must(args...)
			if out := w.must("plan"); !strings.Contains(out, "No changes.") {
				t.Errorf("the next plan is not empty:\n%s", out)
			}
		})
	}
}

// providerRoutes are routes by for_each whose keys begin with a prefix.
func providerRoutes(prefix string, n int) string {
	return fmt.Sprintf("resource \"tunnelform_route\" \"all\" {\n  for_each = { for i in range(%d) : \"%s${i}\" => i }\n  name = each.key\n  match { path = \"/${each.value}\" }\n  to = \"internal://echo\"\n}\n", n, prefix)
}
