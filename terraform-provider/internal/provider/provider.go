// Package provider is the Terraform provider: routes, pools and whole routes
// files as resources, on the proxy's own validator (routefile), its store
// (filestore) and its admin API's types (statusapi).
//
// Apply means serving: a resource's write is done when the proxies that serve
// the file have said so. Begin with record.go, which uses nearly all of the rest.
//
// The provider:
//
//	server.go             the plugin's server, over the framework's
//	provider.go           the configuration; session.go: a configured provider
//
// Attributes and values:
//
//	key_shape.go          the routes file's keys as a tree
//	record_fields.go      attributes and blocks of resources; data_schema.go: attributes of data sources
//	wire_values.go        Terraform's values to plain ones and back; attr_values.go: those of functions
//	header_files.go       values of headers that are in files
//
// Resources, actions and lists:
//
//	record.go             one record of the file; route.go, pool.go; record_list.go lists them
//	standalone_check.go   checks a record by itself; state_upgrade.go reads older states
//	routes_file.go        the whole file; file_replacement.go writes it
//	routes_exclusive.go   the only names that may be in the file
//	serving_resource.go   waits for proxies; serving_action.go does so as an action
//
// A plan:
//
//	plan_state.go         the records planned in this run
//	exchange.go           records of a plan that take each other's places
//	planned_private.go    what a plan tells the apply
//
// Reading and writing the file, and asking proxies:
//
//	document.go           reads the file, once for concurrent callers (coalesce.go)
//	writer.go             commits changes in batches; compose.go applies them to the file's text
//	proxies.go            asks proxies what they serve
//
// Data sources and functions:
//
//	*_data.go             a data source each
//	*_function.go         a function each; functions.go: what they share
//
// What the user reads:
//
//	diagnostics.go        the texts about records; file_diagnostics.go has those about files
//	secrets.go            hides values in them
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

// New returns the constructor that the plugin server calls.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &tunnelform{version: version} }
}

// A new resource, data source or function needs a line here and nothing else.
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
	// Terraform supports these from 1.14 on: nothing else may depend on them.
	listKinds   = []func() list.ListResource{newRouteList, newPoolList}
	actionKinds = []func() action.Action{newServingAction}
)

// tunnelform is the provider. The plugin server calls its methods concurrently,
// but Configure only once a run.
type tunnelform struct {
	version string
}

var (
	_ provider.Provider              = (*tunnelform)(nil)
	_ provider.ProviderWithFunctions = (*tunnelform)(nil)

	_ provider.ProviderWithValidateConfig = (*tunnelform)(nil)

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
		MarkdownDescription: "Manages the routes of Tunnelform, a WebSocket-first reverse proxy, in its routes file. " +
			"Plans are checked by the proxy's own validator, and an apply ends when the running proxies serve what was applied.\n\n" +
			"Every setting can be given in the environment instead. Settings may be unknown at plan: the checks that need them then run at apply.",
		Attributes: map[string]schema.Attribute{
			"file": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Path of the routes file. It is created if it does not exist; its directory must exist. Environment: `TUNNELFORM_FILE`."},
			"admin": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Admin addresses of the proxies that serve the file: `host:port` or `unix:/path`, as given to `serve --admin`. " +
					"If set, apply waits until they serve what was written, and reverts what they reject. Environment: `TUNNELFORM_ADMIN`, separated by commas."},
			"clash_wait": schema.StringAttribute{Optional: true,
				MarkdownDescription: "How long a write that conflicts with a record in the file waits for that record to be removed: Terraform destroys and creates in any order. " +
					"Default: `10s`. Environment: `TUNNELFORM_CLASH_WAIT`."},
			"on_unsupported_layout": schema.StringAttribute{Optional: true,
				MarkdownDescription: "What to do with a file whose layout cannot be edited in place (for example, sections written in braces): " +
					"`error`, the default, reports the position; `reformat` rewrites the file in the canonical layout first. Environment: `TUNNELFORM_ON_UNSUPPORTED_LAYOUT`."},
			"write_in_place": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Allows a write that is not atomic if the file cannot be replaced because it is itself a mount point. Mount its directory instead if possible. " +
					"Default: `false`. Environment: `TUNNELFORM_WRITE_IN_PLACE`."},
			"context_files": schema.ListAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Other routes files that the proxies serve together with `file`. They are read for validation, never written. " +
					"Environment: `TUNNELFORM_CONTEXT_FILES`, separated by commas."},
		},
		Blocks: map[string]schema.Block{
			"wait": schema.SingleNestedBlock{Attributes: waitAttributes(), // no attribute: see record_fields.go
				MarkdownDescription: "How apply waits for the proxies in `admin`."},
		},
	}
}

func waitAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"timeout": schema.StringAttribute{Optional: true,
			MarkdownDescription: "How long to wait: `30s`, `2m`. Default: `1m`. Environment: `TUNNELFORM_WAIT_TIMEOUT`."},
		"require": schema.StringAttribute{Optional: true,
			MarkdownDescription: "How many of the proxies must serve what was written: `all`, `any` or a number. A rejection by any proxy is always an error. " +
				"Default: `all`. Environment: `TUNNELFORM_WAIT_REQUIRE`."},
	}
}

// ValidateConfig checks the settings that are known, so that terraform validate does.
func (p *tunnelform) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	config, diags := readConfiguration(ctx, req.Config)
	if resp.Diagnostics.Append(diags...); !diags.HasError() {
		config.validate(&resp.Diagnostics)
	}
}

func (p *tunnelform) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	config, diags := readConfiguration(ctx, req.Config)
	if resp.Diagnostics.Append(diags...); diags.HasError() {
		return
	}
	s := newSession(config, &resp.Diagnostics)
	resp.ResourceData, resp.DataSourceData = s, s
	resp.ListResourceData, resp.ActionData = s, s
}
