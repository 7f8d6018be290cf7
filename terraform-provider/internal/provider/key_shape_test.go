package provider

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
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

// Every key of a route and a pool is an attribute or block of its kind's type, and every
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
				t.Errorf("%s: %q is of type %q, want %q", section, path, got[path], kind)
			}
		}
		for path := range got {
			if want[path] == "" {
				t.Errorf("%s: %q is no key", section, path)
			}
		}
	}
}

// keyTypes derives the wanted types from the keys independently, by path in a record.
func keyTypes(s routefile.Section) map[string]string {
	kinds := map[routefile.Kind]string{
		routefile.KindMapping: "object", routefile.KindNamed: "set", routefile.KindList: "list",
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
		path = strings.ReplaceAll(path, "backends.*", "backend")
		path = strings.ReplaceAll(path, "errors.*", "errors.status")
		holder, last := path[:max(0, strings.LastIndexByte(path, '.'))], k.Name
		switch {
		case path == "errors.status":
			types[path], types[path+".name"] = "set", "string"
		case last == "*" && k.Kind == routefile.KindMapping && len(k.Short) > 0: // conditions
			types[holder] = "map of string"
		case strings.HasSuffix(holder, ".*") && k.Kind == routefile.KindSwitch:
			types[strings.TrimSuffix(holder, ".*")+"_"+last] = "set of string"
		case strings.HasSuffix(holder, ".*"):
			types[strings.TrimSuffix(holder, ".*")+"_"+last] = "map of string"
		case path == "backends":
			types["backend"] = kinds[k.Kind]
			types["backend.name"] = "string"
		case last != "*" && path != "backend":
			types[path] = kinds[k.Kind]
			if k.Files {
				types[path+"_file"] = kinds[k.Kind]
			}
		}
	}
	return types
}

// attributeTypes lists an object's attributes by path.
func attributeTypes(at string, typ tftypes.Type) map[string]string {
	all := map[string]string{}
	object, _ := typ.(tftypes.Object)
	for name, inner := range object.AttributeTypes {
		path := strings.TrimPrefix(at+"."+name, ".")
		all[path] = typeName(inner)
		switch inner := inner.(type) {
		case tftypes.Object:
			maps.Copy(all, attributeTypes(path, inner))
		case tftypes.Set:
			maps.Copy(all, attributeTypes(path, inner.ElementType))
		case tftypes.List:
			if _, objects := inner.ElementType.(tftypes.Object); objects {
				all[path+".[]"] = "object"
				maps.Copy(all, attributeTypes(path+".[]", inner.ElementType))
			}
		case tftypes.Map:
			if _, objects := inner.ElementType.(tftypes.Object); objects {
				all[path] = "map of objects, whose misspelt keys Terraform drops"
			}
		}
	}
	return all
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
	case tftypes.Set:
		return of("set", typ.ElementType)
	}
	return strings.ToLower(strings.TrimPrefix(typ.String(), "tftypes."))
}

// No input of the provider is an attribute with objects in it: Terraform silently drops
// the misspelt keys of those.
func TestNoObjectsInAttributes(t *testing.T) {
	server := speak(t, nil)
	check := func(of string, block *tfprotov6.SchemaBlock) {
		var walk func(at string, b *tfprotov6.SchemaBlock)
		walk = func(at string, b *tfprotov6.SchemaBlock) {
			for _, a := range b.Attributes {
				if !a.Computed && (a.NestedType != nil || holdsObject(a.Type)) {
					t.Errorf("%s.%s takes objects", at, a.Name)
				}
			}
			for _, nested := range b.BlockTypes {
				walk(at+"."+nested.TypeName, nested.Block)
			}
		}
		walk(of, block)
	}
	check("provider", server.schemas.Provider.Block)
	for name, schema := range server.schemas.ResourceSchemas {
		check(name, schema.Block)
	}
	for name, schema := range server.schemas.DataSourceSchemas {
		check(name, schema.Block)
	}
	for name, schema := range server.schemas.ActionSchemas {
		check(name, schema.Schema.Block)
	}
	for name, schema := range server.schemas.ListResourceSchemas {
		check(name, schema.Block)
	}
}

func holdsObject(typ tftypes.Type) bool {
	switch typ := typ.(type) {
	case tftypes.Object:
		return true
	case tftypes.Map:
		return holdsObject(typ.ElementType)
	case tftypes.List:
		return holdsObject(typ.ElementType)
	case tftypes.Set:
		return holdsObject(typ.ElementType)
	}
	return false
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
			typ := objectType(recordFields[section])
			var d plainDecoder
			back, err := d.decodeRecord(section, recordValue(section, typ, p))
			if err != nil || len(d.unknown) > 0 || len(d.repeated) > 0 || !reflect.DeepEqual(back, p) {
				t.Errorf("%s: %v became %v (%v, unknown %q, repeated %v)", k.Path, p, back, err, d.unknown, d.repeated)
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

// Values that come from files are maps of their own, in resources and in data sources.
func TestFilesOfHeaders(t *testing.T) {
	for _, text := range []string{
		`{request: {set: {A: a}}}`, `{request: {set: {A: {file: x}}}}`, `{request: {set: {A: a, B: {file: x}}, default: {C: {file: y}}}}`,
		`{response: {add: {A: [a, {file: x}], B: [{file: y}], C: [c]}}}`, `{request: {set: {}, add: {}}}`,
	} {
		file, errs := routefile.Parse("-", fmt.Appendf(nil, "version: 1\nroutes: {r: {to: 'ws://h', headers: %s}}\n", text))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		p, typ := file.Plain(routefile.InRoutes, "r"), objectType(recordFields[routefile.InRoutes])
		var d plainDecoder
		back, err := d.decodeRecord(routefile.InRoutes, recordValue(routefile.InRoutes, typ, p))
		if err != nil || len(d.unknown) > 0 || !reflect.DeepEqual(back, p) {
			t.Errorf("%s: %v became %v (%v, unknown %q)", text, p, back, err, d.unknown)
		}
	}
	both := routefile.Plain{"set": routefile.Plain{"A": "a"}}
	joinFiles(both, "set", routefile.Plain{"A": "x"})
	if got, want := fmt.Sprint(both), "map[set:map[A:[a map[file:x]]]]"; got != want {
		t.Errorf("a header in both becomes %s, want %s", got, want)
	}
	headers := tftypes.Map{ElementType: tftypes.String}
	data := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"set": headers, "set_file": headers, "down_file": tftypes.String}}
	got := toValue(data, routefile.Plain{"set": routefile.Plain{"A": "a", "B": routefile.Plain{"file": "x"}}, "down_file": "y"})
	want := tftypes.NewValue(data, map[string]tftypes.Value{
		"set": tftypes.NewValue(headers, map[string]tftypes.Value{"A": text("a")}), "set_file": tftypes.NewValue(headers, map[string]tftypes.Value{"B": text("x")}), "down_file": text("y"),
	})
	if !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
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

// Every attribute and block has a description.
func TestAttributesAreDescribed(t *testing.T) {
	for _, r := range []resource.Resource{newRoute(), newPool()} {
		s := schemaOf(t, r)
		described(t, "", s.Attributes, s.Blocks)
	}
}

func described(t *testing.T, at string, attributes map[string]schema.Attribute, blocks map[string]schema.Block) {
	t.Helper()
	for name, a := range attributes {
		if a.GetMarkdownDescription() == "" {
			t.Errorf("%s%s has no description", at, name)
		}
	}
	for name, b := range blocks {
		if b.GetMarkdownDescription() == "" {
			t.Errorf("%s%s has no description", at, name)
		}
		switch b := b.(type) {
		case schema.SingleNestedBlock:
			described(t, at+name+".", b.Attributes, b.Blocks)
		case schema.SetNestedBlock:
			described(t, at+name+".", b.NestedObject.Attributes, b.NestedObject.Blocks)
		}
	}
}

func TestUnknownValues(t *testing.T) {
	object := objectType(recordFields[routefile.InRoutes])
	unknown := tftypes.NewValue(tftypes.String, tftypes.UnknownValue)
	match := object.AttributeTypes["match"].(tftypes.Object)
	for _, tt := range []struct {
		name string
		set  map[string]tftypes.Value // in the match
		keys routefile.Plain          // of the match
		want []string
	}{
		{"a list's item", map[string]tftypes.Value{"methods": tftypes.NewValue(match.AttributeTypes["methods"], []tftypes.Value{text("GET"), unknown})}, routefile.Plain{"path": "/a"}, []string{"match.methods"}},
		{"a condition", map[string]tftypes.Value{"headers_regex": tftypes.NewValue(match.AttributeTypes["headers_regex"], map[string]tftypes.Value{"X": unknown, "Y": text("y")})},
			routefile.Plain{"path": "/a", "headers": routefile.Plain{"Y": routefile.Plain{"regex": "y"}}}, []string{"match.headers.X"}},
		{"all of one kind of condition", map[string]tftypes.Value{"headers_present": tftypes.NewValue(match.AttributeTypes["headers_present"], tftypes.UnknownValue)}, routefile.Plain{"path": "/a"}, []string{"match.headers"}},
	} {
		values := members(recordValue(routefile.InRoutes, object, routefile.Plain{"match": routefile.Plain{"path": "/a"}, "to": "ws://a.example"}))
		values["to"] = unknown
		conditions := members(values["match"])
		maps.Copy(conditions, tt.set)
		values["match"] = tftypes.NewValue(match, conditions)
		var d plainDecoder
		p, err := d.decodeRecord(routefile.InRoutes, tftypes.NewValue(object, values))
		slices.Sort(d.unknown)
		if err != nil || !reflect.DeepEqual(p, routefile.Plain{"match": tt.keys}) || !slices.Equal(d.unknown, append(tt.want, "to")) {
			t.Errorf("%s: got %v, unknown %q, error %v; want %v and unknown %q", tt.name, p, d.unknown, err, tt.keys, tt.want)
		}
	}
	var d plainDecoder
	if _, _ = d.decodeRecord(routefile.InRoutes, tftypes.NewValue(object, tftypes.UnknownValue)); len(d.unknown) != 1 || d.unknown[0] != "" {
		t.Errorf("unknown %q of a record that is not known at all, want one place", d.unknown)
	}
}

// Backends whose name is not known, or that are not known at all, are unknown together.
func TestUnknownBackends(t *testing.T) {
	object := objectType(recordFields[routefile.InPools])
	set := object.AttributeTypes["backend"].(tftypes.Set)
	values := members(recordValue(routefile.InPools, object, routefile.Plain{"backends": routefile.Plain{"a": routefile.Plain{"url": "ws://a"}, "b": routefile.Plain{"url": "ws://b"}}}))
	var blocks []tftypes.Value
	if err := values["backend"].As(&blocks); err != nil || len(blocks) != 2 {
		t.Fatal(err, blocks)
	}
	nameless := members(blocks[1])
	nameless[nameAttribute] = tftypes.NewValue(tftypes.String, tftypes.UnknownValue)
	values["backend"] = tftypes.NewValue(set, []tftypes.Value{blocks[0], tftypes.NewValue(set.ElementType, nameless), tftypes.NewValue(set.ElementType, tftypes.UnknownValue)})
	var d plainDecoder
	p, err := d.decodeRecord(routefile.InPools, tftypes.NewValue(object, values))
	want := routefile.Plain{"backends": routefile.Plain{"a": routefile.Plain{"url": "ws://a"}}}
	if err != nil || !reflect.DeepEqual(p, want) || !slices.Equal(d.unknown, []string{"backends", "backends"}) {
		t.Errorf("got %v, unknown %q, error %v; want %v and the backends twice", p, d.unknown, err, want)
	}
}
