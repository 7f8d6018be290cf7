package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

const (
	managed = `
resource "tunnelform_route" "a" {
  name  = "a"
  match { path = "/a" }
  to    = "internal://echo"
}
`
	onlyManaged = managed + `
resource "tunnelform_routes_exclusive" "only" {
  routes = [tunnelform_route.a.name]
}
`
	withManaged  = "version: 1\nroutes:\n  a:\n    match: {path: /a}\n    to: \"internal://echo\"\n"
	withStranger = withManaged + "  stranger: {match: {path: /s}, to: \"pool://p\"} # by hand\npools:\n  p: {backends: {b: {url: \"ws://h\"}}}\n"
	withoutRoute = withManaged + "pools:\n  p: {backends: {b: {url: \"ws://h\"}}}\n"
)

func TestAccRoutesExclusive(t *testing.T) {
	file, provider := routesFile(t, "version: 1\nroutes:\n  old: {match: {path: /old}, to: \"internal://echo\"}\n")
	address := "tunnelform_routes_exclusive.only"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{ // create removes what stood there
				Config: provider + onlyManaged,
				Check: resource.ComposeAggregateTestCheckFunc(holds(file, withManaged),
					resource.TestCheckResourceAttr(address, "routes.#", "1"),
					resource.TestCheckResourceAttr(address, "on_others", "remove")),
			},
			{ // drift: a hand edit is a difference of names, and the apply removes it; pools are not looked at
				PreConfig: edit(t, file, withStranger), Config: provider + onlyManaged,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)}},
				Check:            holds(file, withoutRoute),
			},
			{ResourceName: address, ImportState: true, ImportStateId: "routes", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "on_others"},
			{ResourceName: address, ImportState: true, ImportStateId: "all", ExpectError: folded(`"all": want routes, pools or routes,pools`)},
			{ // pools are looked at once they are named
				Config: provider + managed + "resource \"tunnelform_routes_exclusive\" \"only\" {\n  routes = [tunnelform_route.a.name]\n  pools = []\n}\n",
				Check:  holds(file, withManaged),
			},
			{ // error instead
				PreConfig: edit(t, file, withStranger), Config: provider + managed + "resource \"tunnelform_routes_exclusive\" \"only\" {\n  routes = [\"a\"]\n  on_others = \"error\"\n}\n",
				ExpectError: folded(`Unexpected records in the routes file.*routes.yaml:6:\d+: route "stranger"`),
			},
			{Config: provider + "resource \"tunnelform_routes_exclusive\" \"only\" {}", ExpectError: folded("at least one of routes and pools is required")},
			{Config: provider + "resource \"tunnelform_routes_exclusive\" \"only\" {\n  routes = []\n  on_others = \"drop\"\n}\n", ExpectError: folded(`"drop": want remove or error`)},
			{ // a dropped name goes with its resource, and destroying the list deletes nothing
				PreConfig: edit(t, file, withStranger), Config: provider + managed, Check: holds(file, withStranger),
			},
		},
	})
}

// An unknown name is not an error at plan, and no name is removed.
func TestAccRoutesExclusiveUnknown(t *testing.T) {
	file, provider := routesFile(t, withManaged+"  b: {match: {path: /b}, to: \"internal://echo\"}\n")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: provider + `
resource "terraform_data" "later" { input = "a" }
resource "tunnelform_routes_exclusive" "only" { routes = [terraform_data.later.output] }`,
			Check: holds(file, withManaged),
		}},
		CheckDestroy: holds(file, withManaged),
	})
}

// A record added between plan and apply is not removed.
func TestAccRoutesExclusiveUnseen(t *testing.T) {
	file, provider := routesFile(t, withManaged)
	config := func(trigger, routes string) string {
		return provider + `
resource "terraform_data" "hand" {
  triggers_replace = ` + trigger + `
  provisioner "local-exec" {
    command     = "printf '%s' \"$HAND\" > ` + file + `"
    environment = { HAND = ` + inHCL(withStranger) + ` }
  }
}
resource "tunnelform_routes_exclusive" "only" {
  depends_on = [terraform_data.hand]
  routes     = ` + routes + `
}`
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config("1", `["a", "stranger"]`), Check: holds(file, withStranger)},
			{PreConfig: edit(t, file, withManaged), Config: config("1", `["a"]`), Check: holds(file, withManaged)},
			{Config: config("2", `["a", "b"]`), ExpectError: folded(`Added since it was planned.*routes.yaml:6:\d+: route "stranger"`)},
			{PreConfig: stillHolds(t, file, withStranger), Config: config("2", `["a", "b"]`), Check: holds(file, withoutRoute)},
		},
	})
}
