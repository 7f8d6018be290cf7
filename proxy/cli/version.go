package cli

import "runtime/debug"

// version is set by the linker for releases: -X .../proxy/cli.version=v1.2.3.
var version = ""

// versionText is the release, or what Go knows of the build.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
