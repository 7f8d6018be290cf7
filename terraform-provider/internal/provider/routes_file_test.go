package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tunnelform/tunnelform/reload/store"
)

// wholeFileConfig is the resource with a text.
func wholeFileConfig(content string, more ...string) string {
	return "resource \"tunnelform_routes_file\" \"all\" {\n  content = " + inHCL(content) + strings.Join(more, "\n") + "\n}\n"
}

// edit writes a file between two steps.
func edit(t *testing.T, file, content string) func() {
	return func() {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// holds checks a file's bytes.
func holds(file, want string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		data, err := os.ReadFile(file)
		if err == nil && string(data) != want {
			err = fmt.Errorf("the file holds\n%s\nwant\n%s", data, want)
		}
		return err
	}
}

// stillHolds checks a file between two steps.
func stillHolds(t *testing.T, file, want string) func() {
	return func() {
		t.Helper()
		if err := holds(file, want)(nil); err != nil {
			t.Error(err)
		}
	}
}

const (
	oneRoute  = "version: 1\nlisteners: {web: {address: \":8081\"}}\n# kept\nroutes:\n  a: {match: {path: /a}, to: \"internal://echo\"}\n"
	twoRoutes = oneRoute + "  b: {match: {path: /b}, to: \"internal://echo\"}\n"
	byHand    = oneRoute + "  hand: {match: {path: /hand}, to: \"internal://echo\"}\n"
)

func TestAccRoutesFile(t *testing.T) {
	file, provider := routesFile(t, emptyFile)
	address := "tunnelform_routes_file.all"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{ // create
				Config: provider + wholeFileConfig(oneRoute),
				Check: resource.ComposeAggregateTestCheckFunc(holds(file, oneRoute),
					resource.TestCheckResourceAttr(address, "revision", store.RevisionOf([]byte(oneRoute))),
					resource.TestCheckResourceAttr(address, "on_destroy", "empty"),
					resource.TestCheckNoResourceAttr(address, "serving")),
			},
			{ // update in place
				Config:           provider + wholeFileConfig(twoRoutes),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)}},
				Check:            holds(file, twoRoutes),
			},
			{ // import
				ResourceName: address, ImportState: true, ImportStateId: file, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "revision",
			},
			{ // drift: a hand edit is shown, and what the plan has shown is overwritten
				PreConfig: edit(t, file, byHand),
				Config:    provider + wholeFileConfig(twoRoutes),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)}},
				Check: holds(file, twoRoutes),
			},
			{ // the file vanishes
				PreConfig: func() {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				},
				Config:           provider + wholeFileConfig(twoRoutes),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionCreate)}},
				Check:            holds(file, twoRoutes),
			},
		},
		CheckDestroy: holds(file, "version: 1\nlisteners: {web: {address: \":8081\"}}\n# kept\nroutes: {}\n"),
	})
}

func TestAccRoutesFileKeptOnDestroy(t *testing.T) {
	file, provider := routesFile(t, emptyFile)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps:                    []resource.TestStep{{Config: provider + wholeFileConfig(oneRoute, `on_destroy = "keep"`)}},
		CheckDestroy:             holds(file, oneRoute),
	})
}

// Every error of a plan.
func TestAccRoutesFileErrors(t *testing.T) {
	file, provider := routesFile(t, byHand)
	beside := filepath.Join(filepath.Dir(file), "beside.yaml")
	edit(t, beside, "version: 1\npools: {p: {backends: {a: {url: \"ws://h\"}}}}\n")()
	withContext := strings.Replace(provider, "clash_wait", fmt.Sprintf("context_files = [%q]\n  clash_wait", beside), 1)
	toPool := "version: 1\nroutes: {a: {to: \"pool://p\"}}\n"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: provider + wholeFileConfig("version: 1\nrotes: {}\n"), ExpectError: folded(`Invalid routes file.*content:2:1: unknown key "rotes", did you mean "routes"\?.*rotes: \{\}`)},
			{Config: provider + wholeFileConfig("version: 1\n"), ExpectError: folded(`Invalid routes file.*routes`)},
			{Config: provider + wholeFileConfig(toPool), ExpectError: folded(`content:2:\d+: route "a": to "pool://p": unknown pool "p"`)},
			{Config: provider + wholeFileConfig(oneRoute, `on_destroy = "delete"`), ExpectError: folded(`"delete": want empty or keep`)},
			{Config: provider + wholeFileConfig(oneRoute), ExpectError: folded(`The routes file exists.*import it first \(terraform import ADDRESS ` + `.*hand: `)},
			{Config: provider + managed + wholeFileConfig(oneRoute), ExpectError: folded(`the configuration manages both the whole routes file \(tunnelform_routes_file\) and single records`)},
			{Config: provider},
			{PreConfig: edit(t, file, emptyFile), Config: withContext + wholeFileConfig(toPool), Check: holds(file, toPool)},
			{Config: strings.ReplaceAll(provider, "file =", "# file =") + wholeFileConfig(toPool), ExpectError: folded("no routes file is configured: set file in the provider block")},
			{ResourceName: "tunnelform_routes_file.all", Config: withContext + wholeFileConfig(toPool), ImportState: true, ImportStateId: "/elsewhere", ExpectError: folded(`"/elsewhere": want the provider's file`)},
			{Config: withContext + wholeFileConfig(toPool)},
		},
	})
}

// A file without routes is replaced, with a warning if it has other settings.
func TestAccRoutesFileReplacesAnEmptyOne(t *testing.T) {
	file, provider := routesFile(t, "version: 1\nlisteners: {web: {address: \":9\"}}\nroutes: {}\n")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps:                    []resource.TestStep{{Config: provider + wholeFileConfig(oneRoute), Check: holds(file, oneRoute)}},
	})
}

// An edit between plan and apply is refused, with a diff; nothing is lost.
func TestAccRoutesFileUnseenEdit(t *testing.T) {
	file, provider := routesFile(t, emptyFile)
	// The edit comes while the apply runs: a resource that the file depends on makes it.
	config := func(content, hand string) string {
		return provider + fmt.Sprintf(`
resource "terraform_data" "hand" {
  input = %q
  provisioner "local-exec" {
    command     = "printf '%%s' \"$HAND\" > %s"
    environment = { HAND = self.input }
  }
}
`, hand, file) + strings.Replace(wholeFileConfig(content), "content =", "depends_on = [terraform_data.hand]\n  content =", 1)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config(oneRoute, emptyFile), Check: holds(file, oneRoute)},
			{Config: strings.Replace(config(twoRoutes, byHand), `"hand" {`, `"hand" {`+"\n  triggers_replace = 1", 1),
				ExpectError: folded(`The routes file has changed since it was planned.*plan again.*hand: `)},
			{Config: strings.Replace(config(twoRoutes, byHand), `"hand" {`, `"hand" {`+"\n  triggers_replace = 1", 1), PreConfig: stillHolds(t, file, byHand), Check: holds(file, twoRoutes)},
		},
	})
}

// An unknown content is checked at apply.
func TestAccRoutesFileUnknown(t *testing.T) {
	file, provider := routesFile(t, emptyFile)
	later := func(content string) string {
		return provider + fmt.Sprintf("resource \"terraform_data\" \"later\" { input = %q }\n", content) +
			"resource \"tunnelform_routes_file\" \"all\" { content = terraform_data.later.output }\n"
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: later("version: 1\nrotes: {}\n"), ExpectError: folded(`unknown key "rotes"`)},
			{PreConfig: stillHolds(t, file, emptyFile), Config: strings.ReplaceAll(later(oneRoute), "later", "other"), Check: holds(file, oneRoute)},
		},
	})
}
