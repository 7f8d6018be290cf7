package cli

import (
	"runtime/debug"
	"testing"
)

func TestBuildDetails(t *testing.T) {
	stamp := []debug.BuildSetting{{Key: "CGO_ENABLED", Value: "0"}, {Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.time", Value: "2026-11-01T10:00:00Z"}}
	for _, tt := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"no build information", nil, ""},
		{"no stamp", &debug.BuildInfo{Deps: []*debug.Module{{Path: "example.com/a", Version: "v1.2.3"}}}, "module example.com/a v1.2.3\n"},
		{"clean", &debug.BuildInfo{Settings: append(stamp, debug.BuildSetting{Key: "vcs.modified", Value: "false"})}, "commit c0ffee 2026-11-01T10:00:00Z\n"},
		{"modified", &debug.BuildInfo{Settings: append(stamp, debug.BuildSetting{Key: "vcs.modified", Value: "true"})}, "commit c0ffee 2026-11-01T10:00:00Z modified\n"},
		{"replaced", &debug.BuildInfo{Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.2.3", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.2.4"}},
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "../b"}},
		}}, "module example.com/fork v1.2.4\nmodule ../b (devel)\n"},
	} {
		if got := buildDetails(tt.info); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
