package provider

import (
	"context"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

// functionsExist skips versions of terraform without provider functions.
var functionsExist = []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_8_0)}

const soundFile = `version: 1
pools:
  chat: {backends: {a: {url: "ws://10.0.0.1:9000"}}}
routes:
  rooms: {match: {path: "/rooms/{room}/ws", headers: {X-V: "1.10"}}, to: "pool://chat/r/{room}", keepalive: off}
  site:  {match: {path_prefix: /}, to: "http://site.example.com"}
`

// inHCL is a text as HCL writes it, over several lines.
func inHCL(text string) string {
	text = strings.ReplaceAll(text, "${", "$${")
	return "<<-EOT\n" + strings.TrimSuffix(text, "\n") + "\nEOT\n"
}

// TestAccFunctions calls each function from terraform.
func TestAccFunctions(t *testing.T) {
	config := `
locals {
  sound = ` + inHCL(soundFile) + `
  why   = provider::tunnelform::explain(local.sound, "wss://h/rooms/7/ws", { headers = { X-V = "1.10" } })
  plain = provider::tunnelform::explain(local.sound, "http://h/x")
  read  = provider::tunnelform::decode(local.sound)
}
output "sound"    { value = length(provider::tunnelform::check(local.sound)) }
output "mistakes" { value = provider::tunnelform::check("version: 1\nroutes:\n  a: {to: \"ws://h\", tO: 1}\n")[0].message }
output "set"      { value = provider::tunnelform::check("version: 1\nroutes: {a: {to: \"pool://p\"}}\n", "version: 1\npools: {p: {backends: {a: {url: \"ws://h\"}}}}\n") }
output "route"    { value = local.why.route }
output "outcome"  { value = local.why.outcome }
output "plain"    { value = local.plain.route }
output "none"     { value = provider::tunnelform::explain("version: 1\nroutes: {}\n", "http://h/").route == null }
output "version"  { value = local.read.routes.rooms.match.headers["X-V"].value }
output "ping"     { value = local.read.routes.rooms.keepalive.ping }
output "encoded"  { value = provider::tunnelform::encode({ routes = { a = { match = { path = "/a", priority = 3 }, to = "ws://h", limits = { message_size = 1000 }, drain = null } } }) }
output "again"    { value = provider::tunnelform::encode(local.read) == provider::tunnelform::encode(provider::tunnelform::decode(provider::tunnelform::encode(local.read))) }
output "revision" { value = provider::tunnelform::revision(local.sound) }
`
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		TerraformVersionChecks:   functionsExist,
		Steps: []resource.TestStep{{
			Config: config,
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckOutput("sound", "0"),
				resource.TestCheckOutput("mistakes", `yaml:3:21: route "a": unknown key "tO", did you mean "to"?`),
				resource.TestCheckOutput("route", "rooms"),
				resource.TestCheckOutput("outcome", "opens a tunnel (websocket) to pool chat (ws://10.0.0.1:9000), /r/7"),
				resource.TestCheckOutput("plain", "site"),
				resource.TestCheckOutput("none", "true"),
				resource.TestCheckOutput("version", "1.10"),
				resource.TestCheckOutput("ping", "off"),
				resource.TestCheckOutput("encoded", "version: 1\n\nroutes:\n  a:\n    match: {path: /a, priority: 3}\n    to: \"ws://h\"\n    limits: {message_size: 1000}\n"),
				resource.TestCheckOutput("again", "true"),
				resource.TestCheckOutput("revision", store.RevisionOf([]byte(soundFile))),
			),
		}},
	})
}

// TestAccFunctionErrors: errors name their argument.
func TestAccFunctionErrors(t *testing.T) {
	tests := []struct{ call, want string }{
		{`decode("version: 2\nroutes: {}\n")`, `yaml:1:10: version "2": this release reads version 1`},
		{`decode("a: [")`, `yaml:1:\d+: not YAML`},
		{`encode("text")`, `not an object: want the keys of a routes file`},
		{`encode({ rotes = {} })`, `unknown key "rotes", did you mean "routes"\?`},
		{`encode({ routes = { a = { to = "ftp://h" } } })`, `routes.a.to: `},
		{`explain("version: 1\nroutes: {a: {to: \"pool://p\"}}\n", "http://h/")`, `yaml:2:\d+: route "a".*"p"`},
		{`explain("version: 1\nroutes: {}\n", "ftp://h/")`, `URL with the scheme "ftp": want http, https, ws or wss`},
		{`explain("version: 1\nroutes: {}\n", "http://h/", { verb = "GET" })`, `unknown option "verb": want client, headers, listener, method or upgrade`},
		{`explain("version: 1\nroutes: {}\n", "http://h/", { client = "me" })`, `client "me": want an IP address`},
		{`explain("version: 1\nroutes: {}\n", "http://h/", { headers = "a" })`, `headers is not a map`},
		{`explain("version: 1\nroutes: {}\n", "http://h/", "GET")`, `not an object: want {method`},
	}
	var steps []resource.TestStep
	for _, tt := range tests {
		steps = append(steps, resource.TestStep{
			Config:      `output "x" { value = provider::tunnelform::` + tt.call + ` }`,
			ExpectError: folded(tt.want),
		})
	}
	steps = append(steps, resource.TestStep{Config: `output "x" { value = 1 }`}) // an expected error must not be the last
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, TerraformVersionChecks: functionsExist, Steps: steps})
}

// folded is a pattern in which a space may be where terraform breaks a line.
func folded(pattern string) *regexp.Regexp {
	return regexp.MustCompile("(?s)" + strings.ReplaceAll(pattern, " ", `[\s│]+`))
}

// TestAccFunctionsUnknown: unknown arguments are not an error.
func TestAccFunctionsUnknown(t *testing.T) {
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		TerraformVersionChecks:   functionsExist,
		Steps: []resource.TestStep{{
			Config: `
resource "terraform_data" "later" { input = "h" }
output "encoded" {
  value = provider::tunnelform::encode({ routes = { a = { to = "ws://${terraform_data.later.output}" } } })
}
output "route" {
  value = provider::tunnelform::explain("version: 1\nroutes: {a: {to: \"ws://${terraform_data.later.output}\"}}\n", "ws://x/").outcome
}`,
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckOutput("encoded", "version: 1\n\nroutes:\n  a:\n    to: \"ws://h\"\n"),
				resource.TestCheckOutput("route", "opens a tunnel (websocket) to ws://h/"),
			),
		}},
	})
}

// run calls a function as the plugin server does.
func run(t *testing.T, f function.Function, arguments ...attr.Value) (attr.Value, *function.FuncError) {
	t.Helper()
	var def function.DefinitionResponse
	f.Definition(context.Background(), function.DefinitionRequest{}, &def)
	result, failed := def.Definition.Return.NewResultData(context.Background())
	if failed != nil {
		t.Fatal(failed)
	}
	resp := function.RunResponse{Result: result}
	f.Run(context.Background(), function.RunRequest{Arguments: function.NewArgumentsData(arguments)}, &resp)
	return resp.Result.Value(), resp.Error
}

// encode(decode(x)) means the same as x.
func TestDecodeThenEncode(t *testing.T) {
	read, failed := run(t, newDecodeFunction(), types.StringValue(soundFile))
	if failed != nil {
		t.Fatal(failed)
	}
	text, failed := run(t, newEncodeFunction(), read)
	if failed != nil {
		t.Fatal(failed)
	}
	again, errs := routefile.Parse("-", []byte(text.(types.String).ValueString()))
	before, _ := routefile.Parse("-", []byte(soundFile))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"rooms", "site"} {
		if again.Fingerprint(routefile.InRoutes, name) != before.Fingerprint(routefile.InRoutes, name) {
			t.Errorf("route %q means something else in\n%s", name, text)
		}
	}
}

func TestPlainOfValues(t *testing.T) {
	object := types.DynamicValue(types.ObjectValueMust(
		map[string]attr.Type{"n": types.NumberType, "l": types.TupleType{ElemTypes: []attr.Type{types.BoolType, types.StringType}}, "z": types.StringType},
		map[string]attr.Value{
			"n": types.NumberValue(big.NewFloat(0.5)),
			"l": types.TupleValueMust([]attr.Type{types.BoolType, types.StringType}, []attr.Value{types.BoolValue(true), types.StringNull()}),
			"z": types.StringNull(),
		}))
	p, err := plainFromAttr(object)
	if err != nil {
		t.Fatal(err)
	}
	plain := p.(routefile.Plain)
	if plain["n"] != "0.5" || !slices.Equal(plain["l"].([]any), []any{true}) || len(plain) != 2 {
		t.Errorf("plain values are %v, want 0.5 as text, a list of true, and no null", plain)
	}
	if _, err := plainFromAttr(types.StringUnknown()); err == nil {
		t.Error("an unknown value is read, want an error")
	}
}
