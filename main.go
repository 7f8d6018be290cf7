// Command tunnelform is a WebSocket-first reverse proxy whose routes are
// infrastructure code: see the README, and tunnelform help.
package main

import (
	"os"

	"github.com/tunnelform/tunnelform/proxy/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
