package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// backend is HCL for a backend of a pool.
func backend(name, body string) string {
	return fmt.Sprintf("  backend {\n    name = %q\n    %s\n  }\n", name, body)
}

func TestAccPool(t *testing.T) {
	file, provider := routesFile(t, handWritten)
	config := func(backends string) string {
		return provider + `
resource "tunnelform_pool" "rooms" {
  name     = "rooms"
  balance  = "round_robin"
` + backends + `
}
resource "tunnelform_route" "chat" {
  name  = "chat"
  match { path = "/rooms/{room}" }
  to    = "pool://${tunnelform_pool.rooms.name}/r/{room}"
}
`
	}
	first, second := backend("a", "url = \"ws://10.0.0.1:9000\"\n    drain = true"), backend("b.c", "url = \"wss://b.example\"\n    tls { server_name = \"b.internal\" }")
	twoBackends := first + second
	const address = "tunnelform_pool.rooms"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{
				Config:           config(backend("a", `url = "ws://10.0.0.1:9000"`)),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionCreate),
				Check:            resource.ComposeAggregateTestCheckFunc(fileHas(file, "balance: round_robin"), fileHas(file, "pool://rooms/r/{room}")),
			},
			{
				Config:           config(twoBackends),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionUpdate),
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckTypeSetElemNestedAttrs(address, "backend.*", map[string]string{"name": "a", "drain": "true"}),
					fileHas(file, "b.c:"),
				),
			},
			{
				ResourceName: address, ImportState: true, ImportStateId: "rooms",
				ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name",
			},
			{ // in another order
				Config: config(second + first), PlanOnly: true,
			},
			{
				PreConfig:        func() { replaceIn(t, file, "drain: true", "drain: false") },
				Config:           config(twoBackends),
				ConfigPlanChecks: actions(address, plancheck.ResourceActionUpdate),
				Check:            fileHas(file, "drain: true"),
			},
			{
				Config:      config(backend("a", `url = "ftp://10.0.0.1:9000"`)),
				ExpectError: spaced(`pool "rooms": backends.a.url "ftp://10.0.0.1:9000"`),
			},
			{
				Config:      config(backend("a", `url = "ws://10.0.0.1:9000"`) + backend("b", `url = "ws://10.0.0.1:9000"`)),
				ExpectError: spaced(`backends.b.url "ws://10.0.0.1:9000" is backend "a"`),
			},
			{
				Config:      config(first + backend("a", `url = "ws://10.0.0.2:9000"`)),
				ExpectError: spaced(`pool "rooms": backend "a" is given twice`),
			},
			{ // both go, the route first: nobody may refer to a pool that is gone
				Config: provider,
				Check:  fileIs(file, handWritten),
			},
		},
	})
}

// A pool that a route of the file still uses stays, and so does everything else.
func TestAccPoolInUse(t *testing.T) {
	const before = "version: 1\npools:\n  p: {backends: {a: {url: ws://a.example}}}\nroutes:\n  r: {match: {path: /r}, to: pool://p}\n"
	file, provider := routesFile(t, before)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{
				Config:             provider + "resource \"tunnelform_pool\" \"p\" {\n  name = \"p\"\n  backend {\n    name = \"a\"\n    url = \"ws://a.example\"\n  }\n}\nimport {\n  to = tunnelform_pool.p\n  id = \"p\"\n}\n",
				ConfigPlanChecks:   actions("tunnelform_pool.p", plancheck.ResourceActionNoop),
				Check:              fileIs(file, before),
				ExpectNonEmptyPlan: false,
			},
			{
				Config:      provider,
				ExpectError: spaced(`route "r": to "pool://p": unknown pool "p": there are no pools`),
			},
			{
				Config: provider + "removed {\n  from = tunnelform_pool.p\n  lifecycle {\n    destroy = false\n  }\n}\n",
				Check:  fileIs(file, before),
			},
		},
	})
}
