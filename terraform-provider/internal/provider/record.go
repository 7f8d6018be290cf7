package provider

// One record of the routes file as a resource: routes and pools differ in their
// section and description only.

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// Attributes that are not keys of the record.
const (
	nameAttribute     = "name"
	servingAttribute  = "serving"
	revisionAttribute = "revision"
)

// recordResource manages one record.
type recordResource struct {
	configured
	section     routefile.Section
	description string // of the resource, for the reference
}

var (
	_ resource.ResourceWithConfigure      = (*recordResource)(nil)
	_ resource.ResourceWithValidateConfig = (*recordResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*recordResource)(nil)
	_ resource.ResourceWithImportState    = (*recordResource)(nil)
	_ resource.ResourceWithIdentity       = (*recordResource)(nil)
)

func (r *recordResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + noun(r.section)
	resp.ResourceBehavior.MutableIdentity = true // a record is renamed in place
}

func (r *recordResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes, blocks := schemaOfFields(recordFields[r.section])
	attributes[nameAttribute] = schema.StringAttribute{Required: true,
		MarkdownDescription: fmt.Sprintf("The %s's key in the routes file. Changing it renames the record in place.", noun(r.section))}
	attributes[servingAttribute] = schema.BoolAttribute{Computed: true,
		MarkdownDescription: "Whether the proxies in the provider's `admin` serve this record as it is here; null without `admin`. " +
			"While it is false, the plan is not empty, and apply waits for the proxies again."}
	attributes[revisionAttribute] = schema.StringAttribute{Computed: true,
		MarkdownDescription: "Hash of the record's meaning. It does not depend on comments, layout or the spelling of a value (`60s`, `1m`)."}
	resp.Schema = schema.Schema{Version: recordSchemaVersion, MarkdownDescription: r.description, Attributes: attributes, Blocks: blocks}
}

func (r *recordResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		nameAttribute: identityschema.StringAttribute{RequiredForImport: true, Description: "The record's key in the routes file."},
	}}
}

// ValidateConfig checks the record by itself, as far as its values are known.
func (r *recordResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	rec, err := r.read(req.Config.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	_, all := rec.checkStandalone(ctx)
	resp.Diagnostics.Append(invalidRecord(rec.id, rec.keys, all)...)
}

// ModifyPlan plans the computed attributes, and checks the record against the file
// and the other plans of this run.
func (r *recordResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	before, err := r.read(req.State.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	planned := plannedData{On: r.section.Fingerprint(before.keys)}
	if req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(r.planDelete(ctx, before, &planned)...)
	}
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(setPlanned(ctx, resp.Private, planned)...)
	}
	if req.Plan.Raw.IsNull() {
		return
	}
	rec, err := r.read(req.Plan.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	resp.Plan.Raw = rec.with(wireBool(r.session.plannedServing()), rec.plannedRevision())
	if r.session.usable(&resp.Diagnostics) && !rec.nameIsUnknown() {
		if req.State.Raw.IsNull() {
			resp.Diagnostics.Append(r.planSuccession(ctx, rec, resp.Private)...)
		}
		r.planRecord(ctx, rec, textOf(members(req.State.Raw)[nameAttribute]), resp.Plan.Raw.Equal(req.State.Raw), &resp.Diagnostics)
	}
}

// planSuccession notes the route that this plan deletes, and whose place a new one takes
// with the same match and target: it is renamed then, so that its tunnels stay.
func (r *recordResource) planSuccession(ctx context.Context, rec record, private privateSetter) diag.Diagnostics {
	if r.section != routefile.InRoutes || len(rec.unknown) > 0 || r.session.writer.applying.Load() {
		return nil
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		return nil // planRecord reports it
	}
	name := r.session.plan.deletedLike(doc, rec.keys)
	if name == "" {
		return nil
	}
	return setPlanned(ctx, private, plannedData{On: doc.fingerprint(recordID{r.section, name}), Succeeds: name})
}

// planDelete plans to delete the record as it is in the file: Terraform before 1.12 may
// plan first and refresh afterwards, so that the state is older.
func (r *recordResource) planDelete(ctx context.Context, before record, planned *plannedData) (diags diag.Diagnostics) {
	if r.session == nil || before.nameIsUnknown() {
		return nil
	}
	r.session.plan.markDeleted(before.id)
	if !r.session.usable(&diags) {
		return diags
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		diags.Append(readFailed(r.session.file, err))
		return diags
	}
	diags.Append(r.session.plan.addToExchange(doc, r.section, before.id.name, "", "")...)
	if now := doc.fingerprint(before.id); now != "" && now != planned.On {
		planned.On = now
		diags.Append(deletesChanged(doc, before))
	}
	return diags
}

func (r *recordResource) planRecord(ctx context.Context, rec record, priorName string, unchanged bool, diags *diag.Diagnostics) {
	r.session.probeProxies(ctx, diags)
	p := &plannedRecord{priorName: priorName}
	file, all := rec.checkStandalone(ctx)
	if diags.Append(invalidRecord(rec.id, rec.keys, all)...); len(all) > 0 {
		return
	}
	if len(rec.unknown) == 0 {
		p.file = file
	}
	if !r.session.plan.claim(rec.id, p) {
		diags.Append(duplicateInPlan(rec.id))
		return
	}
	if r.session.plan.wholeFileClaimed() {
		diags.Append(conflictingResources())
		return
	}
	// An apply plans every record once more, just before it writes it; the write checks it.
	if unchanged || r.session.writer.applying.Load() {
		return
	}
	r.session.checkDirectory(diags)
	diags.Append(r.session.plan.conflicts(ctx, rec, p)...)
}

func (r *recordResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	resp.State.Raw = tftypes.NewValue(req.Plan.Raw.Type(), nil)
	planned, diags := plannedForCreate(ctx)
	resp.Diagnostics.Append(diags...)
	if state, ok := r.write(ctx, req.Plan.Raw, tftypes.NewValue(req.Plan.Raw.Type(), nil), planned, &resp.Diagnostics); ok {
		resp.State.Raw = state
		r.setIdentity(ctx, resp.Identity, state, &resp.Diagnostics)
	}
}

func (r *recordResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	planned, diags := getPlanned(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if state, ok := r.write(ctx, req.Plan.Raw, req.State.Raw, planned, &resp.Diagnostics); ok {
		resp.State.Raw = state
		r.setIdentity(ctx, resp.Identity, state, &resp.Diagnostics)
	}
}

// write writes a planned record to the file and returns its state.
func (r *recordResource) write(ctx context.Context, plan, prior tftypes.Value, planned plannedData, diags *diag.Diagnostics) (state tftypes.Value, ok bool) {
	rec, err := r.read(plan)
	if err == nil && len(rec.unknown) > 0 {
		err = fmt.Errorf("%q is unknown at apply", rec.unknown)
	}
	before, priorErr := r.read(prior)
	if err = firstError(err, priorErr); err != nil {
		diags.Append(internalError(err))
		return state, false
	}
	if !r.session.ready(diags) {
		return state, false
	}
	takenOver, err := r.session.writer.applyOrTakeOver(ctx, change{id: rec.id, priorName: before.id.name, prior: before.keys, plannedOn: planned.On, succeeds: planned.Succeeds, desired: rec.keys})
	if err != nil {
		diags.Append(writeDiagnostics(rec.id, rec.keys, err)...)
		return state, false
	}
	if takenOver {
		diags.Append(recordTakenOver(rec.id))
	}
	return rec.with(wireBool(r.session.plannedServing()), rec.plannedRevision()), true
}

func (r *recordResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	r.setIdentity(ctx, resp.Identity, req.State.Raw, &resp.Diagnostics) // Terraform before 1.12 wants one for a removed resource too
	if !r.session.usable(&resp.Diagnostics) {
		return
	}
	before, err := r.read(req.State.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		resp.Diagnostics.Append(readFailed(r.session.file, err))
		return
	}
	fingerprint := doc.fingerprint(before.id)
	if hidden := doc.unlocatedProblems(); fingerprint == "" && len(hidden) > 0 {
		resp.Diagnostics.Append(recordMayBeHidden(before.id, hidden))
		return
	}
	if fingerprint == "" {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.State.Raw = r.refreshed(ctx, before, doc, fingerprint, &resp.Diagnostics)
}

// refreshed is a record's state as read from the file. Values keep the state's
// spelling while it means the same.
func (r *recordResource) refreshed(ctx context.Context, before record, doc *document, fingerprint string, diags *diag.Diagnostics) tftypes.Value {
	serving := r.session.serves(ctx, before.id, fingerprint, diags)
	revision := tftypes.NewValue(tftypes.String, fingerprint)
	if textOf(before.members[revisionAttribute]) == fingerprint {
		return before.with(serving, revision)
	}
	now := before
	now.keys = doc.file.Plain(r.section, before.id.name)
	if textOf(before.members[revisionAttribute]) != "" { // it is empty after an import
		now.keys = r.section.InWordsOf(before.keys, now.keys)
	}
	now.members = members(recordValue(r.section, before.value.Type(), now.keys))
	now.members[nameAttribute] = before.members[nameAttribute]
	return now.with(serving, revision)
}

func (r *recordResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	before, err := r.read(req.State.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	if !r.session.ready(&resp.Diagnostics) {
		return
	}
	planned, diags := getPlanned(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	err = r.session.writer.apply(ctx, change{id: before.id, priorName: before.id.name, prior: before.keys, plannedOn: planned.On})
	if err != nil {
		resp.Diagnostics.Append(writeDiagnostics(before.id, before.keys, err)...)
	}
}

func (r *recordResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughWithIdentity(ctx, path.Root(nameAttribute), path.Root(nameAttribute), req, resp)
}

func (r *recordResource) setIdentity(ctx context.Context, identity *tfsdk.ResourceIdentity, state tftypes.Value, diags *diag.Diagnostics) {
	if identity != nil {
		diags.Append(identity.SetAttribute(ctx, path.Root(nameAttribute), textOf(members(state)[nameAttribute]))...)
	}
}

// record is a configuration, plan or state of a recordResource.
type record struct {
	id       recordID
	keys     routefile.Plain
	unknown  []string  // dotted paths of unknown values
	repeated []problem // names that are given twice
	value    tftypes.Value
	members  map[string]tftypes.Value
}

func (r *recordResource) read(v tftypes.Value) (record, error) {
	var d plainDecoder
	keys, err := d.decodeRecord(r.section, v)
	rec := record{keys: keys, unknown: d.unknown, repeated: d.repeated, value: v, members: members(v)}
	rec.id = recordID{r.section, textOf(rec.members[nameAttribute])}
	return rec, err
}

// with is the record's value with the computed attributes.
func (rec record) with(serving, revision tftypes.Value) tftypes.Value {
	rec.members[servingAttribute], rec.members[revisionAttribute] = serving, revision
	return tftypes.NewValue(rec.value.Type(), rec.members)
}

func (rec record) nameIsUnknown() bool { return rec.id.name == "" }

// plannedRevision is unknown until the whole record is known.
func (rec record) plannedRevision() tftypes.Value {
	if len(rec.unknown) > 0 {
		return tftypes.NewValue(tftypes.String, tftypes.UnknownValue)
	}
	return tftypes.NewValue(tftypes.String, rec.id.section.Fingerprint(rec.keys))
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
