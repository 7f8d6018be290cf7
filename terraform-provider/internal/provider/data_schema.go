package provider

// The attributes of whole files for data sources: the keys of the routes file, as
// objects. They are computed, so no key of them is ever misspelt.

import (
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// fileKeys are the top-level keys of a document; version is not an attribute.
var fileKeys = []string{"listeners", "trusted_proxies", "defaults", "shutdown", "pools", "routes"}

func (s *shape) computedAttributes() map[string]schema.Attribute {
	all := make(map[string]schema.Attribute, len(s.keys))
	if s.element != nil { // keys that the writer names, beside those of the mapping
		object := schema.NestedAttributeObject{Attributes: s.element.computedAttributes()}
		all[namedKeys] = schema.MapNestedAttribute{Computed: true, MarkdownDescription: s.element.description(), NestedObject: object}
	}
	for _, k := range s.keys {
		all[k.key.Name] = k.computedAttribute()
		if k.key.Files {
			all[k.key.Name+filesSuffix] = k.computedLeaf(k.descriptionOfFiles())
		}
	}
	return all
}

func (s *shape) computedAttribute() schema.Attribute {
	words := s.description()
	switch s.key.Kind {
	case routefile.KindMapping:
		return schema.SingleNestedAttribute{Computed: true, MarkdownDescription: words, Attributes: s.computedAttributes()}
	case routefile.KindNamed:
		object := schema.NestedAttributeObject{Attributes: s.element.computedAttributes()}
		return schema.MapNestedAttribute{Computed: true, MarkdownDescription: words, NestedObject: object}
	case routefile.KindList:
		object := schema.NestedAttributeObject{Attributes: s.element.computedAttributes()}
		return schema.ListNestedAttribute{Computed: true, MarkdownDescription: words, NestedObject: object}
	}
	return s.computedLeaf(words)
}

func (s *shape) computedLeaf(words string) schema.Attribute {
	switch s.key.Kind {
	case routefile.KindSwitch:
		return schema.BoolAttribute{Computed: true, MarkdownDescription: words}
	case routefile.KindWhole:
		return schema.Int64Attribute{Computed: true, MarkdownDescription: words}
	case routefile.KindTexts, routefile.KindNetworks:
		return schema.ListAttribute{Computed: true, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValues:
		return schema.MapAttribute{Computed: true, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValueLists:
		lists := types.ListType{ElemType: types.StringType}
		return schema.MapAttribute{Computed: true, MarkdownDescription: words, ElementType: lists}
	}
	return schema.StringAttribute{Computed: true, MarkdownDescription: words}
}
