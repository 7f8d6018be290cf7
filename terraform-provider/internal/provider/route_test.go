package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// factories run the provider in the test's own process.
var factories = map[string]func() (tfprotov6.ProviderServer, error){
	"tunnelform": func() (tfprotov6.ProviderServer, error) {
		return providerserver.NewProtocol6(New("test")())(), nil
	},
}

// routesFile makes a routes file and returns its path and a provider block for it.
func routesFile(t *testing.T, content string, settings ...string) (file, block string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	block = fmt.Sprintf("provider \"tunnelform\" {\n  file = %q\n  clash_wait = \"1s\"\n", file)
	for _, s := range settings {
		block += "  " + s + "\n"
	}
	return file, block + "}\n"
}

func TestAccRoute(t *testing.T) {
	file, provider := routesFile(t, "version: 1\nroutes: {}\n")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: provider + `
resource "tunnelform_route" "chat" {
  name  = "chat"
  match = { path_prefix = "/chat/" }
  to    = "ws://10.0.0.1:9000/"
}`,
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("tunnelform_route.chat", "match.path_prefix", "/chat/"),
				resource.TestCheckNoResourceAttr("tunnelform_route.chat", "serving"),
			),
		}},
	})
	left, err := os.ReadFile(file)
	if err != nil || string(left) != "version: 1\nroutes: {}\n" {
		t.Errorf("after destroy the file holds %q (%v), want what it held", left, err)
	}
}
