package provider

// What a plan was made on, kept in the plan's private data. Terraform may plan a delete
// before the refresh, and gives Delete the state from before it: compared with that, a
// record that was changed by hand would look changed since the plan, for ever.

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"
)

// plannedKey is the key of plannedData.
const plannedKey = "planned"

// plannedData is what a plan tells the apply.
type plannedData struct {
	On       string `json:"on,omitempty"`       // fingerprint of the record, or revision of the file, that the user has seen in the plan
	Succeeds string `json:"succeeds,omitempty"` // of a new route: the one that this plan deletes, and whose place it takes; On is of that one
}

type plannedPrivate struct{}

// withPlannedPrivate keeps a plan's private data for Create, to which the framework does
// not hand it.
func withPlannedPrivate(ctx context.Context, private []byte) context.Context {
	return context.WithValue(ctx, plannedPrivate{}, private)
}

// plannedForCreate is getPlanned for Create.
func plannedForCreate(ctx context.Context) (data plannedData, diags diag.Diagnostics) {
	text, _ := ctx.Value(plannedPrivate{}).([]byte)
	var keys map[string][]byte // as the framework stores them
	if len(text) == 0 || json.Unmarshal(text, &keys) != nil || len(keys[plannedKey]) == 0 {
		return data, nil
	}
	if err := json.Unmarshal(keys[plannedKey], &data); err != nil {
		diags.Append(internalError(err))
	}
	return data, diags
}

type privateSetter interface {
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

type privateGetter interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

func setPlanned(ctx context.Context, private privateSetter, data plannedData) diag.Diagnostics {
	text, err := json.Marshal(data)
	if err != nil {
		return diag.Diagnostics{internalError(err)}
	}
	return private.SetKey(ctx, plannedKey, text)
}

// getPlanned returns the zero value if the plan was made without.
func getPlanned(ctx context.Context, private privateGetter) (data plannedData, diags diag.Diagnostics) {
	text, diags := private.GetKey(ctx, plannedKey)
	if len(text) == 0 || diags.HasError() {
		return data, diags
	}
	if err := json.Unmarshal(text, &data); err != nil {
		diags.Append(internalError(err))
	}
	return data, diags
}
