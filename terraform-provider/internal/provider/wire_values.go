package provider

// Terraform's values to records in plain values and back, by shape. They are
// walked as they come off the wire: a thousand routes are a thousand plans, and
// going through a Go struct for each would cost more than all the rest.

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// plainReader turns values into plain ones. What is not known is left out, and
// its place noted. Not for concurrent use.
type plainDecoder struct {
	path    []string
	unknown []string // dotted places, from the record on; "" is all of it
}

// readPlain is a record's values. unknown names the places that are not known yet.
func decodePlain(s *shape, v tftypes.Value) (p routefile.Plain, unknown []string, err error) {
	var r plainDecoder
	value, err := r.decode(s, v)
	p, _ = value.(routefile.Plain)
	return p, r.unknown, err
}

// read converts one value; nil is null or unknown. s is nil where the table has
// no keys: in lists and mappings of texts.
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

// plainNumber is a whole number; anything else is kept as text, for the
// validator to name.
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
			continue // an attribute that is no key: name, serving
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

// list converts a list. One that has items not known yet is not known itself.
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

// toValue is a plain value as Terraform's of type t: null where there is none,
// or where it is of another kind.
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

// members are an object's attributes; empty for null and unknown.
func members(v tftypes.Value) map[string]tftypes.Value {
	all := map[string]tftypes.Value{}
	if v.IsKnown() && !v.IsNull() {
		_ = v.As(&all) // an object always can
	}
	return all
}

// textOf is a text attribute; "" when it is null or unknown.
func textOf(v tftypes.Value) string {
	var text *string
	if v.Type() == nil || !v.IsKnown() || v.As(&text) != nil || text == nil {
		return ""
	}
	return *text
}
