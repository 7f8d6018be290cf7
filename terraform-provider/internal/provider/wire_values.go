package provider

// Terraform's wire values to plain values and back, by shape. They are not decoded
// into Go structs: a thousand routes are a thousand plans, and the structs would
// cost more than all the rest.

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// plainDecoder decodes values. It leaves out unknown values and notes their paths.
// Not for concurrent use.
type plainDecoder struct {
	path    []string
	unknown []string // dotted paths within the record; "" is the record
}

// decodePlain decodes a record. unknown has the dotted paths of unknown values.
func decodePlain(s *shape, v tftypes.Value) (p routefile.Plain, unknown []string, err error) {
	var r plainDecoder
	value, err := r.decode(s, v)
	p, _ = value.(routefile.Plain)
	return p, r.unknown, err
}

// decode returns nil for null and unknown. s is nil below lists and maps of strings,
// which have no keys.
func (r *plainDecoder) decode(s *shape, v tftypes.Value) (any, error) {
	switch {
	case !v.IsKnown():
		r.unknown = append(r.unknown, strings.Join(r.path, "."))
		return nil, nil
	case v.IsNull():
		return nil, nil
	}
	switch v.Type().(type) {
	case tftypes.Object, tftypes.Map:
		return r.mapping(s, v)
	case tftypes.List:
		return r.list(s, v)
	}
	switch {
	case v.Type().Is(tftypes.Bool):
		var on bool
		err := v.As(&on)
		return on, err
	case v.Type().Is(tftypes.Number):
		var n big.Float
		err := v.As(&n)
		return plainNumber(&n), err
	}
	var text string
	err := v.As(&text)
	return text, err
}

// plainNumber is an int64; any other number stays text, for the validator to reject.
func plainNumber(n *big.Float) any {
	if whole, exact := n.Int64(); exact == big.Exact {
		return whole
	}
	return n.Text('f', -1)
}

func (r *plainDecoder) mapping(s *shape, v tftypes.Value) (any, error) {
	var members map[string]tftypes.Value
	if err := v.As(&members); err != nil {
		return nil, err
	}
	all := routefile.Plain{}
	for name, member := range members {
		below := s.child(name)
		if _, object := v.Type().(tftypes.Object); object && below == nil {
			continue // name, revision and serving are not keys
		}
		r.path = append(r.path, name)
		value, err := r.decode(below, member)
		r.path = r.path[:len(r.path)-1]
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if value != nil {
			all[name] = value
		}
	}
	return all, nil
}

// list decodes a list. A list with an unknown item is unknown.
func (r *plainDecoder) list(s *shape, v tftypes.Value) (any, error) {
	var items []tftypes.Value
	if err := v.As(&items); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(items, func(i tftypes.Value) bool { return !i.IsFullyKnown() }) {
		r.unknown = append(r.unknown, strings.Join(r.path, "."))
		return nil, nil
	}
	all := []any{}
	for _, item := range items {
		value, err := r.decode(s.child("[]"), item)
		if err != nil {
			return nil, err
		}
		if value != nil {
			all = append(all, value)
		}
	}
	return all, nil
}

// toValue converts a plain value to type t: null if p is nil or does not fit t.
func toValue(t tftypes.Type, p any) tftypes.Value {
	switch t := t.(type) {
	case tftypes.Object:
		if m, ok := p.(routefile.Plain); ok {
			return objectValue(t, m)
		}
	case tftypes.Map:
		if m, ok := p.(routefile.Plain); ok {
			return mapValue(t, m)
		}
	case tftypes.List:
		if list, ok := p.([]any); ok {
			return listValue(t, list)
		}
	default:
		return scalarValue(t, p)
	}
	return tftypes.NewValue(t, nil)
}

func objectValue(t tftypes.Object, m routefile.Plain) tftypes.Value {
	members := make(map[string]tftypes.Value, len(t.AttributeTypes))
	for name, typ := range t.AttributeTypes {
		members[name] = toValue(typ, m[name])
	}
	return tftypes.NewValue(t, members)
}

func mapValue(t tftypes.Map, m routefile.Plain) tftypes.Value {
	members := make(map[string]tftypes.Value, len(m))
	for name, value := range m {
		members[name] = toValue(t.ElementType, value)
	}
	return tftypes.NewValue(t, members)
}

func listValue(t tftypes.List, list []any) tftypes.Value {
	items := make([]tftypes.Value, 0, len(list))
	for _, item := range list {
		items = append(items, toValue(t.ElementType, item))
	}
	return tftypes.NewValue(t, items)
}

func scalarValue(t tftypes.Type, p any) tftypes.Value {
	switch p := p.(type) {
	case string:
		if t.Is(tftypes.String) {
			return tftypes.NewValue(t, p)
		}
	case bool:
		if t.Is(tftypes.Bool) {
			return tftypes.NewValue(t, p)
		}
	case int64:
		if t.Is(tftypes.Number) {
			return tftypes.NewValue(t, p)
		}
	}
	return tftypes.NewValue(t, nil)
}

func wireBool(b types.Bool) tftypes.Value {
	v, _ := b.ToTerraformValue(context.Background()) // a bool always can
	return v
}

// members returns an object's attributes; empty for null and unknown.
func members(v tftypes.Value) map[string]tftypes.Value {
	all := map[string]tftypes.Value{}
	if v.IsKnown() && !v.IsNull() {
		_ = v.As(&all) // an object always can
	}
	return all
}

// textOf returns a string attribute; "" for null and unknown.
func textOf(v tftypes.Value) string {
	var text *string
	if v.Type() == nil || !v.IsKnown() || v.As(&text) != nil || text == nil {
		return ""
	}
	return *text
}
