package provider

// tunnelform_routes_file: the whole routes file from one string.

import (
	"context"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/reload/store"
)

type routesFileResource struct{ configured }

func newRoutesFile() resource.Resource { return &routesFileResource{} }

var (
	_ resource.ResourceWithConfigure      = (*routesFileResource)(nil)
	_ resource.ResourceWithValidateConfig = (*routesFileResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*routesFileResource)(nil)
	_ resource.ResourceWithImportState    = (*routesFileResource)(nil)
)

type routesFileModel struct {
	Content   types.String `tfsdk:"content"`
	OnDestroy types.String `tfsdk:"on_destroy"`
	Revision  types.String `tfsdk:"revision"`
	Serving   types.Bool   `tfsdk:"serving"`
}

const (
	emptyOnDestroy = "empty"
	keepOnDestroy  = "keep"
)

func (r *routesFileResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_routes_file"
}

func (r *routesFileResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The provider's whole routes file, authoritatively: anything in the file that is not in `content` is removed. " +
			"The plan checks the text as `tunnelform check` does, and reports every mistake with its line and column. An apply overwrites only what its plan has seen: if the file was edited since, it fails and shows the edit.\n\n" +
			"Do not use it together with `tunnelform_route` or `tunnelform_pool` for the same file.",
		Attributes: map[string]schema.Attribute{
			"content": schema.StringAttribute{Required: true,
				MarkdownDescription: "The file's text, from `tunnelform_routes_document`, the function `encode`, or `file(...)`."},
			"on_destroy": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(emptyOnDestroy),
				MarkdownDescription: "What destroy does: `empty`, the default, removes all routes and pools from the file, so that the proxies serve nothing; `keep` leaves the file as it is."},
			revisionAttribute: schema.StringAttribute{Computed: true,
				MarkdownDescription: "The revision of `content`, as a proxy that serves it alone reports it: its SHA-256 in hex."},
			servingAttribute: schema.BoolAttribute{Computed: true,
				MarkdownDescription: "Whether the proxies in the provider's `admin` serve this revision; null without `admin`. While it is false, the plan is not empty, and apply waits for the proxies again."},
		},
	}
}

// ValidateConfig checks the text by itself: context_files are known only to a
// configured provider.
func (r *routesFileResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m routesFileModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	checkChoice(path.Root("on_destroy"), m.OnDestroy, &resp.Diagnostics, emptyOnDestroy, keepOnDestroy)
	if m.Content.IsNull() || m.Content.IsUnknown() {
		return
	}
	data := []byte(m.Content.ValueString())
	if _, errs := routefile.Parse(contentName, data); len(errs) > 0 {
		resp.Diagnostics.Append(invalidContent(errs, data))
	}
}

func (r *routesFileResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var m, before *routesFileModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if before != nil {
		planned := plannedData{On: before.Revision.ValueString()}
		if m == nil {
			resp.Diagnostics.Append(r.planDelete(ctx, before, &planned)...)
		}
		resp.Diagnostics.Append(setPlanned(ctx, resp.Private, planned)...)
	}
	if m == nil {
		return
	}
	m.Serving, m.Revision = r.session.plannedServing(), plannedRevision(m.Content)
	resp.Diagnostics.Append(resp.Plan.Set(ctx, m)...)
	if !r.session.usable(&resp.Diagnostics) {
		return
	}
	r.session.probeProxies(ctx, &resp.Diagnostics)
	r.session.checkDirectory(&resp.Diagnostics)
	if !r.session.plan.claimWholeFile() {
		resp.Diagnostics.Append(conflictingResources())
		return
	}
	if !m.Content.IsUnknown() {
		r.planContent(ctx, m.Content.ValueString(), before, &resp.Diagnostics)
	}
}

// planDelete plans to empty the file as it is: Terraform before 1.12 may plan first and
// refresh afterwards, so that the state is older.
func (r *routesFileResource) planDelete(ctx context.Context, before *routesFileModel, planned *plannedData) (diags diag.Diagnostics) {
	if before.OnDestroy.ValueString() == keepOnDestroy || r.session == nil || !r.session.usable(&diags) {
		return diags
	}
	now, err := r.session.reader.read(ctx)
	switch {
	case err != nil:
		diags.Append(readFailed(r.session.file, err))
	case now.revision != "" && now.revision != planned.On:
		planned.On = now.revision
		diags.Append(emptiesChanged(ctx, now, []byte(before.Content.ValueString())))
	}
	return diags
}

func plannedRevision(content types.String) types.String {
	if content.IsUnknown() {
		return types.StringUnknown()
	}
	return types.StringValue(store.RevisionOf([]byte(content.ValueString())))
}

// planContent checks the text together with context_files, and what it would replace.
func (r *routesFileResource) planContent(ctx context.Context, content string, before *routesFileModel, diags *diag.Diagnostics) {
	data := []byte(content)
	f, _, err := routefile.ParseContext(ctx, contentName, data)
	if err != nil {
		diags.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return
	}
	beside, all := r.session.readContextFiles(ctx)
	if len(all) > 0 {
		diags.Append(invalidDocument(path.Empty(), all))
	}
	errs, err := routefile.CheckContext(ctx, append(beside, f)...)
	if err != nil {
		diags.Append(invalidDocument(path.Empty(), []problem{{text: err.Error()}}))
		return
	}
	if len(errs) > 0 {
		diags.Append(invalidContent(errs, data))
		return
	}
	if before != nil {
		return
	}
	now, err := r.session.reader.read(ctx)
	switch {
	case err != nil:
		diags.Append(readFailed(r.session.file, err))
	case now.revision == "" || string(now.data) == content || string(now.data) == emptyFile:
	case hasNoRoutes(now):
		diags.Append(willReplace(ctx, now, data))
	default:
		diags.Append(existingFile(ctx, now, data))
	}
}

func (r *routesFileResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m routesFileModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if r.write(ctx, &m, "", true, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

func (r *routesFileResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, before routesFileModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	on, diags := plannedFileRevision(ctx, req.Private, before)
	resp.Diagnostics.Append(diags...)
	if r.write(ctx, &m, on, false, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// write writes the planned text to the file and completes the model.
func (r *routesFileResource) write(ctx context.Context, m *routesFileModel, plannedRevision string, creating bool, diags *diag.Diagnostics) bool {
	if diags.HasError() || !r.session.ready(diags) {
		return false
	}
	data := []byte(m.Content.ValueString())
	replace := fileReplacement{session: r.session, data: data, plannedRevision: plannedRevision, creating: creating}
	if err := replace.apply(ctx); err != nil {
		diags.Append(fileDiagnostics(err)...)
		return false
	}
	m.Revision, m.Serving = types.StringValue(store.RevisionOf(data)), r.session.plannedServing()
	return true
}

func (r *routesFileResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m routesFileModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || !r.session.usable(&resp.Diagnostics) {
		return
	}
	doc, err := r.session.reader.read(ctx)
	switch {
	case err != nil:
		resp.Diagnostics.Append(readFailed(r.session.file, err))
		return
	case doc.revision == "":
		resp.State.RemoveResource(ctx)
		return
	}
	m.Content, m.Revision = types.StringValue(string(doc.data)), types.StringValue(doc.revision)
	m.Serving = r.session.proxies.servesRevision(ctx, doc.revision)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// Delete does what on_destroy says. An emptied file keeps its listeners and
// defaults, so that the proxies can load it.
func (r *routesFileResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m routesFileModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || m.OnDestroy.ValueString() == keepOnDestroy || !r.session.ready(&resp.Diagnostics) {
		return
	}
	now, err := r.session.reader.read(ctx)
	if err != nil {
		resp.Diagnostics.Append(readFailed(r.session.file, err))
		return
	}
	if now.revision == "" {
		return
	}
	data, err := emptied(now)
	if err != nil {
		resp.Diagnostics.Append(emptyingFailed(err))
		return
	}
	on, diags := plannedFileRevision(ctx, req.Private, m)
	resp.Diagnostics.Append(diags...)
	replace := fileReplacement{session: r.session, data: data, plannedRevision: on}
	if err := replace.apply(ctx); err != nil {
		resp.Diagnostics.Append(fileDiagnostics(err)...)
	}
}

// plannedFileRevision is the revision that a plan was made on.
func plannedFileRevision(ctx context.Context, private privateGetter, state routesFileModel) (string, diag.Diagnostics) {
	planned, diags := getPlanned(ctx, private)
	if planned.On == "" {
		planned.On = state.Revision.ValueString()
	}
	return planned.On, diags
}

// emptied is a file without its routes and pools. Its comments stay if its layout
// can be edited in place.
func emptied(d *document) ([]byte, error) {
	var ops []routefile.Op
	for name := range d.file.Routes {
		ops = append(ops, routefile.InRoutes.Drop(name))
	}
	for name := range d.file.Pools {
		ops = append(ops, routefile.InPools.Drop(name))
	}
	editor := routefile.Editor{Reformat: true}
	if data, err := editor.Edit(d.data, ops...); err == nil {
		return data, nil
	}
	rest := d.file.Document()
	delete(rest, string(routefile.InPools))
	rest[string(routefile.InRoutes)] = routefile.Plain{}
	return routefile.EncodeDocument(rest)
}

// ImportState takes the path of the provider's file.
func (r *routesFileResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if r.session == nil || r.session.file == "" || filepath.Clean(req.ID) != filepath.Clean(r.session.file) {
		resp.Diagnostics.Append(wrongFile(req.ID, r.session))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("on_destroy"), emptyOnDestroy)...)
}
