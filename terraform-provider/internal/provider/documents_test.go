package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

const documentBlock = `
data "tunnelform_routes_document" "all" {
  listeners = { web = { address = ":8080" } }
  defaults  = { timeouts = { connect = "3s" } }
  pools     = { chat = { backends = { a = { url = "ws://10.0.0.1:9000", drain = true } } } }
  routes = {
    rooms = {
      match     = { path = "/rooms/{room}/ws", headers = { X-V = { value = "1.10" } }, methods = ["GET"] }
      to        = "pool://chat/r/{room}"
      keepalive = { ping = "off" }
    }
    gone = { match = { path = "/gone", priority = 3 }, respond = { status = 410 } }
  }
}
`

const documentText = `version: 1

listeners:
  web:
    address: ":8080"

defaults:
  timeouts: {connect: 3s}

pools:
  chat:
    backends:
      a: {url: "ws://10.0.0.1:9000", drain: true}

routes:
  gone:
    match: {path: /gone, priority: 3}
    respond: {status: 410}
  rooms:
    match:
      path: "/rooms/{room}/ws"
      methods: [GET]
      headers: {X-V: "1.10"}
    to: "pool://chat/r/{room}"
    keepalive: {ping: off}
`

// The document as text, and as the file that a resource writes of it.
func TestAccRoutesDocument(t *testing.T) {
	file, provider := routesFile(t, emptyFile)
	address := "data.tunnelform_routes_document.all"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: provider + documentBlock + "resource \"tunnelform_routes_file\" \"all\" { content = data.tunnelform_routes_document.all.yaml }\n",
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "yaml", documentText),
				resource.TestCheckResourceAttr(address, "revision", store.RevisionOf([]byte(documentText))),
				holds(file, documentText),
			),
		}},
	})
}

func TestAccRoutesDocumentMerges(t *testing.T) {
	merge := func(sources, own, overrides string) string {
		return fmt.Sprintf("data \"tunnelform_routes_document\" \"all\" {\n  source_documents = %s\n  override_documents = %s\n%s\n}\n", sources, overrides, own)
	}
	yaml := func(text string) string { return fmt.Sprintf("%q", "version: 1\n"+text) }
	echo := func(name, path string) string {
		return fmt.Sprintf("routes: {%s: {match: {path: %s}, to: \"internal://echo\"}}\n", name, path)
	}
	result := func(want string) resource.TestCheckFunc {
		return resource.TestCheckResourceAttr("data.tunnelform_routes_document.all", "yaml", want)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{ // the block replaces sources' records, overrides replace both
				Config: merge("["+yaml(echo("a", "/1"))+", "+yaml(echo("b", "/b"))+"]",
					`routes = { a = { match = { path = "/2" }, to = "internal://echo" }, c = { match = { path = "/c" }, to = "internal://echo" } }`,
					"["+yaml(echo("c", "/3"))+", "+yaml(echo("c", "/4"))+"]"),
				Check: result("version: 1\n\nroutes:\n  a:\n    match: {path: /2}\n    to: \"internal://echo\"\n  b:\n    match: {path: /b}\n    to: \"internal://echo\"\n  c:\n    match: {path: /4}\n    to: \"internal://echo\"\n"),
			},
			{ // `routes: {}` is consent, wherever it stands
				Config: merge("["+yaml("routes: {}\n")+", "+yaml("routes: {}\nshutdown: {delay: 1s}\n")+"]", "", "[]"),
				Check:  result("version: 1\nshutdown: {delay: 1s}\nroutes: {}\n"),
			},
			{
				Config:      merge("["+yaml(echo("a", "/1"))+", "+yaml(echo("a", "/1"))+"]", "", "[]"),
				ExpectError: folded(`routes.a is also in source_documents\[0\]: a name may be in only one of source_documents`),
			},
			{
				Config:      merge("["+yaml("rotes: {}\n")+"]", "", "[]"),
				ExpectError: folded(`source_documents\[0\]:2:1: unknown key "rotes"`),
			},
			{ // what only the whole can get wrong
				Config:      merge("[]", `routes = { a = { match = { path = "/a" }, to = "pool://p" } }`, "[]"),
				ExpectError: folded(`routes = \{ a = .*route "a": to "pool://p": unknown pool "p": there are no pools`),
			},
			{
				Config:      merge("["+yaml(echo("b", "/a"))+"]", `routes = { a = { match = { path = "/a" }, to = "internal://echo" } }`, "[]"),
				ExpectError: folded(`route "b".*"a"`),
			},
			{
				Config:      merge("[]", "", "[]"),
				ExpectError: folded(`Invalid routes document.*routes`),
			},
			{ // another file's pool
				Config: merge("[]", "routes = { a = { match = { path = \"/a\" }, to = \"pool://p\" } }\n  context_documents = ["+yaml("pools: {p: {backends: {b: {url: \"ws://h\"}}}}\n")+"]", "[]"),
				Check:  result("version: 1\n\nroutes:\n  a:\n    match: {path: /a}\n    to: \"pool://p\"\n"),
			},
		},
	})
}

// A document with unknown values is rendered at apply.
func TestAccRoutesDocumentUnknown(t *testing.T) {
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: `
resource "terraform_data" "later" { input = "h" }
data "tunnelform_routes_document" "all" {
  routes = { a = { to = "ws://${terraform_data.later.output}" } }
}
output "yaml" { value = data.tunnelform_routes_document.all.yaml }`,
			Check: resource.TestCheckOutput("yaml", "version: 1\n\nroutes:\n  a:\n    to: \"ws://h\"\n"),
		}},
	})
}

func TestAccRoutesData(t *testing.T) {
	file, provider := routesFile(t, documentText)
	config := provider + "data \"tunnelform_routes\" \"now\" {}\n"
	address := "data.tunnelform_routes.now"
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config, Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "exists", "true"),
				resource.TestCheckResourceAttr(address, "content", documentText),
				resource.TestCheckResourceAttr(address, "revision", store.RevisionOf([]byte(documentText))),
				resource.TestCheckResourceAttr(address, "mistakes.#", "0"),
				resource.TestCheckResourceAttr(address, "names.#", "2"),
				resource.TestCheckResourceAttr(address, "names.1", "rooms"),
				resource.TestCheckResourceAttr(address, "routes.rooms.match.headers.X-V.value", "1.10"),
				resource.TestCheckResourceAttr(address, "routes.rooms.keepalive.ping", "off"),
				resource.TestCheckResourceAttr(address, "routes.gone.match.priority", "3"),
				resource.TestCheckResourceAttr(address, "pools.chat.backends.a.drain", "true"),
				resource.TestCheckResourceAttr(address, "listeners.web.address", ":8080"),
				resource.TestCheckResourceAttr(address, "defaults.timeouts.connect", "3s"),
			)},
			{ // with mistakes, it is read as far as it can be
				PreConfig: edit(t, file, "version: 1\nroutes:\n  a: {to: \"ws://h\", tO: 1}\n"), Config: config,
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(address, "names.0", "a"),
					resource.TestCheckResourceAttr(address, "mistakes.#", "1"),
					resource.TestCheckResourceAttr(address, "mistakes.0", file+`:3:21: route "a": unknown key "tO", did you mean "to"?`),
				),
			},
			{ // there is none
				Config: "provider \"tunnelform\" { file = \"" + file + ".none\" }\ndata \"tunnelform_routes\" \"now\" {}\n",
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckResourceAttr(address, "exists", "false"),
					resource.TestCheckResourceAttr(address, "content", ""),
					resource.TestCheckResourceAttr(address, "names.#", "0"),
				),
			},
			{Config: "data \"tunnelform_routes\" \"now\" {}\n", ExpectError: folded("no routes file is configured")},
			{Config: config},
		},
	})
}

// A mistake is reported at its attribute, even if a name has dots.
func TestPlaceInDocument(t *testing.T) {
	own := routefile.Plain{
		"routes":   routefile.Plain{"a": routefile.Plain{"to": "pool://p"}, "b.c": routefile.Plain{"match": routefile.Plain{"path": "/"}}},
		"defaults": routefile.Plain{"timeouts": routefile.Plain{"connect": "x"}},
	}
	for key, want := range map[string]string{
		"routes.a.to":               `routes`,
		"routes.b.c.match.path":     `routes`,
		"routes.other.to":           `routes`,
		"defaults.timeouts.connect": `defaults`,
		"pools.p":                   ``,
		"":                          ``,
	} {
		if got := attributeInDocument(own, key).String(); got != want {
			t.Errorf("%q is at %q, want %q", key, got, want)
		}
	}
}
