// Command terraform-provider-tunnelform is the Terraform provider: routes as
// infrastructure code, with the proxy's own validator and editor.
//
// Terraform starts it and speaks to it over gRPC; started by hand it says so and
// exits. -debug keeps it running for a debugger and prints how to attach.
package main

import (
	"cmp"
	"flag"
	"log"
	"runtime/debug"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/tunnelform/tunnelform/terraform-provider/internal/provider"
)

// version is set by the linker for releases: -X main.version=1.2.3.
var version = ""

// versionText is the release, or the version that Go has derived from the commit.
// Terraform writes versions without a v.
func versionText() string {
	derived := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		derived = strings.TrimPrefix(info.Main.Version, "v")
	}
	return cmp.Or(version, derived, "dev")
}

func main() {
	attach := flag.Bool("debug", false, "keep running, for a debugger")
	flag.Parse()
	// The process lives for the seconds of one run, and most of what it allocates
	// is messages: collecting rarely saves a fifth of its time.
	debug.SetGCPercent(400)
	provider.QuietUnlessLogged()
	var options []tf6server.ServeOpt
	if *attach {
		options = append(options, tf6server.WithManagedDebug())
	}
	err := tf6server.Serve("registry.terraform.io/tunnelform/tunnelform", provider.NewServer(versionText()), options...)
	if err != nil {
		log.Fatal(err)
	}
}
