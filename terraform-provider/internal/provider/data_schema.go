package provider

// The attributes of whole files for data sources: as in schema.go, but with the
// types of the framework's datasource package.

import (
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// fileKeys are the top-level keys of a document; version is not an attribute.
var fileKeys = []string{"listeners", "trusted_proxies", "defaults", "shutdown", "pools", "routes"}

// dataAttributes are attributes that the user sets, or computed ones.
func (s *shape) dataAttributes(computed bool) map[string]schema.Attribute {
	all := make(map[string]schema.Attribute, len(s.keys))
	for _, k := range s.keys {
		all[k.key.Name] = k.dataAttribute(computed)
	}
	return all
}

func (s *shape) dataAttribute(computed bool) schema.Attribute {
	required, optional, words := s.key.Required && !computed, !s.key.Required && !computed, s.description()
	switch s.key.Kind {
	case routefile.KindMapping:
		return schema.SingleNestedAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, Attributes: s.dataAttributes(computed)}
	case routefile.KindNamed:
		object := schema.NestedAttributeObject{Attributes: s.element.dataAttributes(computed)}
		return schema.MapNestedAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, NestedObject: object}
	case routefile.KindList:
		object := schema.NestedAttributeObject{Attributes: s.element.dataAttributes(computed)}
		return schema.ListNestedAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, NestedObject: object}
	case routefile.KindSwitch:
		return schema.BoolAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words}
	case routefile.KindWhole:
		return schema.Int64Attribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words}
	case routefile.KindTexts, routefile.KindNetworks:
		return schema.ListAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValues:
		return schema.MapAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValueLists:
		lists := types.ListType{ElemType: types.StringType}
		return schema.MapAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words, ElementType: lists}
	}
	return schema.StringAttribute{Required: required, Optional: optional, Computed: computed, MarkdownDescription: words}
}
