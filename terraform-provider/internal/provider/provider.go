// Package provider is the Terraform provider: routes, pools and whole routes
// files as resources, on the proxy's own validator (routefile), its store
// (filestore) and its admin API's types (statusapi).
//
// Apply means serving: a resource's write is done when the proxies that serve
// the file have said so. The parts:
//
//	provider.go     the configuration; session.go: what a configured provider is
//	shape.go        the routes file's keys as a tree; schema.go, values.go: attributes and values from it
//	record.go       one record of the file as a resource: route.go, pool.go
//	document.go     reading the file, once for many (shared.go)
//	writer.go       writing it: many changes in one commit, laid over it in compose.go
//	serving.go      asking proxies what they serve
//	ledger.go       what is planned in this run; lone.go: a record judged by itself
//	diagnostics.go  every text that a user sees
package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// New returns the provider's constructor, as the plugin server wants it.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &tunnelform{version: version} }
}

// The constructors of everything that the provider has. Add a line here, and
// nothing else, for a new one.
var (
	resources = []func() resource.Resource{
		newRoute,
		newPool,
		newRoutesFile, newRoutesExclusive, newServing,
	}
	dataSources = []func() datasource.DataSource{
		newRoutesDocument, newRoutesData, newStatusData,
	}
	functions = []func() function.Function{
		newCheckFunction, newExplainFunction, newEncodeFunction, newDecodeFunction, newRevisionFunction,
	}
	// Of terraform 1.14 and later; nothing may depend on them.
	listKinds   = []func() list.ListResource{newRouteList, newPoolList}
	actionKinds = []func() action.Action{newServingAction}
)

// tunnelform is the provider. Its methods are called by the plugin server, some
// of them concurrently; Configure once for each run.
type tunnelform struct {
	version string
}

var (
	_ provider.Provider              = (*tunnelform)(nil)
	_ provider.ProviderWithFunctions = (*tunnelform)(nil)

	_ provider.ProviderWithListResources = (*tunnelform)(nil)
	_ provider.ProviderWithActions       = (*tunnelform)(nil)
)

func (p *tunnelform) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "tunnelform"
	resp.Version = p.version
}

func (p *tunnelform) Resources(context.Context) []func() resource.Resource { return resources }

func (p *tunnelform) DataSources(context.Context) []func() datasource.DataSource { return dataSources }

func (p *tunnelform) Functions(context.Context) []func() function.Function { return functions }

func (p *tunnelform) ListResources(context.Context) []func() list.ListResource { return listKinds }

func (p *tunnelform) Actions(context.Context) []func() action.Action { return actionKinds }

func (p *tunnelform) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Keeps the routes of Tunnelform, a WebSocket-first reverse proxy, in its routes file. " +
			"Plans are judged by the proxy's own validator, and an apply ends when the running proxies serve what was applied.\n\n" +
			"Every setting can be given in the environment instead; what is not known at plan is no error, the checks that need it are left to apply.",
		Attributes: map[string]schema.Attribute{
			"file": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Path of the routes file. It is made when it does not exist; its directory must. Environment: `TUNNELFORM_FILE`."},
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Admin addresses of the proxies that serve the file: `host:port` or `unix:/path`, as given to `serve --admin`. " +
					"With it, apply waits until they serve what was written, and what they reject is taken back. Environment: `TUNNELFORM_ADMIN`, separated by commas."},
			"wait": schema.SingleNestedAttribute{Optional: true, Attributes: waitAttributes(),
				MarkdownDescription: "How apply waits for the proxies in `admin`."},
			"clash_wait": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How long a write that clashes with a record in the file waits for that record to go, since Terraform destroys and creates in any order. " +
					"Default: `10s`. Environment: `TUNNELFORM_CLASH_WAIT`."},
			"on_unsupported_layout": schema.StringAttribute{Optional: true,
				MarkdownDescription: "What to do with a file whose layout cannot be edited in place (sections written in braces, for example): " +
					"`error`, the default, names the place; `reformat` brings the file into the canonical layout first. Environment: `TUNNELFORM_ON_UNSUPPORTED_LAYOUT`."},
			"write_in_place": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Accepts a write that is not atomic where the file cannot be replaced because it is mounted by itself. Mounting its directory is better. " +
					"Default: `false`. Environment: `TUNNELFORM_WRITE_IN_PLACE`."},
			"context_files": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Other routes files that the proxies serve together with `file`. They are read for the checks, never written. " +
					"Environment: `TUNNELFORM_CONTEXT_FILES`, separated by commas."},
		},
	}
}

func waitAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"timeout": schema.StringAttribute{Optional: true,
			MarkdownDescription: "How long: `30s`, `2m`. Default: `1m`. Environment: `TUNNELFORM_WAIT_TIMEOUT`."},
		"require": schema.StringAttribute{Optional: true,
			MarkdownDescription: "How many of the proxies must serve what was written: `all`, `any` or a number. A rejection by any of them fails whatever is said here. " +
				"Default: `all`. Environment: `TUNNELFORM_WAIT_REQUIRE`."},
	}
}

// Configure makes the session that resources and data sources work with.
func (p *tunnelform) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var c configuration
	resp.Diagnostics.Append(req.Config.Get(ctx, &c)...)
	if resp.Diagnostics.HasError() {
		return
	}
	s := newSession(c.withEnvironment(), &resp.Diagnostics)
	resp.ResourceData, resp.DataSourceData = s, s
	resp.ListResourceData, resp.ActionData = s, s
}
