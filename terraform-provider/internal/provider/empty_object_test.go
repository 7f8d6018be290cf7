package provider

import (
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

func TestEmptyObjects(t *testing.T) {
	tests := []struct {
		name    string
		p       routefile.Plain
		unknown []string
		want    []string
	}{
		{"nothing is given", routefile.Plain{}, nil, nil},
		{"all say something", routefile.Plain{"match": routefile.Plain{"path": "/"}}, nil, nil},
		{"a misspelt match", routefile.Plain{"match": routefile.Plain{}, "to": "ws://h"}, nil, []string{"match"}},
		{"deep down", routefile.Plain{"match": routefile.Plain{"headers": routefile.Plain{"X-A": routefile.Plain{}}}}, nil, []string{"match"}},
		{"a mapping of names may be empty", routefile.Plain{"match": routefile.Plain{"headers": routefile.Plain{}}}, nil, nil},
		{"not known yet", routefile.Plain{"match": routefile.Plain{}, "drain": routefile.Plain{}}, []string{"match.path"}, []string{"drain"}},
	}
	for _, tt := range tests {
		var got []string
		for _, d := range emptyObjects(shapeOf(routefile.InRoutes), tt.p, tt.unknown) {
			got = append(got, d.(interface{ Path() path.Path }).Path().String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: warned of %q, want %q", tt.name, got, tt.want)
		}
	}
}
