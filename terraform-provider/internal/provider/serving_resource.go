package provider

// tunnelform_serving: an apply that waits until the proxies serve a revision
// which somebody else has delivered.

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

// servingResource is the resource. Its methods are called concurrently,
// Configure before all others.
type servingResource struct{ session *session }

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
		MarkdownDescription: "Waits until proxies serve a revision. For routes files that another provider delivers (a `kubernetes_config_map`, an S3 object): " +
			"the apply is done when the routes answer, and fails with a proxy's own words when it rejects them. It changes nothing, and destroying it does nothing.",
		Attributes: map[string]schema.Attribute{
			"revision": schema.StringAttribute{Required: true,
				MarkdownDescription: "The revision to wait for: of `tunnelform_routes_document`, or from the function `revision`."},
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Whom to ask: `host:port` or `unix:/path`. Default: the provider's `admin`."},
			"timeout": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How long to wait: `2m`. A kubelet may take a minute to bring a changed ConfigMap into a pod. Default: the provider's `wait.timeout`."},
			"require": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How many of the proxies must serve it: `all`, `any` or a number. A rejection by any of them fails whatever is said here. Default: the provider's `wait.require`, with `admin` here `all`."},
			servingAttribute: schema.BoolAttribute{Computed: true,
				MarkdownDescription: "Whether that many of them serve the revision. While it is false, a plan is not empty, and apply waits again."},
		},
	}
}

func (r *servingResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData)
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

// isRevision says that text is a sha256 in hex.
func isRevision(text string) bool {
	const digits = 64
	return len(text) == digits && !slices.ContainsFunc([]byte(text), func(b byte) bool {
		return (b < '0' || b > '9') && (b < 'a' || b > 'f')
	})
}

// fleet is whom to ask. With addresses of its own the resource knows nothing of
// the provider's wait.require, which may count others.
func (m servingModel) proxySet(s *session) (proxySet, diag.Diagnostics) {
	var diags diag.Diagnostics
	if !m.Admin.IsNull() || !m.Require.IsNull() {
		c := configuration{Admin: m.Admin, Wait: &waitModel{Timeout: m.Timeout, Require: m.Require}}
		if m.Admin.IsNull() && s != nil {
			c.Admin = s.proxies.addresses()
		}
		f := newProxySet(c, &diags)
		f.timeout = m.waitTimeout(s, &diags)
		return f, asResourceAttributes(diags)
	}
	f := proxySet{}
	if s != nil {
		f = s.proxies
	}
	f.timeout = m.waitTimeout(s, &diags)
	return f, diags
}

func (m servingModel) waitTimeout(s *session, diags *diag.Diagnostics) time.Duration {
	defaultValue := time.Minute
	if s != nil {
		defaultValue = s.proxies.timeout
	}
	return duration(m.Timeout, defaultValue, path.Root("timeout"), diags)
}

// addresses of the proxies, as they were given.
func (f proxySet) addresses() types.List {
	var all []attr.Value
	for _, p := range f.proxies {
		all = append(all, types.StringValue(p.address))
	}
	return types.ListValueMust(types.StringType, all)
}

// ModifyPlan plans that the proxies serve it: that is what apply sees to.
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
	f, bad := m.proxySet(r.session)
	diags.Append(bad...)
	if len(f.proxies) == 0 && !diags.HasError() {
		diags.Append(noProxies())
	}
	if diags.HasError() {
		return false
	}
	revision := m.Revision.ValueString()
	if err := f.await(ctx, revision, func(context.Context) (string, error) { return revision, nil }); err != nil {
		diags.Append(notServed(revision, err))
		return false
	}
	return true
}

func (r *servingResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m servingModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	f, diags := m.proxySet(r.session)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.Serving = f.servesRevision(ctx, m.Revision.ValueString())
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func (r *servingResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// servesRevision says whether enough proxies serve a revision, of one file or of
// all they serve: null when there are none to ask.
func (f proxySet) servesRevision(ctx context.Context, revision string) types.Bool {
	if len(f.proxies) == 0 {
		return types.BoolNull()
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	serving := 0
	for _, p := range f.proxies {
		status, err := p.status(ctx, "", 0)
		if err != nil {
			continue
		}
		if status.Revision == revision || slices.ContainsFunc(status.Files, func(f statusapi.File) bool { return f.Revision == revision }) {
			serving++
		}
	}
	return types.BoolValue(serving >= f.require)
}
