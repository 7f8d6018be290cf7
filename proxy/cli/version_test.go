package cli

import (
	"runtime/debug"
	"testing"
)

func TestBuildText(t *testing.T) {
	tree := func(settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	tests := []struct {
		info *debug.BuildInfo
		want string
	}{
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		{&debug.BuildInfo{}, "(devel)"},
		{tree(), "(devel)"},
		{tree(commit, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "(devel) 0123456789ab"},
		{tree(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "(devel) 0123456789ab, changed"},
		{tree(debug.BuildSetting{Key: "vcs.revision", Value: "short"}), "(devel) short"},
	}
	for _, tt := range tests {
		if got := buildText(tt.info); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
