package provider

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// schemaOf is a resource's schema.
func schemaOf(t *testing.T, r resource.Resource) schema.Schema {
	t.Helper()
	var resp resource.SchemaResponse
	r.Schema(t.Context(), resource.SchemaRequest{}, &resp)
	if diags := resp.Schema.ValidateImplementation(t.Context()); diags.HasError() {
		t.Fatal(diags)
	}
	return resp.Schema
}

// Every key of a route and a pool is an attribute of its kind's type, and every
// attribute is a key or name, serving or revision.
func TestAttributesAreTheKeys(t *testing.T) {
	for section, r := range map[routefile.Section]resource.Resource{routefile.InRoutes: newRoute(), routefile.InPools: newPool()} {
		got := attributeTypes("", schemaOf(t, r).Type().TerraformType(t.Context()))
		for _, own := range []string{nameAttribute, servingAttribute, revisionAttribute} {
			if got[own] == "" {
				t.Errorf("%s lacks the attribute %q", section, own)
			}
			delete(got, own)
		}
		want := keyTypes(section)
		for path, kind := range want {
			if got[path] != kind {
				t.Errorf("%s: the key %q is an attribute of type %q, want %q", section, path, got[path], kind)
			}
		}
		for path := range got {
			if want[path] == "" {
				t.Errorf("%s: the attribute %q is no key", section, path)
			}
		}
	}
}

// keyTypes derives the wanted types from the keys independently, by path in a record.
func keyTypes(s routefile.Section) map[string]string {
	kinds := map[routefile.Kind]string{
		routefile.KindMapping: "object", routefile.KindNamed: "map", routefile.KindList: "list",
		routefile.KindText: "string", routefile.KindValue: "string", routefile.KindSwitch: "bool", routefile.KindWhole: "number",
		routefile.KindCount: "string", routefile.KindRate: "string", routefile.KindDuration: "string", routefile.KindSize: "string",
		routefile.KindTexts: "list of string", routefile.KindNetworks: "list of string",
		routefile.KindValues: "map of string", routefile.KindValueLists: "map of list of string",
	}
	types := map[string]string{}
	for _, k := range routefile.Keys() {
		path, below := strings.CutPrefix(k.Path, string(s)+".*.")
		if !below || k.Reserved {
			continue
		}
		if k.Name == "*" || k.Name == "[]" {
			if k.Kind == routefile.KindMapping && len(k.Short) > 0 {
				types[path+"."+routefile.ConditionValue] = "string"
			}
			continue
		}
		types[path] = kinds[k.Kind]
	}
	return types
}

// attributeTypes lists an object's attributes by path, with "*" and "[]" as the
// table of keys has them.
func attributeTypes(at string, typ tftypes.Type) map[string]string {
	all := map[string]string{}
	object, _ := typ.(tftypes.Object)
	for name, inner := range object.AttributeTypes {
		path := strings.TrimPrefix(at+"."+name, ".")
		all[path] = typeName(inner)
		switch inner := inner.(type) {
		case tftypes.Object:
			merge(all, attributeTypes(path, inner))
		case tftypes.Map:
			merge(all, attributeTypes(path+".*", inner.ElementType))
		case tftypes.List:
			merge(all, attributeTypes(path+".[]", inner.ElementType))
		}
	}
	return all
}

func merge(all, more map[string]string) {
	for path, name := range more {
		all[path] = name
	}
}

func typeName(typ tftypes.Type) string {
	of := func(word string, element tftypes.Type) string {
		if _, object := element.(tftypes.Object); object {
			return word
		}
		return word + " of " + typeName(element)
	}
	switch typ := typ.(type) {
	case tftypes.Object:
		return "object"
	case tftypes.Map:
		return of("map", typ.ElementType)
	case tftypes.List:
		return of("list", typ.ElementType)
	}
	return strings.ToLower(strings.TrimPrefix(typ.String(), "tftypes."))
}

// Each key's example goes from the file to Terraform and back, and means the same.
func TestValuesKeepMeaning(t *testing.T) {
	seen := 0
	for _, section := range []routefile.Section{routefile.InRoutes, routefile.InPools} {
		for _, k := range routefile.Keys() {
			path, below := strings.CutPrefix(k.Path, string(section)+".*.")
			if !below || k.Reserved || k.Example == "" {
				continue
			}
			text := fmt.Sprintf("version: 1\n%s:\n  r: %s\n", section, nested(strings.Split(path, "."), k.Example))
			file, _ := routefile.Parse("-", []byte(text))
			p := file.Plain(section, "r")
			s := shapeOf(section)
			back, unknown, err := decodePlain(s, toValue(s.typ, p))
			if err != nil || len(unknown) > 0 || !reflect.DeepEqual(back, p) {
				t.Errorf("%s: %v became %v (%v, unknown %q)", k.Path, p, back, err, unknown)
			}
			if len(p) == 0 {
				t.Errorf("%s: nothing is left of %s", k.Path, text)
			}
			seen++
		}
	}
	if seen < 80 {
		t.Errorf("%d keys seen, want all of the table's", seen)
	}
}

// nested writes a value below a path of keys.
func nested(path []string, value string) string {
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i] {
		case "*":
			value = "{some-name: " + value + "}"
		case "[]":
			value = "[" + value + "]"
		default:
			value = "{" + path[i] + ": " + value + "}"
		}
	}
	return value
}

// Short forms are expanded; a new one fails here until it is.
func TestShortForms(t *testing.T) {
	for _, k := range routefile.Keys() {
		if k.Kind != routefile.KindMapping || k.Reserved || !strings.HasPrefix(k.Path, "routes.") && !strings.HasPrefix(k.Path, "pools.") {
			continue
		}
		for _, short := range k.Short {
			words := short.Enum
			switch {
			case short.Kind == routefile.KindSwitch:
				words = []string{"true", "false"}
			case len(words) == 0:
				words = []string{"word"}
			}
			for _, word := range words {
				path := strings.Split(k.Path, ".")
				file, _ := routefile.Parse("-", fmt.Appendf(nil, "version: 1\n%s: {r: %s}\n", path[0], nested(path[2:], word)))
				p := file.Plain(routefile.Section(path[0]), "r")
				long := routefile.Section(path[0]).Fingerprint(p)
				if long != file.Fingerprint(routefile.Section(path[0]), "r") || !saysSomething(p) {
					t.Errorf("%s: %s became %v", k.Path, word, p)
				}
			}
		}
	}
}

// saysSomething reports a value at the end of the only path.
func saysSomething(v any) bool {
	m, ok := v.(routefile.Plain)
	if !ok {
		return v != nil
	}
	for _, inner := range m {
		if saysSomething(inner) {
			return true
		}
	}
	return false
}

// Every attribute has a description.
func TestAttributesAreDescribed(t *testing.T) {
	for _, r := range []resource.Resource{newRoute(), newPool()} {
		described(t, "", schemaOf(t, r).Attributes)
	}
}

func described(t *testing.T, at string, attributes map[string]schema.Attribute) {
	t.Helper()
	for name, a := range attributes {
		if a.GetMarkdownDescription() == "" {
			t.Errorf("%s%s has no description", at, name)
		}
		if nested, ok := a.(schema.SingleNestedAttribute); ok {
			described(t, at+name+".", nested.Attributes)
		}
		if nested, ok := a.(schema.MapNestedAttribute); ok {
			described(t, at+name+".*.", nested.NestedObject.Attributes)
		}
	}
}

func TestUnknownValues(t *testing.T) {
	s := shapeOf(routefile.InRoutes)
	object := s.typ.(tftypes.Object)
	values := members(toValue(object, routefile.Plain{"match": routefile.Plain{"path": "/a"}, "to": "ws://a.example"}))
	values["to"] = tftypes.NewValue(tftypes.String, tftypes.UnknownValue)
	match := members(values["match"])
	list := object.AttributeTypes["match"].(tftypes.Object).AttributeTypes["methods"]
	match["methods"] = tftypes.NewValue(list, []tftypes.Value{tftypes.NewValue(tftypes.String, "GET"), tftypes.NewValue(tftypes.String, tftypes.UnknownValue)})
	values["match"] = tftypes.NewValue(object.AttributeTypes["match"], match)
	p, unknown, err := decodePlain(s, tftypes.NewValue(object, values))
	want := routefile.Plain{"match": routefile.Plain{"path": "/a"}}
	if err != nil || !reflect.DeepEqual(p, want) || len(unknown) != 2 {
		t.Errorf("got %v, unknown %q, error %v; want %v and two unknown places", p, unknown, err, want)
	}
	if _, unknown, _ := decodePlain(s, tftypes.NewValue(object, tftypes.UnknownValue)); len(unknown) != 1 || unknown[0] != "" {
		t.Errorf("unknown %q of a record that is not known at all, want one place", unknown)
	}
}
