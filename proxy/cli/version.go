package cli

// tunnelform version: the version of this build, and what it was built from.

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker for releases: -X .../proxy/cli.version=v1.2.3.
var version = ""

func newVersionCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the toolchain, the commit and the modules of this build",
		Long: `Prints the version, the Go toolchain and the platform on the first line, then the
commit that this binary was built from, if the build recorded it, and every module
that is linked into it.`,
		Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			info, _ := debug.ReadBuildInfo()
			fmt.Fprint(env.Stdout, versionLine(), buildDetails(info))
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("tunnelform %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionText is the release, or the version that Go has derived from the commit.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); version == "" && ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return cmp.Or(version, "(devel)")
}

// buildDetails returns a line for the commit and one for each module, replaced modules as
// what replaces them: that is the code that is linked.
func buildDetails(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	var text strings.Builder
	if revision := settings["vcs.revision"]; revision != "" {
		fmt.Fprintf(&text, "commit %s %s", revision, settings["vcs.time"])
		if settings["vcs.modified"] == "true" {
			text.WriteString(" modified")
		}
		text.WriteByte('\n')
	}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		fmt.Fprintf(&text, "module %s %s\n", module.Path, cmp.Or(module.Version, "(devel)"))
	}
	return text.String()
}
