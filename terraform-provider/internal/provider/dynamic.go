package provider

// Values of no declared type, as functions take and give them: any object in,
// any object out.

import (
	"context"
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// dynamicPlain is a value as a plain one. Nulls are left out, as a key that is
// not said.
func dynamicPlain(ctx context.Context, v types.Dynamic) (any, error) {
	if v.IsNull() || v.IsUnderlyingValueNull() {
		return nil, nil
	}
	value, err := v.UnderlyingValue().ToTerraformValue(ctx)
	if err != nil {
		return nil, err
	}
	return plainOf(value)
}

func plainOf(v tftypes.Value) (any, error) {
	if !v.IsKnown() {
		return nil, fmt.Errorf("a value is not known yet")
	}
	if v.IsNull() {
		return nil, nil
	}
	t := v.Type()
	switch {
	case t.Is(tftypes.Object{}), t.Is(tftypes.Map{}):
		return plainMembers(v)
	case t.Is(tftypes.List{}), t.Is(tftypes.Tuple{}), t.Is(tftypes.Set{}):
		return plainItems(v)
	case t.Is(tftypes.Bool):
		var on bool
		err := v.As(&on)
		return on, err
	case t.Is(tftypes.Number):
		var n big.Float
		err := v.As(&n)
		return plainNumber(&n), err
	}
	var text string
	err := v.As(&text)
	return text, err
}

func plainMembers(v tftypes.Value) (any, error) {
	var members map[string]tftypes.Value
	if err := v.As(&members); err != nil {
		return nil, err
	}
	all := routefile.Plain{}
	for name, member := range members {
		one, err := plainOf(member)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if one != nil {
			all[name] = one
		}
	}
	return all, nil
}

func plainItems(v tftypes.Value) (any, error) {
	var items []tftypes.Value
	if err := v.As(&items); err != nil {
		return nil, err
	}
	all := []any{}
	for i, item := range items {
		one, err := plainOf(item)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		if one != nil {
			all = append(all, one)
		}
	}
	return all, nil
}

// dynamicOf is a plain value as Terraform would write it in braces: mappings are
// objects, lists tuples, so that no two members need the same type.
func dynamicOf(p any) (attr.Value, error) {
	switch p := p.(type) {
	case routefile.Plain:
		return objectOf(p)
	case []any:
		return tupleOf(p)
	case bool:
		return types.BoolValue(p), nil
	case int64:
		return types.NumberValue(new(big.Float).SetInt64(p)), nil
	case string:
		return types.StringValue(p), nil
	}
	return nil, fmt.Errorf("%T is no plain value", p)
}

func objectOf(p routefile.Plain) (attr.Value, error) {
	kinds, values := map[string]attr.Type{}, map[string]attr.Value{}
	for name, one := range p {
		value, err := dynamicOf(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		kinds[name], values[name] = value.Type(context.Background()), value
	}
	return types.ObjectValueMust(kinds, values), nil
}

func tupleOf(list []any) (attr.Value, error) {
	kinds, values := []attr.Type{}, []attr.Value{}
	for i, one := range list {
		value, err := dynamicOf(one)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		kinds, values = append(kinds, value.Type(context.Background())), append(values, value)
	}
	return types.TupleValueMust(kinds, values), nil
}
