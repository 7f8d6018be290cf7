package provider

// data tunnelform_routes: the routes file's current content.

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

type routesData struct{ configuredData }

func newRoutesData() datasource.DataSource { return &routesData{} }

func (d *routesData) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tunnelform_routes"
}

func (d *routesData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := map[string]schema.Attribute{
		"exists":   schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the file exists."},
		"content":  schema.StringAttribute{Computed: true, MarkdownDescription: "The file's text, byte for byte; empty if it does not exist."},
		"revision": schema.StringAttribute{Computed: true, MarkdownDescription: "The SHA-256 of its bytes in hex; empty if it does not exist."},
		"mistakes": schema.ListAttribute{Computed: true, ElementType: types.StringType,
			MarkdownDescription: "The mistakes that `tunnelform check` finds in it and the provider's `context_files`: one `file:line:column: text` for each."},
		"names": schema.ListAttribute{Computed: true, ElementType: types.StringType,
			MarkdownDescription: "The routes' names, sorted."},
	}
	for _, name := range fileKeys {
		attributes[name] = shapes[name].computedAttribute()
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the provider's routes file. A file with mistakes is read as far as possible, and `mistakes` lists them.",
		Attributes:          attributes,
	}
}

func (d *routesData) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	if !d.session.usable(&resp.Diagnostics) {
		return
	}
	doc, err := d.session.reader.read(ctx)
	if err != nil {
		resp.Diagnostics.Append(readFailed(d.session.file, err))
		return
	}
	resp.State.Raw = toValue(req.Config.Raw.Type(), d.session.plainFile(ctx, doc))
}

func (s *session) plainFile(ctx context.Context, doc *document) routefile.Plain {
	all := routefile.Plain{"exists": doc.revision != "", "content": "", "revision": doc.revision, "mistakes": []any{}, "names": []any{}}
	if doc.revision == "" {
		return all
	}
	maps.Copy(all, doc.file.Document())
	all["content"] = string(doc.data)
	for _, mistake := range s.check(ctx, doc.file) {
		all["mistakes"] = append(all["mistakes"].([]any), mistake.String())
	}
	for _, name := range slices.Sorted(maps.Keys(doc.file.Routes)) {
		all["names"] = append(all["names"].([]any), name)
	}
	return all
}
