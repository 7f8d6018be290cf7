package provider

// The attributes and blocks of a record's resource, made from the keys of the routes
// file, so that none is missing. A mapping of fixed keys is a block, and no map holds
// objects: Terraform reports a misspelt name in a block, but silently drops a misspelt key
// of an object, and a route without its allow-list would be applied.

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// field is an attribute or a block. Immutable.
type field struct {
	name  string
	shape *shape   // the key that it holds; nil for the name of a block's record
	part  string   // the key of each condition that it holds; "" for all other fields
	files bool     // it holds the values of its key that are {file: PATH}
	named bool     // it holds the keys of a mapping that the writer names, beside its own
	below []*field // of a block
	typ   tftypes.Type
}

var recordFields = map[routefile.Section][]*field{
	routefile.InRoutes: fieldsOf(shapeOf(routefile.InRoutes)),
	routefile.InPools:  fieldsOf(shapeOf(routefile.InPools)),
}

func fieldsOf(s *shape) (all []*field) {
	for _, k := range s.keys {
		switch {
		case k.holdsConditions():
			all = append(all, conditionFields(k)...)
		case k.key.Kind == routefile.KindMapping:
			below := fieldsOf(k)
			if k.element != nil {
				below = append(below, namedField(k.element))
			}
			all = append(all, &field{name: k.key.Name, shape: k, below: below, typ: objectType(below)})
		case k.key.Kind == routefile.KindNamed: // a set, since names have no order
			below := append([]*field{{name: nameAttribute, typ: tftypes.String}}, fieldsOf(k.element)...)
			all = append(all, &field{name: k.one(), shape: k, below: below, typ: tftypes.Set{ElementType: objectType(below)}})
		case k.key.Kind == routefile.KindList:
			below := fieldsOf(k.element)
			all = append(all, &field{name: k.one(), shape: k, below: below, typ: tftypes.List{ElementType: objectType(below)}})
		default:
			all = append(all, &field{name: k.key.Name, shape: k, typ: k.leafType()})
			if k.key.Files { // beside the map: all values of one have one type
				all = append(all, &field{name: k.key.Name + filesSuffix, shape: k, files: true, typ: k.leafType()})
			}
		}
	}
	return all
}

// namedKeys is the name of the blocks for the keys of a mapping that the writer names:
// those are statuses, of errors.
const namedKeys = "status"

func namedField(s *shape) *field {
	below := append([]*field{{name: nameAttribute, typ: tftypes.String}}, fieldsOf(s)...)
	return &field{name: namedKeys, shape: s, named: true, below: below, typ: tftypes.Set{ElementType: objectType(below)}}
}

// conditionFields has a map for each key that a condition may have, or a set of names
// where the key is a switch.
func conditionFields(s *shape) (all []*field) {
	for _, part := range s.element.keys {
		f := &field{name: s.key.Name + "_" + part.key.Name, shape: s, part: part.key.Name, typ: tftypes.Map{ElementType: tftypes.String}}
		if part.key.Name == routefile.ConditionValue {
			f.name = s.key.Name
		}
		if part.key.Kind == routefile.KindSwitch {
			f.typ = tftypes.Set{ElementType: tftypes.String}
		}
		all = append(all, f)
	}
	return all
}

// one is the name of a block for one of several: backend for backends.
func (s *shape) one() string { return strings.TrimSuffix(s.key.Name, "s") }

func (s *shape) leafType() tftypes.Type {
	switch s.key.Kind {
	case routefile.KindSwitch:
		return tftypes.Bool
	case routefile.KindWhole:
		return tftypes.Number
	case routefile.KindTexts, routefile.KindNetworks:
		return tftypes.List{ElementType: tftypes.String}
	case routefile.KindValues:
		return tftypes.Map{ElementType: tftypes.String}
	case routefile.KindValueLists:
		return tftypes.Map{ElementType: tftypes.List{ElementType: tftypes.String}}
	}
	return tftypes.String // for "off" and units; Terraform converts 1000 to "1000"
}

func objectType(fields []*field) tftypes.Object {
	all := make(map[string]tftypes.Type, len(fields))
	for _, f := range fields {
		all[f.name] = f.typ
	}
	return tftypes.Object{AttributeTypes: all}
}

// schemaOfFields returns the attributes and the blocks.
func schemaOfFields(fields []*field) (map[string]schema.Attribute, map[string]schema.Block) {
	attributes, blocks := map[string]schema.Attribute{}, map[string]schema.Block{}
	for _, f := range fields {
		if f.below == nil {
			attributes[f.name] = f.attribute()
		} else {
			blocks[f.name] = f.block()
		}
	}
	return attributes, blocks
}

func (f *field) block() schema.Block {
	attributes, blocks := schemaOfFields(f.below)
	words := f.shape.description()
	switch f.typ.(type) {
	case tftypes.Set:
		return schema.SetNestedBlock{MarkdownDescription: words, NestedObject: schema.NestedBlockObject{Attributes: attributes, Blocks: blocks}}
	case tftypes.List:
		return schema.ListNestedBlock{MarkdownDescription: words, NestedObject: schema.NestedBlockObject{Attributes: attributes, Blocks: blocks}}
	}
	return schema.SingleNestedBlock{MarkdownDescription: words, Attributes: attributes, Blocks: blocks}
}

func (f *field) attribute() schema.Attribute {
	if f.shape == nil {
		return schema.StringAttribute{Required: true, MarkdownDescription: "Its name, by which the routes file has it. The blocks' order has no meaning."}
	}
	words := f.description()
	required := f.part == "" && f.shape.key.Required
	switch typ := f.typ.(type) {
	case tftypes.List:
		return schema.ListAttribute{Required: required, Optional: !required, MarkdownDescription: words, ElementType: types.StringType}
	case tftypes.Set:
		return schema.SetAttribute{Required: required, Optional: !required, MarkdownDescription: words, ElementType: types.StringType}
	case tftypes.Map:
		if typ.ElementType.Is(tftypes.String) {
			return schema.MapAttribute{Required: required, Optional: !required, MarkdownDescription: words, ElementType: types.StringType}
		}
		lists := types.ListType{ElemType: types.StringType}
		return schema.MapAttribute{Required: required, Optional: !required, MarkdownDescription: words, ElementType: lists}
	}
	switch {
	case f.typ.Is(tftypes.Bool):
		return schema.BoolAttribute{Required: required, Optional: !required, MarkdownDescription: words}
	case f.typ.Is(tftypes.Number):
		return schema.Int64Attribute{Required: required, Optional: !required, MarkdownDescription: words}
	}
	return schema.StringAttribute{Required: required, Optional: !required, MarkdownDescription: words}
}

func (f *field) description() string {
	switch _, set := f.typ.(tftypes.Set); {
	case f.files:
		return f.shape.descriptionOfFiles()
	case f.part == "":
		return f.shape.description()
	case set:
		return f.shape.subject() + ": the names of those that must be there, with any value."
	case f.part == routefile.ConditionValue:
		return f.shape.subject() + ": the exact value of each."
	}
	one := f.shape.element.child(f.part).description()
	return fmt.Sprintf("%s: for each, %s", f.shape.subject(), strings.ToLower(one[:1])+one[1:])
}

// child is the shape of a key of a mapping; nil if there is none.
func (s *shape) child(name string) *shape {
	for _, k := range s.keys {
		if k.key.Name == name {
			return k
		}
	}
	return nil
}
