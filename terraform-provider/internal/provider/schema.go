package provider

// The attributes of records, generated from the routes file's keys, so that no key
// is missing here.

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

func recordAttributes(s routefile.Section) map[string]schema.Attribute {
	return shapeOf(s).attributes()
}

func (s *shape) attributes() map[string]schema.Attribute {
	all := make(map[string]schema.Attribute, len(s.keys))
	for _, k := range s.keys {
		all[k.key.Name] = k.attribute()
	}
	return all
}

func (s *shape) attribute() schema.Attribute {
	required, optional, words := s.key.Required, !s.key.Required, s.description()
	switch s.key.Kind {
	case routefile.KindMapping:
		return schema.SingleNestedAttribute{Required: required, Optional: optional, MarkdownDescription: words, Attributes: s.attributes()}
	case routefile.KindNamed:
		object := schema.NestedAttributeObject{Attributes: s.element.attributes()}
		return schema.MapNestedAttribute{Required: required, Optional: optional, MarkdownDescription: words, NestedObject: object}
	case routefile.KindList:
		object := schema.NestedAttributeObject{Attributes: s.element.attributes()}
		return schema.ListNestedAttribute{Required: required, Optional: optional, MarkdownDescription: words, NestedObject: object}
	case routefile.KindSwitch:
		return schema.BoolAttribute{Required: required, Optional: optional, MarkdownDescription: words}
	case routefile.KindWhole:
		return schema.Int64Attribute{Required: required, Optional: optional, MarkdownDescription: words}
	case routefile.KindTexts, routefile.KindNetworks:
		return schema.ListAttribute{Required: required, Optional: optional, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValues:
		return schema.MapAttribute{Required: required, Optional: optional, MarkdownDescription: words, ElementType: types.StringType}
	case routefile.KindValueLists:
		lists := types.ListType{ElemType: types.StringType}
		return schema.MapAttribute{Required: required, Optional: optional, MarkdownDescription: words, ElementType: lists}
	}
	return schema.StringAttribute{Required: required, Optional: optional, MarkdownDescription: words}
}

func (s *shape) description() string {
	k := s.key
	text := k.Meaning
	if k.Kind == routefile.KindNamed && s.element.child(routefile.ConditionValue) != nil {
		text = strings.TrimSuffix(text[:strings.IndexByte(text+":", ':')], ".") + ": each has one of the keys below."
	}
	if len(k.Enum) > 0 {
		text += " One of `" + strings.Join(k.Enum, "`, `") + "`."
	}
	if k.Zero {
		text += " `off` turns it off."
	}
	if k.Default != "" {
		text += fmt.Sprintf(" Default: `%s`.", k.Default)
	}
	if k.Example != "" && s.isLeaf() {
		text += fmt.Sprintf(" In the routes file, for example: `%s`.", k.Example)
	}
	return text
}

func (s *shape) isLeaf() bool { return len(s.keys) == 0 && s.element == nil }
