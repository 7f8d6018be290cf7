package provider

// One record of the routes file as a resource: what routes and pools have in
// common, which is all but their names.

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

// The attributes that are no keys of the record.
const (
	nameAttribute     = "name"
	servingAttribute  = "serving"
	revisionAttribute = "revision"
)

// recordResource is a resource that owns one record. Its methods are called
// concurrently, Configure before all others.
type recordResource struct {
	section     routefile.Section
	description string // what the resource is, for the reference
	session     *session
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
	attributes := recordAttributes(r.section)
	attributes[nameAttribute] = schema.StringAttribute{Required: true,
		MarkdownDescription: fmt.Sprintf("The %s's key in the routes file. Changing it renames the record in its place.", noun(r.section))}
	attributes[servingAttribute] = schema.BoolAttribute{Computed: true,
		MarkdownDescription: "Whether the proxies in the provider's `admin` serve this record as it stands here; null without `admin`. " +
			"While it is false, a plan is not empty, and apply waits for the proxies again."}
	attributes[revisionAttribute] = schema.StringAttribute{Computed: true,
		MarkdownDescription: "Hash of what the record means. Comments, layout and the words for a value (`60s`, `1m`) are no part of it."}
	resp.Schema = schema.Schema{MarkdownDescription: r.description, Attributes: attributes}
}

func (r *recordResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		nameAttribute: identityschema.StringAttribute{RequiredForImport: true, Description: "The record's key in the routes file."},
	}}
}

func (r *recordResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData)
}

// ValidateConfig finds what the record's own values decide, as far as they are known.
func (r *recordResource) ValidateConfig(_ context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	rec, err := r.read(req.Config.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	_, all := rec.checkStandalone()
	resp.Diagnostics.Append(invalidRecord(rec.id, rec.keys, all)...)
	resp.Diagnostics.Append(emptyObjects(shapeOf(r.section), rec.keys, rec.unknown)...)
}

// ModifyPlan plans what is computed, and looks whether the record fits to what
// stands in the file and to what else is planned.
func (r *recordResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		r.planDelete(req.State)
		return
	}
	rec, err := r.read(req.Plan.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	resp.Plan.Raw = rec.with(r.plannedServing(), rec.plannedRevision())
	if r.session.usable(&resp.Diagnostics) && !rec.nameIsUnknown() {
		r.planRecord(ctx, rec, textOf(members(req.State.Raw)[nameAttribute]), resp.Plan.Raw.Equal(req.State.Raw), &resp.Diagnostics)
	}
}

// planDrop notes that a record is going to leave.
func (r *recordResource) planDelete(state tfsdk.State) {
	if name := textOf(members(state.Raw)[nameAttribute]); r.session != nil && name != "" {
		r.session.plan.markRemoved(recordID{r.section, name})
	}
}

func (r *recordResource) planRecord(ctx context.Context, rec record, was string, same bool, diags *diag.Diagnostics) {
	p := &plannedRecord{priorName: was}
	file, all := rec.checkStandalone()
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
	if same {
		return
	}
	diags.Append(r.session.plan.conflicts(ctx, rec, p)...)
}

// plannedServing is what apply will have seen to: that the proxies serve the
// record, or nothing when there are none to ask.
func (r *recordResource) plannedServing() tftypes.Value {
	switch {
	case r.session == nil || r.session.proxiesUnknown || r.session.unknown:
		return tftypes.NewValue(tftypes.Bool, tftypes.UnknownValue)
	case len(r.session.proxies.proxies) == 0:
		return tftypes.NewValue(tftypes.Bool, nil)
	}
	return tftypes.NewValue(tftypes.Bool, true)
}

func (r *recordResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	resp.State.Raw = tftypes.NewValue(req.Plan.Raw.Type(), nil)
	if state, ok := r.write(ctx, req.Plan.Raw, tftypes.NewValue(req.Plan.Raw.Type(), nil), &resp.Diagnostics); ok {
		resp.State.Raw = state
		r.setIdentity(ctx, resp.Identity, state, &resp.Diagnostics)
	}
}

func (r *recordResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	if state, ok := r.write(ctx, req.Plan.Raw, req.State.Raw, &resp.Diagnostics); ok {
		resp.State.Raw = state
		r.setIdentity(ctx, resp.Identity, state, &resp.Diagnostics)
	}
}

// put brings a planned record into the file and returns its state.
func (r *recordResource) write(ctx context.Context, plan, prior tftypes.Value, diags *diag.Diagnostics) (state tftypes.Value, ok bool) {
	rec, err := r.read(plan)
	if err == nil && len(rec.unknown) > 0 {
		err = fmt.Errorf("%q is not known at apply", rec.unknown)
	}
	before, priorErr := r.read(prior)
	if err = firstError(err, priorErr); err != nil {
		diags.Append(internalError(err))
		return state, false
	}
	if !r.ready(diags) {
		return state, false
	}
	err = r.session.writer.apply(ctx, change{id: rec.id, priorName: before.id.name, prior: before.keys, desired: rec.keys})
	if err != nil {
		diags.Append(writeDiagnostics(rec.id, rec.keys, err)...)
		return state, false
	}
	return rec.with(r.servingNow(), rec.plannedRevision()), true
}

// ready is usable for an apply, at which everything is known.
func (r *recordResource) ready(diags *diag.Diagnostics) bool {
	if r.session.usable(diags) {
		return true
	}
	if !diags.HasError() {
		diags.Append(missingFile())
	}
	return false
}

// servingNow is the state of a record whose write has been confirmed.
func (r *recordResource) servingNow() tftypes.Value {
	if len(r.session.proxies.proxies) == 0 {
		return tftypes.NewValue(tftypes.Bool, nil)
	}
	return tftypes.NewValue(tftypes.Bool, true)
}

func (r *recordResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	r.setIdentity(ctx, resp.Identity, req.State.Raw, &resp.Diagnostics) // before terraform 1.12, a resource that is gone needs one too
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
	print := doc.fingerprint(before.id)
	if hidden := doc.unlocatedProblems(); print == "" && len(hidden) > 0 {
		resp.Diagnostics.Append(recordMayBeHidden(before.id, hidden))
		return
	}
	if print == "" {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.State.Raw = r.refreshed(ctx, before, doc, print, &resp.Diagnostics)
}

// refreshed is a record's state as the file has it, in the state's own words as
// long as they mean the same.
func (r *recordResource) refreshed(ctx context.Context, before record, doc *document, print string, diags *diag.Diagnostics) tftypes.Value {
	serving := r.session.serves(ctx, before.id, print, diags)
	revision := tftypes.NewValue(tftypes.String, print)
	if textOf(before.members[revisionAttribute]) == print {
		return before.with(serving, revision)
	}
	now := before
	now.keys = doc.file.Plain(r.section, before.id.name)
	if textOf(before.members[revisionAttribute]) != "" { // not after an import
		now.keys = r.section.InWordsOf(before.keys, now.keys)
	}
	now.members = members(toValue(before.value.Type(), now.keys))
	now.members[nameAttribute] = before.members[nameAttribute]
	return now.with(serving, revision)
}

func (r *recordResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	before, err := r.read(req.State.Raw)
	if err != nil {
		resp.Diagnostics.Append(internalError(err))
		return
	}
	if !r.ready(&resp.Diagnostics) {
		return
	}
	err = r.session.writer.apply(ctx, change{id: before.id, priorName: before.id.name, prior: before.keys})
	if err != nil {
		resp.Diagnostics.Append(writeDiagnostics(before.id, before.keys, err)...)
	}
}

// ImportState takes the record's name.
func (r *recordResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughWithIdentity(ctx, path.Root(nameAttribute), path.Root(nameAttribute), req, resp)
}

// identify sets the identity from a state.
func (r *recordResource) setIdentity(ctx context.Context, identity *tfsdk.ResourceIdentity, state tftypes.Value, diags *diag.Diagnostics) {
	if identity != nil {
		diags.Append(identity.SetAttribute(ctx, path.Root(nameAttribute), textOf(members(state)[nameAttribute]))...)
	}
}

// record is one configuration, plan or state of a resource.
type record struct {
	id      recordID
	keys    routefile.Plain
	unknown []string // places that are not known yet
	value   tftypes.Value
	members map[string]tftypes.Value
}

func (r *recordResource) read(v tftypes.Value) (record, error) {
	says, unknown, err := decodePlain(shapeOf(r.section), v)
	rec := record{keys: says, unknown: unknown, value: v, members: members(v)}
	rec.id = recordID{r.section, textOf(rec.members[nameAttribute])}
	return rec, err
}

// with is the record's value with what is computed.
func (rec record) with(serving, revision tftypes.Value) tftypes.Value {
	rec.members[servingAttribute], rec.members[revisionAttribute] = serving, revision
	return tftypes.NewValue(rec.value.Type(), rec.members)
}

func (rec record) nameIsUnknown() bool { return rec.id.name == "" }

// plannedRevision is known as soon as the whole record is.
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
