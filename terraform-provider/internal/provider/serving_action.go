package provider

// action tunnelform_serving (Terraform 1.14 and later): waits, on request or after
// another resource, until the proxies serve the file.

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type servingAction struct{ session *session }

func newServingAction() action.Action { return &servingAction{} }

var _ action.ActionWithConfigure = (*servingAction)(nil)

func (a *servingAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_serving"
}

func (a *servingAction) Schema(_ context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Waits until the proxies in the provider's `admin` serve a revision, and fails with their mistakes if they reject it. " +
			"The resource `tunnelform_serving` does the same as part of a plan.",
		Attributes: map[string]schema.Attribute{
			"revision": schema.StringAttribute{Optional: true,
				MarkdownDescription: "The revision to wait for. Default: the current revision of the provider's file."},
		},
	}
}

func (a *servingAction) Configure(_ context.Context, req action.ConfigureRequest, _ *action.ConfigureResponse) {
	a.session = sessionOf(req.ProviderData)
}

func (a *servingAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var revision types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("revision"), &revision)...)
	if a.session == nil || len(a.session.proxies.proxies) == 0 {
		resp.Diagnostics.Append(noProxies())
	}
	if resp.Diagnostics.HasError() {
		return
	}
	wanted, current := revision.ValueString(), func(context.Context) (string, error) { return revision.ValueString(), nil }
	if revision.IsNull() {
		if !a.session.ready(&resp.Diagnostics) {
			return
		}
		var err error
		if wanted, err = a.session.currentRevision(ctx); err != nil {
			resp.Diagnostics.Append(readFailed(a.session.file, err))
			return
		}
		current = a.session.currentRevision
	}
	resp.SendProgress(action.InvokeProgressEvent{Message: fmt.Sprintf("waiting for %d proxies to serve revision %.12s", a.session.proxies.require, wanted)})
	if err := a.session.proxies.await(ctx, wanted, current); err != nil {
		resp.Diagnostics.Append(notServed(wanted, err))
	}
}
