package provider

// The reference's examples are applied as they are, except for the provider block.

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	fwresource "github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

const examplesDir = "../../examples"

// exampleNames has what needs an example, by directory.
func exampleNames() map[string]string {
	all := map[string]string{}
	for _, f := range resources {
		var resp fwresource.MetadataResponse
		f().Metadata(context.Background(), fwresource.MetadataRequest{ProviderTypeName: "tunnelform"}, &resp)
		all["resources/"+resp.TypeName] = "resource.tf"
	}
	for _, f := range dataSources {
		var resp datasource.MetadataResponse
		f().Metadata(context.Background(), datasource.MetadataRequest{ProviderTypeName: "tunnelform"}, &resp)
		all["data-sources/"+resp.TypeName] = "data-source.tf"
	}
	for _, f := range functions {
		var resp function.MetadataResponse
		f().Metadata(context.Background(), function.MetadataRequest{}, &resp)
		all["functions/"+resp.Name] = "function.tf"
	}
	return all
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// exampleProvider is the provider's example, for the test's file and proxy.
func exampleProvider(t *testing.T, file, admin string) string {
	t.Helper()
	block := readExample(t, "provider/provider.tf")
	block = block[strings.Index(block, "provider \"tunnelform\" {"):] // the tests say themselves where the provider comes from
	for old, now := range map[string]string{exampleFile: file, "127.0.0.1:9901": admin} {
		if !strings.Contains(block, `"`+old+`"`) {
			t.Fatalf("the provider's example does not say %q", old)
		}
		block = strings.Replace(block, `"`+old+`"`, `"`+now+`"`, 1)
	}
	return block
}

// exampleFile is the routes file that the examples refer to.
const exampleFile = "/etc/tunnelform/routes.yaml"

func TestAccExamples(t *testing.T) {
	for dir, name := range exampleNames() {
		t.Run(dir, func(t *testing.T) {
			file, _ := routesFile(t, emptyFile)
			fake := newAdminFake(t, file)
			fake.obliging = strings.HasSuffix(dir, "tunnelform_serving")
			config := exampleProvider(t, file, fake.address) + readExample(t, filepath.Join(dir, name))
			steps := []resource.TestStep{{Config: config}}
			// The test framework cannot import beside keys of for_each; TestAccRoutesExclusive does.
			if address, id, ok := importLine(t, dir); ok && !strings.Contains(config, "for_each") {
				steps = append(steps, resource.TestStep{
					Config: config, ResourceName: address, ImportState: true, ImportStateId: strings.Replace(id, exampleFile, file, 1),
				})
			}
			steps = append(steps, resource.TestStep{Config: exampleProvider(t, file, fake.address)}) // and destroyed
			resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, TerraformVersionChecks: functionsExist, Steps: steps})
		})
	}
}

// importLine is the address and the id of a resource's import example.
func importLine(t *testing.T, dir string) (address, id string, ok bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examplesDir, dir, "import.sh"))
	if err != nil {
		return "", "", false
	}
	m := regexp.MustCompile(`(?m)^terraform import (\S+) (\S+)$`).FindStringSubmatch(string(data))
	if m == nil {
		t.Fatalf("%s: no import command in import.sh", dir)
	}
	return m[1], m[2], true
}

// No example is of something that does not exist.
func TestNoExampleIsLeftOver(t *testing.T) {
	known := exampleNames()
	for _, kind := range []string{"resources", "data-sources", "functions"} {
		entries, err := os.ReadDir(filepath.Join(examplesDir, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if known[kind+"/"+e.Name()] == "" {
				t.Errorf("%s/%s is the example of nothing", kind, e.Name())
			}
		}
	}
}

// TestAccGuide applies the guide's first configuration, as a reader types it.
func TestAccGuide(t *testing.T) {
	data, err := os.ReadFile("../../../docs/terraform.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hcl\nterraform {.*?\n}\n\n(provider .*?)```").FindSubmatch(data)
	if block == nil {
		t.Fatal("docs/terraform.md has no block that begins with terraform and a provider")
	}
	file, _ := routesFile(t, "version: 1\nlisteners: {web: {address: \"127.0.0.1:8080\"}}\nroutes: {}\n")
	fake := newAdminFake(t, file)
	config := strings.NewReplacer(`"routes.yaml"`, `"`+file+`"`, `"127.0.0.1:9901"`, `"`+fake.address+`"`).Replace(string(block[1]))
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config, Check: resource.TestCheckResourceAttr("tunnelform_route.echo", "serving", "true")},
			{Config: strings.Replace(config, `path = "/echo"`, `path = "echo"`, 1), ExpectError: folded(`line \d+, in resource "tunnelform_route" "echo": \d+: path = "echo".*"echo"`)},
			{Config: config},
		},
	})
}

// TestAccGuideModule applies the guide's module, with and without what it may leave out.
func TestAccGuideModule(t *testing.T) {
	data, err := os.ReadFile("../../../docs/terraform.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hcl\n(variable .*?)```").FindSubmatch(data)
	if block == nil {
		t.Fatal("docs/terraform.md has no block that begins with a variable")
	}
	file, provider := routesFile(t, noRoutes)
	backends := config.MapVariable(map[string]config.Variable{"a": config.StringVariable("ws://10.0.0.1:9000"), "b": config.StringVariable("ws://10.0.0.2:9000")})
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: provider + string(block[1]), ConfigVariables: config.Variables{"backends": backends},
				Check: resource.ComposeAggregateTestCheckFunc(fileHas(file, `to: "pool://rooms/"`), fileHas(file, `b: {url: "ws://10.0.0.2:9000"}`))},
			{Config: provider + string(block[1]), ConfigVariables: config.Variables{"backends": backends, "redirect": config.StringVariable("/new/"), "allow": config.ListVariable(config.StringVariable("10.0.0.0/8"))},
				Check: resource.ComposeAggregateTestCheckFunc(fileHas(file, "redirect: {to: /new/}"), fileHas(file, "client: [10.0.0.0/8]"))},
		},
	})
}
