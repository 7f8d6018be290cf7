package provider

// tunnelform_serving: waits until the proxies serve a revision that was delivered
// by other means.

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

type servingResource struct{ configured }

func newServing() resource.Resource { return &servingResource{} }

var (
	_ resource.ResourceWithConfigure      = (*servingResource)(nil)
	_ resource.ResourceWithValidateConfig = (*servingResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*servingResource)(nil)
)

type servingModel struct {
	Revision types.String `tfsdk:"revision"`
	Admin    types.List   `tfsdk:"admin"`
	Timeout  types.String `tfsdk:"timeout"`
	Require  types.String `tfsdk:"require"`
	Serving  types.Bool   `tfsdk:"serving"`
}

func (r *servingResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_serving"
}

func (r *servingResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Waits until the proxies serve a revision, for routes files that another provider delivers (a `kubernetes_config_map`, an S3 object). " +
			"If a proxy rejects the file, apply fails with its mistakes. It changes nothing, and destroying it does nothing.",
		Attributes: map[string]schema.Attribute{
			"revision": schema.StringAttribute{Required: true,
				MarkdownDescription: "The revision to wait for: of `tunnelform_routes_document`, or from the function `revision`."},
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Admin addresses of the proxies: `host:port` or `unix:/path`. Default: the provider's `admin`."},
			"timeout": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How long to wait: `2m`. A kubelet may take a minute to bring a changed ConfigMap into a pod. Default: the provider's `wait.timeout`."},
			"require": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How many of the proxies must serve it: `all`, `any` or a number. A rejection by any proxy is always an error. Default: the provider's `wait.require`, or `all` if `admin` is set here."},
			servingAttribute: schema.BoolAttribute{Computed: true,
				MarkdownDescription: "Whether that many proxies serve the revision. While it is false, the plan is not empty, and apply waits again."},
		},
	}
}

func (r *servingResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m servingModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if v := m.Revision; !v.IsNull() && !v.IsUnknown() && !isRevision(v.ValueString()) {
		resp.Diagnostics.Append(invalidRevision(v.ValueString()))
	}
	if !resp.Diagnostics.HasError() && !m.Admin.IsNull() {
		_, diags := m.proxySet(r.session)
		resp.Diagnostics.Append(diags...)
	}
}

// isRevision reports whether text is a SHA-256 in hex.
func isRevision(text string) bool {
	const digits = 64
	return len(text) == digits && !slices.ContainsFunc([]byte(text), func(b byte) bool {
		return (b < '0' || b > '9') && (b < 'a' || b > 'f')
	})
}

// proxySet is the resource's own proxies, or the provider's. Own addresses do not
// inherit wait.require, which may count other proxies.
func (m servingModel) proxySet(s *session) (proxySet, diag.Diagnostics) {
	var diags diag.Diagnostics
	if !m.Admin.IsNull() || !m.Require.IsNull() {
		config := configuration{Admin: m.Admin, Wait: &waitModel{Timeout: m.Timeout, Require: m.Require}}
		if m.Admin.IsNull() && s != nil {
			config.Admin = s.proxies.addresses()
		}
		set := newProxySet(config, &diags)
		set.timeout = m.waitTimeout(s, &diags)
		return set, asResourceAttributes(diags)
	}
	set := proxySet{}
	if s != nil {
		set = s.proxies
	}
	set.timeout = m.waitTimeout(s, &diags)
	return set, diags
}

func (m servingModel) waitTimeout(s *session, diags *diag.Diagnostics) time.Duration {
	defaultValue := time.Minute
	if s != nil {
		defaultValue = s.proxies.timeout
	}
	return duration(m.Timeout, defaultValue, path.Root("timeout"), diags)
}

func (set proxySet) addresses() types.List {
	var all []attr.Value
	for _, p := range set.proxies {
		all = append(all, types.StringValue(p.address))
	}
	return types.ListValueMust(types.StringType, all)
}

// ModifyPlan plans serving = true, which apply waits for.
func (r *servingResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if !req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root(servingAttribute), true)...)
	}
}

func (r *servingResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m servingModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if r.await(ctx, m, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

func (r *servingResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m servingModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if r.await(ctx, m, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

func (r *servingResource) await(ctx context.Context, m servingModel, diags *diag.Diagnostics) bool {
	if diags.HasError() {
		return false
	}
	set, bad := m.proxySet(r.session)
	diags.Append(bad...)
	if len(set.proxies) == 0 && !diags.HasError() {
		diags.Append(noProxies())
	}
	if diags.HasError() {
		return false
	}
	revision := m.Revision.ValueString()
	if err := set.await(ctx, revision, func(context.Context) (string, error) { return revision, nil }); err != nil {
		diags.Append(notServed(revision, err))
		return false
	}
	return true
}

func (r *servingResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m servingModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	set, diags := m.proxySet(r.session)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.Serving = set.servesRevision(ctx, m.Revision.ValueString())
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func (r *servingResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// servesRevision reports whether enough proxies serve a revision, of one file or of
// the set: null if there are no proxies.
func (set proxySet) servesRevision(ctx context.Context, revision string) types.Bool {
	if len(set.proxies) == 0 {
		return types.BoolNull()
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	serving := 0
	for _, p := range set.proxies {
		status, err := p.status(ctx, "", 0)
		if err != nil {
			continue
		}
		if status.Revision == revision || slices.ContainsFunc(status.Files, func(f statusapi.File) bool { return f.Revision == revision }) {
			serving++
		}
	}
	return types.BoolValue(serving >= set.require)
}
