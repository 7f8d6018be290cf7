package provider

// data tunnelform_routes: what is in the routes file now, whoever wrote it.

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

type routesData struct{ session *session }

func newRoutesData() datasource.DataSource { return &routesData{} }

func (d *routesData) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tunnelform_routes"
}

func (d *routesData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := map[string]schema.Attribute{
		"exists":   schema.BoolAttribute{Computed: true, MarkdownDescription: "There is such a file."},
		"content":  schema.StringAttribute{Computed: true, MarkdownDescription: "The file's text, byte for byte; empty when there is none."},
		"revision": schema.StringAttribute{Computed: true, MarkdownDescription: "Its revision, the SHA-256 of its bytes in hex; empty when there is no file."},
		"mistakes": schema.ListAttribute{Computed: true, ElementType: types.StringType,
			MarkdownDescription: "What `tunnelform check` finds in it, together with the provider's `context_files`: `file:line:column: text`, one item a mistake."},
		"names": schema.ListAttribute{Computed: true, ElementType: types.StringType,
			MarkdownDescription: "The routes' names, sorted."},
	}
	for _, name := range fileKeys {
		attributes[name] = shapes[name].dataAttribute(true)
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the provider's routes file, whoever wrote it. A file with mistakes is read as far as it can be, and `mistakes` says what they are.",
		Attributes:          attributes,
	}
}

func (d *routesData) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	d.session = sessionOf(req.ProviderData)
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
	resp.State.Raw = toValue(req.Config.Raw.Type(), d.session.plainFile(doc))
}

// plainFile is the file as the data source's attributes.
func (s *session) plainFile(doc *document) routefile.Plain {
	all := routefile.Plain{"exists": doc.revision != "", "content": "", "revision": doc.revision, "mistakes": []any{}, "names": []any{}}
	if doc.revision == "" {
		return all
	}
	maps.Copy(all, doc.file.Document())
	all["content"] = string(doc.data)
	for _, c := range s.check(doc.file) {
		all["mistakes"] = append(all["mistakes"].([]any), c.String())
	}
	for _, name := range slices.Sorted(maps.Keys(doc.file.Routes)) {
		all["names"] = append(all["names"].([]any), name)
	}
	return all
}
