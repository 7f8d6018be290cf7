package provider

// Values of no declared type, as the parameters and results of functions.

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// plainFromAttr leaves out nulls. It walks the framework's values as they are:
// converting them to tftypes first, for wire_values.go, doubles the cost of a
// document of 5,000 routes.
func plainFromAttr(v attr.Value) (any, error) {
	switch {
	case v.IsUnknown():
		return nil, errors.New("a value is unknown")
	case v.IsNull():
		return nil, nil
	}
	switch v := v.(type) {
	case types.Dynamic:
		return plainFromAttr(v.UnderlyingValue())
	case types.Object:
		return plainMembers(v.Attributes())
	case types.Map:
		return plainMembers(v.Elements())
	case types.Tuple:
		return plainItems(v.Elements())
	case types.List:
		return plainItems(v.Elements())
	case types.Set:
		return plainItems(v.Elements())
	case types.Bool:
		return v.ValueBool(), nil
	case types.Number:
		return plainNumber(v.ValueBigFloat()), nil
	case types.String:
		return v.ValueString(), nil
	}
	return nil, fmt.Errorf("unsupported type %T", v)
}

func plainMembers(members map[string]attr.Value) (any, error) {
	all := make(routefile.Plain, len(members))
	for name, member := range members {
		one, err := plainFromAttr(member)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if one != nil {
			all[name] = one
		}
	}
	return all, nil
}

func plainItems(items []attr.Value) (any, error) {
	all := make([]any, 0, len(items))
	for i, item := range items {
		one, err := plainFromAttr(item)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		if one != nil {
			all = append(all, one)
		}
	}
	return all, nil
}

// attrFromPlain makes objects of mappings and tuples of lists, whose members may
// have different types.
func attrFromPlain(p any) (attr.Value, error) {
	switch p := p.(type) {
	case routefile.Plain:
		return objectFromPlain(p)
	case []any:
		return tupleFromPlain(p)
	case bool:
		return types.BoolValue(p), nil
	case int64:
		return types.NumberValue(new(big.Float).SetInt64(p)), nil
	case string:
		return types.StringValue(p), nil
	}
	return nil, fmt.Errorf("unsupported type %T", p)
}

func objectFromPlain(p routefile.Plain) (attr.Value, error) {
	kinds, values := map[string]attr.Type{}, map[string]attr.Value{}
	for name, one := range p {
		value, err := attrFromPlain(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		kinds[name], values[name] = value.Type(context.Background()), value
	}
	return types.ObjectValueMust(kinds, values), nil
}

func tupleFromPlain(list []any) (attr.Value, error) {
	kinds, values := []attr.Type{}, []attr.Value{}
	for i, one := range list {
		value, err := attrFromPlain(one)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		kinds, values = append(kinds, value.Type(context.Background())), append(values, value)
	}
	return types.TupleValueMust(kinds, values), nil
}
