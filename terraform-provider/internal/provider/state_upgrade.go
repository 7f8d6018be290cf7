package provider

// States of older schemas.

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// recordSchemaVersion is the version of the schemas of records.
//
//	0	every key of the routes file is an attribute of the same name
//	1	mappings are blocks; backends and conditions are spread over several
const recordSchemaVersion = 1

var _ resource.ResourceWithUpgradeState = (*recordResource)(nil)

func (r *recordResource) UpgradeState(context.Context) map[int64]resource.StateUpgrader {
	return map[int64]resource.StateUpgrader{0: {StateUpgrader: r.upgradeFromKeys}}
}

// upgradeFromKeys upgrades a state of version 0, which has the keys of the routes file.
func (r *recordResource) upgradeFromKeys(ctx context.Context, req resource.UpgradeStateRequest, resp *resource.UpgradeStateResponse) {
	var state any
	decoder := json.NewDecoder(bytes.NewReader(req.RawState.JSON))
	decoder.UseNumber()
	if err := decoder.Decode(&state); err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	keys, _ := plainFromJSON(state).(routefile.Plain)
	value := recordValue(r.section, resp.State.Schema.Type().TerraformType(ctx), keys)
	all := members(value)
	for _, own := range []string{nameAttribute, servingAttribute, revisionAttribute} {
		all[own] = toValue(all[own].Type(), keys[own])
	}
	resp.State.Raw = tftypes.NewValue(value.Type(), all)
}

// plainFromJSON leaves out nulls.
func plainFromJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := routefile.Plain{}
		for name, one := range v {
			if plain := plainFromJSON(one); plain != nil {
				all[name] = plain
			}
		}
		return all
	case []any:
		all := []any{}
		for _, one := range v {
			if plain := plainFromJSON(one); plain != nil {
				all = append(all, plain)
			}
		}
		return all
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		return v.String()
	}
	return v
}
