package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// factories run the provider in the test's own process.
var factories = map[string]func() (tfprotov6.ProviderServer, error){
	"tunnelform": func() (tfprotov6.ProviderServer, error) {
		return NewServer("test")(), nil
	},
}

const noRoutes = "version: 1\nroutes: {}\n"

// routesFile makes a routes file and returns its path and a provider block for it.
func routesFile(t *testing.T, content string, settings ...string) (file, block string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "routes.yaml")
	writeFile(t, file, content)
	return file, providerBlock(file, append([]string{`clash_wait = "1s"`}, settings...)...)
}

func providerBlock(file string, settings ...string) string {
	block := fmt.Sprintf("provider \"tunnelform\" {\n  file = %q\n", file)
	for _, s := range settings {
		block += "  " + s + "\n"
	}
	return block + "}\n"
}

// fileIs checks the routes file's content.
func fileIs(file, want string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if string(data) != want {
			return fmt.Errorf("the routes file holds\n%s\nwant\n%s", data, want)
		}
		return nil
	}
}

// fileHas checks that the routes file contains a text.
func fileHas(file, want string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !strings.Contains(string(data), want) {
			return fmt.Errorf("the routes file holds\n%s\nwant it to contain %q", data, want)
		}
		return nil
	}
}

func actions(address string, action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)}}
}

const handWritten = `version: 1
# by hand
routes:
  other: {match: {path: /other}, respond: {status: 204}}  # not ours
`

// What a route sends in its own words: placeholders, values from files, own bodies for
// errors. The blocks of statuses have no order.
func TestAccRouteTexts(t *testing.T) {
	file, provider := routesFile(t, handWritten)
	route := func(status string) string {
		return provider + `
resource "tunnelform_route" "chat" {
  name = "chat"
  match { path_prefix = "/chat/" }
  to = "ws://10.0.0.1:9000/"
  headers {
    request {
      set      = { Host = "inner.example", X-Client-IP = "{client}" }
      set_file = { Authorization = "secrets/token" }
      add      = { Vary = ["Origin"] }
      add_file = { Vary = ["secrets/vary"] }
      default  = { X-Env = "prod" }
    }
  }
  query { remove = ["backend"] }
  errors {
    override = ["5xx", "404"]
    status {
      name = ` + status + `
      file = "down.html"
    }
    status {
      name         = 404
      body         = "none at {host}"
      content_type = "text/plain"
    }
  }
}
data "tunnelform_routes" "all" { depends_on = [tunnelform_route.chat] }
`
	}
	const address, data = "tunnelform_route.chat", "data.tunnelform_routes.all"
	good := route("502")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		CheckDestroy:             fileIs(file, handWritten),
		Steps: []resource.TestStep{
			{
				Config: good,
				Check: resource.ComposeAggregateTestCheckFunc(
					fileHas(file, "Host: inner.example"), fileHas(file, "file: secrets/token"), fileHas(file, "file: secrets/vary"),
					fileHas(file, "remove: [backend]"), fileHas(file, "file: down.html"), fileHas(file, "override: [5xx,"),
					resource.TestCheckResourceAttr(address, "headers.request.set_file.Authorization", "secrets/token"),
					resource.TestCheckResourceAttr(address, "errors.status.#", "2"),
					resource.TestCheckResourceAttr(data, "routes.chat.headers.request.set_file.Authorization", "secrets/token"),
					resource.TestCheckResourceAttr(data, "routes.chat.headers.request.set.Host", "inner.example"),
					resource.TestCheckResourceAttr(data, "routes.chat.errors.status.404.body", "none at {host}"),
					resource.TestCheckResourceAttr(data, "routes.chat.errors.override.#", "2"),
				),
			},
			{Config: good, PlanOnly: true},
			{
				ResourceName: address, ImportState: true, ImportStateId: "chat",
				ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name",
			},
			{Config: route(`"50x"`), ExpectError: spaced("errors.50x wanted a status")},
			{ // a change by hand
				PreConfig:        func() { replaceIn(t, file, "file: secrets/token", "file: secrets/other") },
				Config:           good,
				ConfigPlanChecks: actions(address, plancheck.ResourceActionUpdate),
				Check:            fileHas(file, "file: secrets/token"),
			},
		},
	})
}

func TestAccRoute(t *testing.T) {
	file, provider := routesFile(t, handWritten)
	route := func(more string) string {
		return provider + `
resource "tunnelform_route" "chat" {
  name  = "chat"
  match {
    path_prefix     = "/chat/"
    headers         = { X-Room = "blue" }
    headers_regex   = { X-Version = "^2" }
    headers_present = ["X-Beta"]
  }
  to    = "ws://10.0.0.1:9000/"
` + more + "}\n"
	}
	const address = "tunnelform_route.chat"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		CheckDestroy:             fileIs(file, handWritten),
		Steps: []resource.TestStep{
			{
				Config:           route(""),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionCreate),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(address, "match.path_prefix", "/chat/"),
					resource.TestCheckResourceAttr(address, "match.headers.X-Room", "blue"),
					resource.TestCheckNoResourceAttr(address, "serving"),
					resource.TestCheckResourceAttrSet(address, "revision"),
					fileHas(file, "X-Room: blue"),
				),
			},
			{ // updated in place, in Terraform's words
				Config:           route("  timeouts {\n    idle = \"60s\"\n    lifetime = \"off\"\n  }\n  limits {\n    tunnels = 1000\n    message_size = \"1MiB\"\n  }\n  upgrade = [\"any\"]\n"),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionUpdate),
				Check: resource.ComposeAggregateTestCheckFunc(
					fileHas(file, "idle: 60s"), fileHas(file, "tunnels: 1000"), fileHas(file, "upgrade: any"),
					resource.TestCheckResourceAttr(address, "limits.tunnels", "1000"),
				),
			},
			{ // imported as the file has it
				ResourceName: address, ImportState: true, ImportStateId: "chat",
				ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name",
			},
			{ // other words for the same are no drift
				PreConfig: func() { replaceIn(t, file, "idle: 60s", "idle: 1m") },
				Config:    route("  timeouts {\n    idle = \"60s\"\n    lifetime = \"off\"\n  }\n  limits {\n    tunnels = 1000\n    message_size = \"1MiB\"\n  }\n  upgrade = [\"any\"]\n"),
				PlanOnly:  true,
			},
			{ // a change by hand is
				PreConfig:        func() { replaceIn(t, file, "idle: 1m", "idle: 2m") },
				Config:           route("  timeouts {\n    idle = \"60s\"\n    lifetime = \"off\"\n  }\n  limits {\n    tunnels = 1000\n    message_size = \"1MiB\"\n  }\n  upgrade = [\"any\"]\n"),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionUpdate),
				Check:            resource.ComposeAggregateTestCheckFunc(fileHas(file, "idle: 60s"), resource.TestCheckResourceAttr(address, "timeouts.idle", "60s")),
			},
			{ // removed by hand: made again
				PreConfig:        func() { writeFile(t, file, handWritten) },
				Config:           route(""),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionCreate),
				Check:            fileHas(file, "/chat/"),
			},
		},
	})
}

func replaceIn(t *testing.T, file, old, new string) {
	t.Helper()
	text := readFile(t, file)
	if !strings.Contains(text, old) {
		t.Errorf("the routes file holds\n%s\nwant it to contain %q", text, old)
	}
	writeFile(t, file, strings.Replace(text, old, new, 1))
}

// A missing file is created; without its last route it serves nothing.
func TestAccRouteNewFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes.yaml")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		CheckDestroy:             fileIs(file, noRoutes),
		Steps: []resource.TestStep{{
			Config: providerBlock(file) + `
resource "tunnelform_route" "away" {
  name     = "away"
  match { host = "*.example.com" }
  redirect {
    to     = "https://example.org/"
    status = 308
  }
}`,
			Check: fileIs(file, "version: 1\nroutes:\n  away:\n    match: {host: \"*.example.com\"}\n    redirect: {to: \"https://example.org/\", status: 308}\n"),
		}},
	})
}

// A changed name renames the record in place; so does a for_each key with moved.
// Without moved one is destroyed and the other created, in any order.
func TestAccRouteRename(t *testing.T) {
	const before = "version: 1\nroutes:\n  first: {match: {path: /first}, respond: {}}\n  # mine\n  old: # stays\n    match: {path: /x}\n    respond: {status: 204}\n  last: {match: {path: /last}, respond: {}}\n"
	file := filepath.Join(t.TempDir(), "routes.yaml")
	route := func(label, name, more string) string {
		return providerBlock(file) + fmt.Sprintf("resource \"tunnelform_route\" \"it\" {\n  for_each = toset([%q])\n  name = %q\n  match { path = \"/x\" }\n  respond { status = 204 }\n}\n", label, name) + more
	}
	w := newWorkspace(t, "")
	writeFile(t, file, before)
	for _, step := range []struct{ config, plan, want string }{
		{route("a", "old", "import {\n  to = tunnelform_route.it[\"a\"]\n  id = \"old\"\n}\n"), "1 to import, 0 to add, 0 to change, 0 to destroy", before},
		{route("a", "new", ""), "0 to add, 1 to change, 0 to destroy", strings.Replace(before, "old:", "new:", 1)},
		{route("b", "newer", "moved {\n  from = tunnelform_route.it[\"a\"]\n  to = tunnelform_route.it[\"b\"]\n}\n"), "0 to add, 1 to change, 0 to destroy", strings.Replace(before, "old:", "newer:", 1)},
		{route("c", "newer", ""), "1 to add, 0 to change, 1 to destroy", ""},
	} {
		w.write(step.config)
		out := w.must("apply", "-auto-approve")
		if !strings.Contains(out, step.plan) {
			t.Errorf("want the plan %q, got\n%s", step.plan, out)
		}
		if got := readFile(t, file); step.want != "" && got != step.want {
			t.Errorf("the file holds\n%s\nwant\n%s", got, step.want)
		}
		if out := w.must("plan"); !strings.Contains(out, "No changes.") {
			t.Errorf("after apply a plan is not empty:\n%s", out)
		}
	}
	w.must("destroy", "-auto-approve")
	want := "version: 1\nroutes:\n  first: {match: {path: /first}, respond: {}}\n  last: {match: {path: /last}, respond: {}}\n"
	if got := readFile(t, file); got != want {
		t.Errorf("after destroy the file holds\n%s\nwant\n%s", got, want)
	}
}

// A record in the file that is not in the state is not taken over.
func TestAccRouteTaken(t *testing.T) {
	file, provider := routesFile(t, handWritten, "")
	provider = strings.Replace(provider, `"1s"`, `"100ms"`, 1)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{
				Config:      provider + "resource \"tunnelform_route\" \"other\" {\n  name = \"other\"\n  match { path = \"/mine\" }\n  respond { status = 200 }\n}\n",
				ExpectError: spaced(fmt.Sprintf("%s:4:10: route \"other\" is in the routes file already: import it, or write a moved block if the resource's address has changed. To import it: import { to = tunnelform_route.ADDRESS id = \"other\" }", file)),
			},
			{Config: provider, Check: fileIs(file, handWritten)},
		},
	})
}

// Each mistake is reported at plan, at its attribute, in the validator's words.
func TestAccRouteErrors(t *testing.T) {
	file, provider := routesFile(t, handWritten)
	route := func(name, body string) string {
		return fmt.Sprintf("resource \"tunnelform_route\" %q {\n  name = %q\n%s\n}\n", strings.ReplaceAll(name, " ", "_"), name, body)
	}
	var steps []resource.TestStep
	for _, tt := range []struct{ config, want string }{
		{route("a", `match { host = "a..b" }
to = "ws://x.example"`), `route "a": host "a..b": empty label`},
		{route("a", `match { path = "/x" }`), `route "a": needs exactly one of to, redirect or respond, has none`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"
respond { status = 200 }`), `needs exactly one of to, redirect or respond, has to and respond`},
		{route("a", `match { path = "/x" }
to = "ftp://x.example"`), `to "ftp://x.example"`},
		{route("a", `match { path = "/x" }
to = "ws://x.example/$1"`), `to "ws://x.example/$1"`},
		{route("a", `match { headers_regex = { X = "(" } }
to = "ws://x.example"`), `regex "(": missing closing )`},
		{route("a", `match {
  headers_regex   = { X = "a" }
  headers_present = ["X"]
}
to = "ws://x.example"`), `route "a": headers has two conditions on "X": one is allowed`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"
timeouts { idle = "10" }`), `timeouts.idle "10": has no unit: write 10s`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"
limits { tunnels = "many" }`), `limits.tunnels "many"`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"
drain { code = 1005 }`), `drain.code "1005"`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"
backend_tls { certificate = "c.pem" }`), `backend_tls needs certificate and key together`},
		{route("a b", `match { path = "/x" }
to = "ws://x.example"`), `name "a b" of a route`},
		{route("a", `match { path = "/x" }
to = "ws://x.example"`) + route("b", `match { path = "/x" }
to = "ws://x.example"`), "Conflicts with another route in this plan"},
		{strings.Replace(route("a", `match { path = "/x" }
to = "ws://x.example"`), "a\" {", "one\" {", 1) + route("a", `match { path = "/y" }
to = "ws://x.example"`), `another resource in this configuration also manages route "a": use one resource for each name`},
	} {
		steps = append(steps, resource.TestStep{Config: provider + tt.config, ExpectError: spaced(tt.want)})
	}
	steps = append(steps, resource.TestStep{Config: provider, Check: fileIs(file, handWritten)})
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps})
}

// A conflict with the file is a warning at plan and an error at apply, and nothing is
// written.
func TestAccRouteConflictsWithFile(t *testing.T) {
	file, provider := routesFile(t, handWritten)
	provider = strings.Replace(provider, `"1s"`, `"100ms"`, 1)
	var steps []resource.TestStep
	for _, tt := range []struct{ body, want string }{
		{"match { path = \"/other\" }\n  respond {}", "route \"a\" conflicts with the routes file"},
		{"match { path = \"/x\" }\n  to = \"pool://chatt/\"", "unknown pool \"chatt\": there are no pools"},
		{"match { listener = \"nope\" }\n  respond {}", "listener \"nope\": unknown listener"},
	} {
		config := provider + "resource \"tunnelform_route\" \"a\" {\n  name = \"a\"\n  " + tt.body + "\n}\n"
		steps = append(steps,
			resource.TestStep{Config: config, PlanOnly: true, ExpectNonEmptyPlan: true},
			resource.TestStep{Config: config, ExpectError: spaced(tt.want)})
	}
	steps = append(steps, resource.TestStep{Config: provider, Check: fileIs(file, handWritten)})
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps})
}

// Unknown values are not errors at plan; known ones are checked all the same.
func TestAccRouteUnknown(t *testing.T) {
	file, provider := routesFile(t, noRoutes)
	config := func(host, path string) string {
		return provider + fmt.Sprintf(`
resource "terraform_data" "later" { input = "10.0.0.7" }
resource "tunnelform_route" "a" {
  name  = "a"
  match {
    path   = %q
    client = ["${terraform_data.later.output}/32"]
  }
  to    = "ws://${terraform_data.later.output}:9000"
  timeouts { idle = %q }
}
resource "tunnelform_route" "b" {
  name    = "b-${terraform_data.later.output}"
  match { path = "/b" }
  respond { status = 204 }
}
`, path, host)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config("soon", "/a"), ExpectError: spaced(`timeouts.idle "soon": is not a duration`)},
			{
				Config: config("10m", "/a"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectUnknownValue("tunnelform_route.a", tfjsonpath.New("to")),
					plancheck.ExpectUnknownValue("tunnelform_route.a", tfjsonpath.New("revision")),
				}},
				Check: resource.ComposeAggregateTestCheckFunc(fileHas(file, "ws://10.0.0.7:9000"), fileHas(file, "b-10.0.0.7:")),
			},
		},
	})
}

// A provider whose file is known at apply only plans without its checks.
func TestAccUnknownFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes.yaml")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: fmt.Sprintf(`
resource "terraform_data" "file" { input = %q }
provider "tunnelform" { file = terraform_data.file.output }
resource "tunnelform_route" "a" {
  name    = "a"
  match { path = "/a" }
  respond { status = 204 }
}
`, file),
			Check: fileHas(file, "path: /a"),
		}},
	})
}

// Records in a file of invalid YAML are not planned to be created again.
func TestAccRouteBrokenFile(t *testing.T) {
	file, provider := routesFile(t, noRoutes)
	config := provider + "resource \"tunnelform_route\" \"a\" {\n  name = \"a\"\n  match { path = \"/a\" }\n  respond { status = 204 }\n}\n"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config},
			{
				PreConfig:   func() { writeFile(t, file, "version: 1\nroutes: {a: [\n") },
				Config:      config,
				ExpectError: spaced(`route "a" cannot be read until they are corrected:`),
			},
			{PreConfig: func() { writeFile(t, file, noRoutes) }, Config: config, ConfigPlanChecks: actions("tunnelform_route.a", plancheck.ResourceActionCreate)},
		},
	})
}
