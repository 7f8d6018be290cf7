// Command terraform-provider-tunnelform is the Terraform provider: routes as
// infrastructure code, with the proxy's own validator and editor.
//
// Terraform starts it and speaks to it over gRPC; started by hand it says so and
// exits. -debug keeps it running for a debugger and prints how to attach.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/tunnelform/tunnelform/terraform-provider/internal/provider"
)

// version is set by the linker for releases.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "keep running, for a debugger")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/tunnelform/tunnelform",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}
