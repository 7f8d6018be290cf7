package provider

// list tunnelform_route and tunnelform_pool (Terraform 1.14 and later): every
// record of the file, so that `terraform query -generate-config-out` can import a
// hand-written file.

import (
	"context"
	"path"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	attrpath "github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// recordLister lists the records of one section.
type recordLister struct {
	section routefile.Section
	session *session
}

var _ list.ListResourceWithConfigure = (*recordLister)(nil)

func newRouteList() list.ListResource { return &recordLister{section: routefile.InRoutes} }
func newPoolList() list.ListResource  { return &recordLister{section: routefile.InPools} }

func (l *recordLister) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + noun(l.section)
}

func (l *recordLister) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lists the " + string(l.section) + " of the provider's routes file, sorted by name.",
		Attributes: map[string]schema.Attribute{
			nameAttribute: schema.StringAttribute{Optional: true,
				MarkdownDescription: "Only names that match this pattern: `*` matches any characters, `?` one. Default: all."},
		},
	}
}

func (l *recordLister) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	l.session = sessionOf(req.ProviderData)
}

func (l *recordLister) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var pattern types.String
	diags := req.Config.GetAttribute(ctx, attrpath.Root(nameAttribute), &pattern)
	if _, err := path.Match(pattern.ValueString(), ""); err != nil {
		diags.Append(invalidPattern(pattern.ValueString()))
	}
	var doc *document
	if !diags.HasError() && l.session.ready(&diags) {
		var err error
		if doc, err = l.session.reader.read(ctx); err != nil {
			diags.Append(readFailed(l.session.file, err))
		}
	}
	if diags.HasError() {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	stream.Results = func(push func(list.ListResult) bool) {
		for _, name := range firstN(matching(namesOf(doc.file, l.section), pattern), req.Limit) {
			if !push(l.result(ctx, req, doc, name)) {
				return
			}
		}
	}
}

// matching filters names by a pattern, if there is one. Names have no slash, so *
// matches any name.
func matching(names []string, pattern types.String) []string {
	if pattern.IsNull() {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		fits, err := path.Match(pattern.ValueString(), name)
		return !fits || err != nil
	})
}

// firstN returns the first names; a limit of 0 is none.
func firstN(names []string, limit int64) []string {
	if limit > 0 && int64(len(names)) > limit {
		return names[:limit]
	}
	return names
}

func (l *recordLister) result(ctx context.Context, req list.ListRequest, doc *document, name string) list.ListResult {
	result := req.NewListResult(ctx)
	result.DisplayName = name
	result.Diagnostics.Append(result.Identity.SetAttribute(ctx, attrpath.Root(nameAttribute), name)...)
	if req.IncludeResource {
		record := recordValue(l.section, result.Resource.Raw.Type(), doc.file.Plain(l.section, name))
		result.Resource.Raw = withRecordName(record, name, doc.fingerprint(recordID{l.section, name}))
	}
	return result
}

// withRecordName adds the attributes that are not keys of the record.
func withRecordName(record tftypes.Value, name, revision string) tftypes.Value {
	all := members(record)
	all[nameAttribute] = tftypes.NewValue(tftypes.String, name)
	all[revisionAttribute] = tftypes.NewValue(tftypes.String, revision)
	return tftypes.NewValue(record.Type(), all)
}

func invalidPattern(pattern string) diag.Diagnostic {
	return invalidChoice(attrpath.Root(nameAttribute), pattern, "a pattern such as chat-*")
}
