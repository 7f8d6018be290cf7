package provider

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// The environment fills unset settings; the block takes precedence.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"TUNNELFORM_FILE":                  "env.yaml",
		"TUNNELFORM_ADMIN":                 "127.0.0.1:1, unix:/run/a.sock,",
		"TUNNELFORM_WAIT_TIMEOUT":          "7s",
		"TUNNELFORM_WAIT_REQUIRE":          "any",
		"TUNNELFORM_CLASH_WAIT":            "3s",
		"TUNNELFORM_ON_UNSUPPORTED_LAYOUT": "reformat",
		"TUNNELFORM_WRITE_IN_PLACE":        "true",
		"TUNNELFORM_CONTEXT_FILES":         "a.yaml,b.yaml",
	} {
		t.Setenv(name, value)
	}
	none := configuration{Admin: types.ListNull(types.StringType), ContextFiles: types.ListNull(types.StringType)}
	var diags diag.Diagnostics
	s := newSession(none.withEnvironment(), &diags)
	if diags.HasError() {
		t.Fatal(diags)
	}
	got := fmt.Sprint(s.file, " ", len(s.proxies.proxies), " ", s.proxies.timeout, " ", s.proxies.require, " ", s.clashWait, " ", s.editor.Reformat, " ", s.contextFiles)
	if want := "env.yaml 2 7s 1 3s true [a.yaml b.yaml]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !none.withEnvironment().WriteInPlace.ValueBool() {
		t.Error("write_in_place is not taken from the environment")
	}
	said := none
	said.File, said.Wait = types.StringValue("block.yaml"), &waitModel{Timeout: types.StringValue("1s")}
	if s := newSession(said.withEnvironment(), &diags); s.file != "block.yaml" || s.proxies.timeout != time.Second || s.proxies.require != 1 {
		t.Errorf("file %q, timeout %v, require %d; want the block's, and the environment's require", s.file, s.proxies.timeout, s.proxies.require)
	}
}

func TestAccBadSettings(t *testing.T) {
	var steps []resource.TestStep
	for _, tt := range []struct{ block, want string }{
		{`clash_wait = "soon"`, `"soon" is not a duration: use 30s or 2m, for example`},
		{`wait { timeout = "-1s" }`, `"-1s" is not a duration`},
		{`on_unsupported_layout = "ignore"`, `"ignore": want error or reformat`},
		{`admin = ["localhost"]`, `"localhost": want host:port or unix:/path`},
		{"admin = [\"127.0.0.1:1\"]\n wait { require = \"2\" }", `"2": want all, any or a number from 1 to 1, as many as admin has`},
	} {
		config := providerBlock("routes.yaml", tt.block) + resourceRoute("a", "  match { path = \"/a\" }\n  respond { status = 200 }")
		steps = append(steps, resource.TestStep{Config: config, ExpectError: spaced(tt.want)})
	}
	steps = append(steps, resource.TestStep{Config: "resource \"terraform_data\" \"x\" {}"})
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps})
}

// Resources that need a file report that it is not configured.
func TestAccNoFile(t *testing.T) {
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: resourceRoute("a", "  match { path = \"/a\" }\n  respond { status = 200 }"), ExpectError: spaced("no routes file is configured: set file in the provider block, or TUNNELFORM_FILE in the environment")},
			{Config: "resource \"terraform_data\" \"x\" {}"},
		},
	})
}

// Hand-written records are imported without a change: Terraform generates the
// configuration from import blocks, and its plan is empty.
func TestAccAdopt(t *testing.T) {
	const text = `version: 1
pools:
  rooms:
    backends: {a: {url: "ws://10.0.0.1:9000"}, b: {url: "ws://10.0.0.2:9000", drain: true}}
routes:
  chat: # by hand
    match: {path: "/rooms/{room}", headers: {X-A: "1", X-B: {present: true}}, methods: GET, priority: 3}
    to: pool://rooms/r/{room}
    timeouts: {idle: 60s, lifetime: off}
    keepalive: off
    upgrade: [websocket, mqtt]
    origins: any
    headers: {request: {set: {X-Env: prod}, add: {Vary: [a, b]}}}
`
	acceptance(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, text)
	imports := "import {\n  to = tunnelform_route.chat\n  id = \"chat\"\n}\nimport {\n  to = tunnelform_pool.rooms\n  id = \"rooms\"\n}\n"
	w := newWorkspace(t, providerBlock(file)+imports)
	w.must("plan", "-generate-config-out=generated.tf")
	if out := w.must("apply", "-auto-approve"); !strings.Contains(out, "2 imported, 0 added, 0 changed, 0 destroyed") {
		t.Errorf("want nothing but imports, got\n%s\nfrom\n%s", out, readFile(t, filepath.Join(w.dir, "generated.tf")))
	}
	if got := readFile(t, file); got != text {
		t.Errorf("the file holds\n%s\nwant\n%s", got, text)
	}
	if out := w.must("plan"); !strings.Contains(out, "No changes.") {
		t.Errorf("after the import a plan is not empty:\n%s", out)
	}
	w.write(providerBlock(file) + "import {\n  to = tunnelform_route.nobody\n  id = \"nobody\"\n}\n" + resourceRoute("nobody", "  match { path = \"/x\" }\n  respond { status = 200 }"))
	w.fails("Cannot import non-existent remote object", "plan")
}
