package provider

// Warnings about empty objects. Terraform silently drops object keys that the
// schema does not know before a provider sees them: a misspelt
// `match = { path_prefx = "/a" }` arrives as a match of everything.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// emptyObjects warns of every empty object in p. unknown has the dotted paths of
// values that are not known yet: an object that holds one is not empty.
func emptyObjects(s *shape, p routefile.Plain, unknown []string) (diags diag.Diagnostics) {
	walkEmptyObjects(s, p, path.Empty(), "", func(at path.Path, place string) {
		under := func(u string) bool { return u == place || strings.HasPrefix(u, place+".") }
		if !slices.ContainsFunc(unknown, under) {
			diags.Append(emptyObject(at, place))
		}
	})
	return diags
}

// emptyObjectsIn is emptyObjects for one key of a document, where all values are known.
func emptyObjectsIn(name string, value any) (diags diag.Diagnostics) {
	walkEmptyObjects(shapes[name], value, path.Root(name), name, func(at path.Path, place string) { diags.Append(emptyObject(at, place)) })
	return diags
}

func walkEmptyObjects(s *shape, value any, at path.Path, place string, found func(path.Path, string)) {
	p, ok := value.(routefile.Plain)
	if !ok || s == nil {
		return
	}
	if len(p) == 0 && s.key.Kind == routefile.KindMapping && place != "" {
		found(at, place)
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		below := at.AtName(name)
		if s.element != nil {
			below = at.AtMapKey(name)
		}
		walkEmptyObjects(s.child(name), p[name], below, strings.TrimPrefix(place+"."+name, "."), found)
	}
}

func emptyObject(at path.Path, place string) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(topLevelAttribute(at), "Empty object",
		fmt.Sprintf("%s has no keys. Terraform silently drops keys that the schema does not know: check their spelling, or remove %[1]s", place))
}
