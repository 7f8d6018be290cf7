package provider

// Terraform's wire values to plain values and back, by field. They are not decoded
// into Go structs: a thousand routes are a thousand plans, and the structs would
// cost more than all the rest.

import (
	"context"
	"fmt"
	"maps"
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
	path     []string
	unknown  []string  // dotted paths within the record; "" is the record
	repeated []problem // names that are given twice; keys are within the record
	fill     bool      // gives unknown values as texts, so that their keys are there
}

// decodeRecord decodes a record's configuration, plan or state.
func (d *plainDecoder) decodeRecord(s routefile.Section, v tftypes.Value) (routefile.Plain, error) {
	switch {
	case !v.IsKnown():
		d.noteUnknown()
		return nil, nil
	case v.IsNull():
		return nil, nil
	}
	return d.mapping(recordFields[s], v)
}

func (d *plainDecoder) noteUnknown() { d.unknown = append(d.unknown, strings.Join(d.path, ".")) }

// below runs f one step deeper.
func (d *plainDecoder) below(name string, f func() error) error {
	d.path = append(d.path, name)
	defer func() { d.path = d.path[:len(d.path)-1] }()
	return f()
}

func (d *plainDecoder) mapping(fields []*field, v tftypes.Value) (routefile.Plain, error) {
	values := members(v)
	p := routefile.Plain{}
	for _, f := range fields {
		if f.shape == nil {
			continue
		}
		if f.named {
			if err := d.namedKeys(f, values[f.name], p); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			continue
		}
		if err := d.below(f.shape.key.Name, func() error { return d.field(f, values[f.name], p) }); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return p, nil
}

// field decodes one field into the mapping that holds its key.
func (d *plainDecoder) field(f *field, v tftypes.Value, to routefile.Plain) error {
	switch {
	case !v.IsKnown():
		d.noteUnknown()
		return nil
	case v.IsNull():
		return nil
	case f.part != "":
		return d.conditions(f, v, to)
	}
	value, err := d.fieldValue(f, v)
	switch {
	case f.files:
		paths, _ := value.(routefile.Plain)
		joinFiles(to, f.shape.key.Name, paths)
	case value != nil:
		to[f.shape.key.Name] = value
	}
	return err
}

func (d *plainDecoder) fieldValue(f *field, v tftypes.Value) (any, error) {
	switch f.shape.key.Kind {
	case routefile.KindMapping:
		return d.mapping(f.below, v)
	case routefile.KindNamed, routefile.KindList:
	default:
		return d.value(v)
	}
	var items []tftypes.Value
	if err := v.As(&items); err != nil || len(items) == 0 { // Terraform cannot tell no blocks from an empty list
		return nil, err
	}
	if f.shape.key.Kind == routefile.KindNamed {
		return d.named(f, items)
	}
	var all []any
	for _, item := range items {
		one, err := d.mapping(f.below, item)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (d *plainDecoder) named(f *field, items []tftypes.Value) (any, error) {
	all := routefile.Plain{}
	for _, item := range items {
		at := members(item)[nameAttribute]
		if !item.IsKnown() || !at.IsKnown() {
			d.noteUnknown()
			continue
		}
		name := textOf(at)
		if all[name] != nil {
			d.repeat(name, fmt.Sprintf("%s %q is given twice", f.name, name))
		}
		err := d.below(name, func() (err error) { all[name], err = d.mapping(f.below, item); return err })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// namedKeys adds the keys of blocks to the mapping that holds them.
func (d *plainDecoder) namedKeys(f *field, v tftypes.Value, to routefile.Plain) error {
	if !v.IsKnown() {
		d.noteUnknown()
		return nil
	}
	var items []tftypes.Value
	if err := v.As(&items); err != nil {
		return err
	}
	keys, err := d.named(f, items)
	if named, ok := keys.(routefile.Plain); ok {
		maps.Copy(to, named)
	}
	return err
}

func (d *plainDecoder) repeat(name, text string) {
	d.repeated = append(d.repeated, problem{key: strings.Join(append(slices.Clone(d.path), name), "."), text: text})
}

// conditions adds a field's part of the conditions to those of the other fields.
func (d *plainDecoder) conditions(f *field, v tftypes.Value, to routefile.Plain) error {
	all, _ := to[f.shape.key.Name].(routefile.Plain)
	if all == nil {
		all = routefile.Plain{}
		to[f.shape.key.Name] = all
	}
	keep := func(name string, value any) {
		if all[name] != nil {
			d.repeat(name, fmt.Sprintf("%s has two conditions on %q: one is allowed", f.shape.key.Name, name))
		}
		all[name] = routefile.Plain{f.part: value}
	}
	value, err := d.value(v)
	switch value := value.(type) {
	case routefile.Plain:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			keep(name, value[name])
		}
	case []any:
		for _, name := range value {
			keep(name.(string), true)
		}
	}
	return err
}

// value decodes a value without blocks: nil for null and unknown.
func (d *plainDecoder) value(v tftypes.Value) (any, error) {
	switch {
	case !v.IsKnown():
		if d.noteUnknown(); d.fill {
			return "unknown", nil
		}
		return nil, nil
	case v.IsNull():
		return nil, nil
	}
	switch v.Type().(type) {
	case tftypes.Map, tftypes.Object:
		return d.mapOf(v)
	case tftypes.List, tftypes.Set, tftypes.Tuple:
		return d.list(v)
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

func (d *plainDecoder) mapOf(v tftypes.Value) (any, error) {
	var values map[string]tftypes.Value
	if err := v.As(&values); err != nil {
		return nil, err
	}
	all := routefile.Plain{}
	for name, one := range values {
		err := d.below(name, func() error {
			value, err := d.value(one)
			if value != nil {
				all[name] = value
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// list decodes a list. A list with an unknown item is unknown.
func (d *plainDecoder) list(v tftypes.Value) (any, error) {
	var items []tftypes.Value
	if err := v.As(&items); err != nil {
		return nil, err
	}
	if !d.fill && slices.ContainsFunc(items, func(i tftypes.Value) bool { return !i.IsFullyKnown() }) {
		d.noteUnknown()
		return nil, nil
	}
	all := []any{}
	for _, item := range items {
		value, err := d.value(item)
		if err != nil {
			return nil, err
		}
		if value != nil {
			all = append(all, value)
		}
	}
	return all, nil
}

// recordValue is a record as a value of its resource's type. The attributes that are not
// keys are null.
func recordValue(s routefile.Section, t tftypes.Type, p routefile.Plain) tftypes.Value {
	all := fieldValues(recordFields[s], p)
	for name, typ := range t.(tftypes.Object).AttributeTypes {
		if _, has := all[name]; !has {
			all[name] = tftypes.NewValue(typ, nil)
		}
	}
	return tftypes.NewValue(t, all)
}

func fieldValues(fields []*field, p routefile.Plain) map[string]tftypes.Value {
	all := make(map[string]tftypes.Value, len(fields))
	for _, f := range fields {
		switch {
		case f.shape == nil:
		case f.named:
			all[f.name] = f.namedBlocks(f.typ.(tftypes.Set).ElementType, otherKeys(p, func(name string) bool {
				return slices.ContainsFunc(fields, func(own *field) bool { return own.shape != nil && own.shape.key.Name == name })
			}))
		default:
			all[f.name] = f.value(p[f.shape.key.Name])
		}
	}
	return all
}

// otherKeys returns the keys of a mapping that are not its own.
func otherKeys(p routefile.Plain, own func(name string) bool) routefile.Plain {
	others := routefile.Plain{}
	for name, value := range p {
		if !own(name) {
			others[name] = value
		}
	}
	return others
}

// value is the field's value for its key's.
func (f *field) value(p any) tftypes.Value {
	m, isMapping := p.(routefile.Plain)
	switch typ := f.typ.(type) {
	case tftypes.Object:
		if isMapping {
			return tftypes.NewValue(typ, fieldValues(f.below, m))
		}
		return tftypes.NewValue(typ, nil)
	case tftypes.Set:
		if f.below != nil {
			return f.namedBlocks(typ.ElementType, m)
		}
	case tftypes.List:
		if list, _ := p.([]any); f.below != nil {
			return f.listBlocks(typ.ElementType, list)
		}
	}
	switch {
	case f.part != "":
		return toValue(f.typ, f.partOf(m))
	case f.shape.key.Files:
		return toValue(f.typ, splitFiles(p, f.files))
	}
	return toValue(f.typ, p)
}

func (f *field) namedBlocks(element tftypes.Type, p routefile.Plain) tftypes.Value {
	blocks := []tftypes.Value{}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		one, _ := p[name].(routefile.Plain)
		values := fieldValues(f.below, one)
		values[nameAttribute] = tftypes.NewValue(tftypes.String, name)
		blocks = append(blocks, tftypes.NewValue(element, values))
	}
	return tftypes.NewValue(f.typ, blocks)
}

func (f *field) listBlocks(element tftypes.Type, list []any) tftypes.Value {
	blocks := []tftypes.Value{}
	for _, one := range list {
		p, _ := one.(routefile.Plain)
		blocks = append(blocks, tftypes.NewValue(element, fieldValues(f.below, p)))
	}
	return tftypes.NewValue(f.typ, blocks)
}

// partOf is what a field has of conditions: nil for nothing, but an empty map of
// conditions is the exact values'.
func (f *field) partOf(conditions routefile.Plain) any {
	values, names := routefile.Plain{}, []any{}
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		if one, _ := conditions[name].(routefile.Plain); one[f.part] != nil {
			values[name], names = one[f.part], append(names, name)
		}
	}
	switch _, set := f.typ.(tftypes.Set); {
	case len(names) == 0 && (conditions == nil || len(conditions) > 0 || f.part != routefile.ConditionValue):
		return nil
	case set:
		return names
	}
	return values
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
			return tftypes.NewValue(t, values(t.ElementType, list))
		}
	case tftypes.Set:
		if list, ok := p.([]any); ok {
			return tftypes.NewValue(t, values(t.ElementType, list))
		}
	default:
		return scalarValue(t, p)
	}
	return tftypes.NewValue(t, nil)
}

func objectValue(t tftypes.Object, m routefile.Plain) tftypes.Value {
	members := make(map[string]tftypes.Value, len(t.AttributeTypes))
	for name, typ := range t.AttributeTypes {
		base, ofFiles := strings.CutSuffix(name, filesSuffix)
		switch {
		case ofFiles && t.AttributeTypes[base] != nil:
			members[name] = toValue(typ, splitFiles(m[base], true))
		case name == namedKeys && typ.Is(tftypes.Map{}):
			others := otherKeys(m, func(name string) bool { return t.AttributeTypes[name] != nil })
			if len(others) == 0 {
				others = nil
			}
			members[name] = toValue(typ, others)
		case t.AttributeTypes[name+filesSuffix] != nil:
			members[name] = toValue(typ, splitFiles(m[name], false))
		default:
			members[name] = toValue(typ, m[name])
		}
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

func values(t tftypes.Type, list []any) []tftypes.Value {
	items := make([]tftypes.Value, 0, len(list))
	for _, item := range list {
		items = append(items, toValue(t, item))
	}
	return items
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
