package provider

// data tunnelform_routes_document: renders a routes file from attributes, merges
// other documents into it, and checks the result.

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

type routesDocument struct{}

var _ datasource.DataSourceWithValidateConfig = routesDocument{}

func newRoutesDocument() datasource.DataSource { return routesDocument{} }

func (routesDocument) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "tunnelform_routes_document"
}

func (routesDocument) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := map[string]schema.Attribute{
		"source_documents": schema.ListAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Texts of routes files to start from. Each name, and each of `trusted_proxies`, `defaults` and `shutdown`, may be in only one of them; this block overrides them."},
		"override_documents": schema.ListAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Texts of routes files whose records replace those of the same name in this block and in `source_documents`; the last one wins."},
		"context_documents": schema.ListAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Texts of other routes files that the same proxy serves. They are used for validation only and are not part of the result."},
		"yaml": schema.StringAttribute{Computed: true,
			MarkdownDescription: "The file in the canonical layout: keys in the order of the reference, names sorted."},
		"revision": schema.StringAttribute{Computed: true,
			MarkdownDescription: "The revision of `yaml`, as a proxy that serves it alone reports it: its SHA-256 in hex."},
	}
	for _, name := range fileKeys {
		k := shapes[name].key
		attributes[name] = schema.DynamicAttribute{Optional: true,
			MarkdownDescription: k.Meaning + " As in the routes file: `" + k.Example + "`."}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Renders a routes file as canonical YAML, and checks it as `tunnelform check` does. " +
			"Use it with `tunnelform_routes_file`, or with another resource that delivers the file, such as `kubernetes_config_map` or an S3 object. It asks no proxy and writes no file.\n\n" +
			"Its attributes are the keys of the file, as the function `encode` takes them: they may have any type, so that an unknown key is an error. For several thousand routes `encode` and `yamlencode` are faster.",
		Attributes: attributes,
	}
}

// ValidateConfig finds mistakes before the whole document is known; Read judges it with
// the texts that it is merged with.
func (routesDocument) ValidateConfig(_ context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	d := plainDecoder{fill: true}
	own, _, err := readDocumentConfig(&d, req.Config)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	yaml, err := routefile.EncodeDocument(own)
	if err != nil {
		resp.Diagnostics.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return
	}
	_, errs := routefile.Parse(renderedFileName, yaml)
	if len(d.unknown) > 0 {
		errs = slices.DeleteFunc(errs, func(e *routefile.Error) bool { return !strings.HasPrefix(e.Text, "unknown key ") })
	}
	reportInDocument(own, errs, &resp.Diagnostics)
}

func reportInDocument(own routefile.Plain, errs routefile.Errors, diags *diag.Diagnostics) {
	for _, mistake := range problemsOf(errs) {
		diags.Append(invalidDocument(attributeInDocument(own, mistake.key), []problem{withoutRenderedPosition(mistake)}))
	}
}

func (routesDocument) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	own, texts, err := readDocumentConfig(&plainDecoder{}, req.Config)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	m := merger{diags: &resp.Diagnostics, firstSeen: map[string]string{}}
	m.sources(texts["source_documents"])
	m.replace(own)
	for i, text := range texts["override_documents"] {
		m.replace(m.parse("override_documents", i, text))
	}
	if resp.Diagnostics.HasError() {
		return
	}
	yaml := judgeDocument(ctx, m.merged, own, texts["context_documents"], &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	setDocument(&resp.State, req.Config, yaml)
}

// readDocumentConfig separates the block's own records from the texts to merge.
func readDocumentConfig(d *plainDecoder, config tfsdk.Config) (routefile.Plain, map[string][]string, error) {
	attributes := members(config.Raw)
	own, texts := routefile.Plain{}, map[string][]string{}
	for _, name := range fileKeys {
		value, err := d.value(attributes[name])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if value != nil {
			own[name] = value
		}
	}
	for _, name := range []string{"source_documents", "override_documents", "context_documents"} {
		value, err := d.value(attributes[name])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		list, _ := value.([]any)
		for _, text := range list {
			texts[name] = append(texts[name], text.(string))
		}
	}
	return own, texts, nil
}

// setDocument sets the state: the configuration with the computed attributes.
func setDocument(state *tfsdk.State, config tfsdk.Config, yaml []byte) {
	attributes := members(config.Raw)
	attributes["yaml"] = tftypes.NewValue(tftypes.String, string(yaml))
	attributes["revision"] = tftypes.NewValue(tftypes.String, store.RevisionOf(yaml))
	state.Raw = tftypes.NewValue(config.Raw.Type(), attributes)
}

// merger merges documents record by record. Not for concurrent use.
type merger struct {
	merged    routefile.Plain
	firstSeen map[string]string // where each record was first: "routes.chat" -> "source_documents[0]"
	diags     *diag.Diagnostics
}

// sources merges documents that may not have a record in common.
func (m *merger) sources(texts []string) {
	for i, text := range texts {
		for _, r := range recordsOf(m.parse("source_documents", i, text)) {
			if first, said := m.firstSeen[r.String()]; said && !r.empty() {
				m.diags.Append(duplicateRecord(path.Root("source_documents").AtListIndex(i), r, first))
				continue
			}
			m.firstSeen[r.String()] = documentName("source_documents", i)
			m.put(r)
		}
	}
}

// replace merges a document whose records replace earlier ones.
func (m *merger) replace(p routefile.Plain) {
	for _, r := range recordsOf(p) {
		m.put(r)
	}
}

func (m *merger) put(r documentEntry) {
	if m.merged == nil {
		m.merged = routefile.Plain{}
	}
	if !r.named {
		m.merged[r.key] = r.value
		return
	}
	section, _ := m.merged[r.key].(routefile.Plain)
	if section == nil {
		section = routefile.Plain{}
		m.merged[r.key] = section
	}
	if !r.empty() {
		section[r.name] = r.value
	}
}

// parse parses one document of a list attribute, and reports its mistakes there.
func (m *merger) parse(attribute string, index int, text string) routefile.Plain {
	f, errs := routefile.Parse(documentName(attribute, index), []byte(text))
	if len(errs) > 0 {
		m.diags.Append(invalidDocument(path.Root(attribute).AtListIndex(index), problemsOf(errs)))
		return nil
	}
	return f.Document()
}

// documentEntry is a unit of merging: a record, or a top-level key without records.
type documentEntry struct {
	key   string
	named bool   // the key holds records by name
	name  string // "" for a section without records
	value any
}

// empty reports a section without records. It is merged too: `routes: {}` means to
// serve nothing.
func (r documentEntry) empty() bool { return r.named && r.name == "" }

func (r documentEntry) String() string {
	if r.name == "" {
		return r.key
	}
	return r.key + "." + r.name
}

// recordsOf returns a document's entries, sorted.
func recordsOf(p routefile.Plain) (all []documentEntry) {
	for _, key := range fileKeys {
		value, said := p[key]
		section, _ := value.(routefile.Plain)
		named := shapes[key].key.Kind == routefile.KindNamed
		switch {
		case !said:
		case !named || value != nil && section == nil: // a value of the wrong kind is reported with the whole
			all = append(all, documentEntry{key: key, value: value})
		case len(section) == 0:
			all = append(all, documentEntry{key: key, named: true})
		default:
			for _, name := range slices.Sorted(maps.Keys(section)) {
				all = append(all, documentEntry{key, true, name, section[name]})
			}
		}
	}
	return all
}

// judgeDocument encodes and checks the merged document. It reports each mistake at
// the attribute of the block that it is in, if any.
func judgeDocument(ctx context.Context, merged, own routefile.Plain, others []string, diags *diag.Diagnostics) []byte {
	yaml, err := routefile.EncodeDocument(merged)
	if err != nil {
		diags.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return nil
	}
	made, _, err := routefile.ParseContext(ctx, renderedFileName, yaml)
	if err != nil {
		diags.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return nil
	}
	files := []*routefile.File{made}
	for i, other := range others {
		f, errs := routefile.Parse(documentName("context_documents", i), []byte(other))
		if len(errs) > 0 {
			diags.Append(invalidDocument(path.Root("context_documents").AtListIndex(i), problemsOf(errs)))
			continue
		}
		files = append(files, f)
	}
	errs, err := routefile.CheckContext(ctx, files...)
	if err != nil {
		diags.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return nil
	}
	reportInDocument(own, errs, diags)
	return yaml
}
