package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

var certificateGone = statusapi.Mistake{File: "routes.yaml", Line: 2, Column: 5, Key: "listeners.web.tls", Text: "certificate \"gone.crt\": no such file"}

// Apply means serving, for the whole file too.
func TestAccRoutesFileServing(t *testing.T) {
	file, _ := routesFile(t, emptyFile)
	fake := newAdminFake(t, file)
	provider := fmt.Sprintf("provider \"tunnelform\" {\n  file = %q\n  %s\n}\n", file, fake.block())
	address := "tunnelform_routes_file.all"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{ // rejected on create: the old bytes are back, and there is no state
				PreConfig: fake.does(refuse(certificateGone)), Config: provider + wholeFileConfig(oneRoute),
				ExpectError: folded(`Rejected by a running proxy.*routes.yaml:2:5: certificate "gone.crt": no such file`),
			},
			{ // timed out on create: likewise
				PreConfig: both(stillHolds(t, file, emptyFile), fake.does(sleep)), Config: provider + wholeFileConfig(oneRoute),
				ExpectError: folded(`Not served in time.*the file is as it was before`),
			},
			{
				PreConfig: both(stillHolds(t, file, emptyFile), fake.does(wake)), Config: provider + wholeFileConfig(oneRoute),
				Check: resource.ComposeAggregateTestCheckFunc(holds(file, oneRoute), resource.TestCheckResourceAttr(address, "serving", "true")),
			},
			{ // rejected on update: the old bytes are back
				PreConfig: fake.does(refuse(certificateGone)), Config: provider + wholeFileConfig(twoRoutes),
				ExpectError: folded(`certificate "gone.crt": no such file`),
			},
			{ // timed out on update: the file stays as planned
				PreConfig: both(stillHolds(t, file, oneRoute), fake.does(sleep)), Config: provider + wholeFileConfig(twoRoutes),
				ExpectError: folded(`Not served in time.*the next apply asks the proxies again`),
			},
			{ // and the next plan is not empty until it is served
				PreConfig: stillHolds(t, file, twoRoutes), Config: provider + wholeFileConfig(twoRoutes), PlanOnly: true, ExpectNonEmptyPlan: true,
			},
			{
				PreConfig: fake.does(wake), Config: provider + wholeFileConfig(twoRoutes),
				ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
				Check:            resource.ComposeAggregateTestCheckFunc(holds(file, twoRoutes), resource.TestCheckResourceAttr(address, "serving", "true")),
			},
		},
	})
}

func both(first, second func()) func() {
	return func() { first(); second() }
}

func TestAccServing(t *testing.T) {
	file, _ := routesFile(t, oneRoute)
	fake := newAdminFake(t, file)
	config := func(content string, more ...string) string {
		return fmt.Sprintf("provider \"tunnelform\" {\n  %s\n}\nresource \"tunnelform_serving\" \"this\" {\n  revision = %q\n%s\n}\n",
			fake.block(), store.RevisionOf([]byte(content)), strings.Join(more, "\n"))
	}
	address := "tunnelform_serving.this"
	served := resource.TestCheckResourceAttr(address, "serving", "true")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config(oneRoute), Check: served},
			{ // delivered by other means
				PreConfig: edit(t, file, twoRoutes), Config: config(twoRoutes),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)}},
				Check:            served,
			},
			{ // drift: something else is served
				PreConfig: edit(t, file, byHand), Config: config(twoRoutes), PlanOnly: true, ExpectNonEmptyPlan: true,
			},
			{Config: config(twoRoutes, `timeout = "300ms"`), ExpectError: folded(`Not served in time.*want 1 within 300ms`)},
			{ // rejected
				PreConfig: both(edit(t, file, oneRoute), fake.does(refuse(certificateGone))), Config: config(oneRoute),
				ExpectError: folded(`Rejected by a running proxy.*routes.yaml:2:5: certificate "gone.crt"`),
			},
			{Config: config(oneRoute, fmt.Sprintf("admin = [%q]\n require = \"2\"", fake.address)), ExpectError: folded(`"2": want all, any or a number from 1 to 1`)},
			{Config: config(oneRoute, `admin = ["nowhere"]`), ExpectError: folded(`"nowhere": want host:port or unix:/path`)},
			{Config: config(oneRoute, `timeout = "soon"`), ExpectError: folded(`"soon" is not a duration: use 30s or 2m, for example`)},
			{Config: `resource "tunnelform_serving" "this" { revision = "abc" }`, ExpectError: folded(`"abc" is not a revision: want 64 hex digits`)},
			{Config: fmt.Sprintf(`resource "tunnelform_serving" "this" { revision = %q }`, store.RevisionOf(nil)), ExpectError: folded(`no admin address is given`)},
			{PreConfig: fake.does(wake), Config: config(oneRoute, fmt.Sprintf("admin = [%q]\n require = \"any\"", fake.address)), Check: served},
		},
	})
}

// An unknown revision is waited for at apply.
func TestAccServingUnknown(t *testing.T) {
	file, _ := routesFile(t, oneRoute)
	fake := newAdminFake(t, file)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: fmt.Sprintf(`
resource "terraform_data" "later" { input = [%q, %q] }
resource "tunnelform_serving" "this" {
  revision = terraform_data.later.output[0]
  admin    = [terraform_data.later.output[1]]
}`, store.RevisionOf([]byte(oneRoute)), fake.address),
			Check: resource.TestCheckResourceAttr("tunnelform_serving.this", "serving", "true"),
		}},
	})
}

func TestAccStatus(t *testing.T) {
	file, _ := routesFile(t, oneRoute)
	first, second := newAdminFake(t, file), newAdminFake(t, file)
	config := fmt.Sprintf("data \"tunnelform_status\" \"now\" { admin = [%q, %q] }\n", first.address, second.address)
	address := "data.tunnelform_status.now"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config, Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "revision", store.RevisionOf([]byte(oneRoute))),
				resource.TestCheckResourceAttr(address, "sound", "true"),
				resource.TestCheckResourceAttr(address, "proxies.#", "2"),
				resource.TestCheckResourceAttr(address, "proxies.1.address", second.address),
				resource.TestCheckResourceAttr(address, "proxies.0.version", "v1"),
				resource.TestCheckResourceAttr(address, "proxies.0.generation", "3"),
				resource.TestCheckResourceAttr(address, "proxies.0.routes", "1"),
				resource.TestCheckResourceAttr(address, "proxies.0.tunnels.open", "7"),
				resource.TestCheckResourceAttr(address, "proxies.0.tunnels.draining", "2"),
				resource.TestCheckResourceAttr(address, "proxies.0.started_at", "1970-01-01T00:00:00Z"),
				resource.TestCheckResourceAttr(address, "proxies.0.loaded_at", "1970-01-01T00:01:00Z"),
				resource.TestCheckResourceAttr(address, "proxies.0.listeners.web", "127.0.0.1:8080"),
				resource.TestCheckResourceAttr(address, "proxies.0.files."+file, store.RevisionOf([]byte(oneRoute))),
			)},
			{
				PreConfig: both(both(first.does(refuse(certificateGone)), second.does(sleep)), edit(t, file, twoRoutes)), Config: config,
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(address, "sound", "false"),
					resource.TestCheckResourceAttr(address, "proxies.0.refused.revision", store.RevisionOf([]byte(twoRoutes))),
					resource.TestCheckResourceAttr(address, "proxies.0.refused.mistakes.0", certificateGone.String()),
				),
			},
			{PreConfig: second.does(wake), Config: config, Check: resource.TestCheckNoResourceAttr(address, "revision")},
			{Config: `data "tunnelform_status" "now" {}`, ExpectError: folded(`no admin address is given: set admin here or in the provider block`)},
			{Config: `data "tunnelform_status" "now" { admin = ["127.0.0.1:1"] }`, ExpectError: folded(`Cannot ask a proxy.*admin "127.0.0.1:1": `)},
			{Config: `data "tunnelform_status" "now" { admin = ["x"] }`, ExpectError: folded(`"x": want host:port or unix:/path`)},
			{Config: config},
		},
	})
}
