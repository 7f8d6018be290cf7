package provider

// The routes file's keys as a tree, with a Terraform type for each key: schemas
// are generated from it, and values are converted by it.

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// shape is one key of the routes file as an attribute. Immutable.
type shape struct {
	key     routefile.Key
	keys    []*shape // of a mapping, in the reference's order
	element *shape   // of a map or list; nil otherwise
	typ     tftypes.Type
}

// shapes has every key by its path in the routes file: "routes.*.match.host".
var shapes = readShapes()

func shapeOf(s routefile.Section) *shape { return shapes[string(s)+".*"] }

func readShapes() map[string]*shape {
	all := map[string]*shape{}
	keys := routefile.Keys()
	for _, k := range keys {
		if k.Reserved {
			continue
		}
		s := &shape{key: k}
		all[k.Path] = s
		if parent := all[k.Path[:max(0, strings.LastIndexByte(k.Path, '.'))]]; parent != nil {
			parent.add(s)
		}
	}
	for i := len(keys) - 1; i >= 0; i-- { // children before their parents
		if s := all[keys[i].Path]; s != nil {
			s.typ = s.terraformType()
		}
	}
	return all
}

// add adds a child. A condition's value, which the file writes in place of the
// condition's keys, becomes a key like the others.
func (s *shape) add(below *shape) {
	switch below.key.Name {
	case "*", "[]":
		s.element = below
		if short := below.key.Short; below.key.Kind == routefile.KindMapping && len(short) > 0 && short[0].Kind == routefile.KindValue {
			value := routefile.Key{Name: routefile.ConditionValue, Kind: routefile.KindValue, Meaning: "The value is exactly this."}
			below.add(&shape{key: value, typ: tftypes.String})
		}
	default:
		s.keys = append(s.keys, below)
	}
}

func (s *shape) terraformType() tftypes.Type {
	switch s.key.Kind {
	case routefile.KindMapping:
		return tftypes.Object{AttributeTypes: s.attributeTypes()}
	case routefile.KindNamed:
		return tftypes.Map{ElementType: s.element.typ}
	case routefile.KindList:
		return tftypes.List{ElementType: s.element.typ}
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

func (s *shape) attributeTypes() map[string]tftypes.Type {
	types := make(map[string]tftypes.Type, len(s.keys))
	for _, k := range s.keys {
		types[k.key.Name] = k.typ
	}
	return types
}

// child is the shape of a key of a mapping, or of any name of a map; nil if there
// is none.
func (s *shape) child(name string) *shape {
	if s == nil {
		return nil
	}
	if s.element != nil {
		return s.element
	}
	for _, k := range s.keys {
		if k.key.Name == name {
			return k
		}
	}
	return nil
}
