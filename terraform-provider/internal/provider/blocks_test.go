package provider

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// An unknown key is an error wherever a key may be: it would widen a route in silence.
func TestAccUnknownKeys(t *testing.T) {
	_, provider := routesFile(t, noRoutes)
	route := func(body string) string { return resourceRoute("a", "  to = \"internal://echo\"\n"+body) }
	document := func(body string) string {
		return "resource \"terraform_data\" \"later\" { input = \"h\" }\ndata \"tunnelform_routes_document\" \"a\" {\n" + body + "\n}\n"
	}
	for _, tt := range []struct{ name, config, want string }{
		{"of a match", route("  match {\n    path_prefix = \"/admin/\"\n    cilent = [\"10.0.0.0/8\"]\n  }"), `An argument named "cilent" is not expected here. Did you mean "client"?`},
		{"of a match as an attribute", route(`  match = { path_prefix = "/admin/" }`), `An argument named "match" is not expected here. Did you mean to define a block of type "match"?`},
		{"of a block in a block", route("  headers {\n    request {\n      sett = {}\n    }\n  }"), `An argument named "sett" is not expected here. Did you mean "set"?`},
		{"a block", route("  mtach {\n  }"), `Blocks of type "mtach" are not expected here. Did you mean "match"?`},
		{"of a backend", "resource \"tunnelform_pool\" \"p\" {\n  name = \"p\"\n" + backend("a", "url = \"ws://a\"\n    darin = true") + "}\n", `An argument named "darin" is not expected here. Did you mean "drain"?`},
		{"of the provider's wait", strings.Replace(provider, "\n", "\n  wait { timeuot = \"5s\" }\n", 1) + "data \"tunnelform_routes\" \"now\" {}\n", `An argument named "timeuot" is not expected here. Did you mean "timeout"?`},
		{"of a document", document(`  routes = { a = { match = { path_prefix = "/admin/", cilent = ["10.0.0.0/8"] }, to = "internal://echo" } }`), `route "a": unknown key "cilent", did you mean "client"?`},
		{"of a document with unknown values", document(`  routes = { a = { match = { cilent = [terraform_data.later.output] }, to = terraform_data.later.output } }`), `route "a": unknown key "cilent", did you mean "client"?`},
		{"of a document's pool", document(`  pools = { p = { backends = { a = { url = "ws://a", darin = true } } } }`), `unknown key "darin", did you mean "drain"?`},
		{"of a document's defaults", document(`  defaults = { timeouts = { idel = "5s" } }`), `unknown key "idel", did you mean "idle"?`},
		{"a document of another kind", document(`  routes = ["a"]`), `routes is a list, wanted a mapping`},
		{"a document of another kind, beside others", document(`  routes = "a"` + "\n  source_documents = [\"version: 1\\nroutes: {}\\n\"]"), `routes is a text, wanted a mapping`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(tt.config, "provider \"tunnelform\"") {
				tt.config = provider + tt.config
			}
			resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: []resource.TestStep{
				{Config: tt.config, PlanOnly: true, ExpectError: spaced(tt.want)},
				{Config: provider},
			}})
		})
	}
}

// What Terraform writes of an imported record can be applied as it is, and changes nothing.
func TestAccGeneratedConfiguration(t *testing.T) {
	acceptance(t)
	const text = `version: 1
pools:
  p:
    backends:
      b: {url: "wss://b", tls: {insecure: true}}
      a: {url: "ws://a", weight: 2}
    health: {http: {path: /}}
routes:
  all: {match: {}, to: "pool://p"}
  r:
    match: {path: /x, headers: {A: "1", B: {regex: x}, C: {present: true}}}
    to: "pool://p"
    keepalive: off
    headers: {request: {set: {X: "y", Authorization: {file: token}}, add: {Vary: [a, {file: vary}]}}}
  s: {match: {path: /s}, respond: {}, rewrite_response: false}
`
	w := newWorkspace(t, "")
	file := filepath.Join(w.dir, "routes.yaml")
	writeFile(t, file, text)
	imports := "import {\n  to = tunnelform_pool.p\n  id = \"p\"\n}\n"
	for _, name := range []string{"all", "r", "s"} {
		imports += strings.ReplaceAll("import {\n  to = tunnelform_route.NAME\n  id = \"NAME\"\n}\n", "NAME", name)
	}
	w.write(providerBlock(file) + imports)
	w.must("plan", "-generate-config-out=generated.tf")
	if out := w.must("apply", "-auto-approve"); !strings.Contains(out, "4 imported, 0 added, 0 changed, 0 destroyed") {
		t.Errorf("want four imports, got\n%s", out)
	}
	if got := readFile(t, file); got != text {
		t.Errorf("the file holds\n%s\nwant it as it was", got)
	}
	without := regexp.MustCompile(`(?m)^\s+\S+\s+= null\n`).ReplaceAllString(readFile(t, filepath.Join(w.dir, "generated.tf")), "")
	if err := os.WriteFile(filepath.Join(w.dir, "generated.tf"), []byte(without), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := w.must("plan"); !strings.Contains(out, "No changes.") {
		t.Errorf("without the nulls, the plan is not empty:\n%s\n%s", without, out)
	}
}
