package provider

// tunnelform_routes_exclusive: the only names that may stand in the file.

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// exclusive is the resource. Its methods are called concurrently, Configure
// before all others.
type routesExclusiveResource struct{ session *session }

func newRoutesExclusive() resource.Resource { return &routesExclusiveResource{} }

var (
	_ resource.ResourceWithConfigure      = (*routesExclusiveResource)(nil)
	_ resource.ResourceWithValidateConfig = (*routesExclusiveResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*routesExclusiveResource)(nil)
	_ resource.ResourceWithImportState    = (*routesExclusiveResource)(nil)
)

type routesExclusiveModel struct {
	Routes   types.Set    `tfsdk:"routes"`
	Pools    types.Set    `tfsdk:"pools"`
	OnOthers types.String `tfsdk:"on_others"`
}

const (
	removeOthers = "remove"
	refuseOthers = "error"
)

func (r *routesExclusiveResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_routes_exclusive"
}

func (r *routesExclusiveResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	names := func(what string) schema.Attribute {
		return schema.SetAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "The names of the only " + what + " that may stand in the file. Without it, no " + what + " are looked at."}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The names that may stand in the routes file: what somebody adds by hand is shown as a difference by the next plan, and removed by its apply, or is an error. " +
			"Beside `tunnelform_route` and `tunnelform_pool` it makes Terraform the file's only owner of those. It makes nothing itself, and destroying it deletes nothing.\n\n" +
			"Listing the names through the resources (`[for r in tunnelform_route.all : r.name]`) puts things in order by itself.",
		Attributes: map[string]schema.Attribute{
			"routes": names("routes"),
			"pools":  names("pools"),
			"on_others": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(removeOthers),
				MarkdownDescription: "What to do with other names: `remove`, the default, or `error`, which names them with their lines and changes nothing."},
		},
	}
}

func (r *routesExclusiveResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData)
}

func (r *routesExclusiveResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m routesExclusiveModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if v := m.OnOthers; !v.IsNull() && !v.IsUnknown() && v.ValueString() != removeOthers && v.ValueString() != refuseOthers {
		resp.Diagnostics.Append(invalidChoice(path.Root("on_others"), v.ValueString(), removeOthers, refuseOthers))
	}
	if m.Routes.IsNull() && m.Pools.IsNull() {
		resp.Diagnostics.Append(missingNames())
	}
}

// names are a set's texts; ok is false while it is not wholly known, or not said.
func knownNames(set types.Set) (names map[string]bool, ok bool) {
	if set.IsNull() || set.IsUnknown() {
		return nil, false
	}
	names = map[string]bool{}
	for _, v := range set.Elements() {
		text, known := v.(types.String)
		if !known || text.IsUnknown() {
			return nil, false
		}
		names[text.ValueString()] = true
	}
	return names, true
}

func stringSet(names map[string]bool) types.Set {
	values := []attr.Value{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		values = append(values, types.StringValue(name))
	}
	return types.SetValueMust(types.StringType, values)
}

// namesOf are the records of a section in a file.
func namesOf(f *routefile.File, s routefile.Section) []string {
	if s == routefile.InPools {
		return slices.Sorted(maps.Keys(f.Pools))
	}
	return slices.Sorted(maps.Keys(f.Routes))
}

// others are the records of a file that may not stand there.
func (m routesExclusiveModel) unexpected(f *routefile.File) (all []recordID) {
	for _, s := range []routefile.Section{routefile.InRoutes, routefile.InPools} { // a pool goes after what sends to it
		allowed, ok := knownNames(m.set(s))
		if !ok {
			continue
		}
		for _, name := range namesOf(f, s) {
			if !allowed[name] {
				all = append(all, recordID{s, name})
			}
		}
	}
	return all
}

func (m routesExclusiveModel) set(s routefile.Section) types.Set {
	if s == routefile.InPools {
		return m.Pools
	}
	return m.Routes
}

// ModifyPlan shows what a first apply will remove; later ones show it as a
// difference of names. With on_others = "error" others end the plan.
func (r *routesExclusiveResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var m routesExclusiveModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || !r.session.usable(&resp.Diagnostics) {
		return
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		resp.Diagnostics.Append(readFailed(r.session.file, err))
		return
	}
	others := r.session.plan.notRemoved(m.unexpected(doc.file))
	switch {
	case len(others) == 0:
	case m.OnOthers.ValueString() == refuseOthers:
		resp.Diagnostics.Append(unexpectedRecords(doc, others))
	case req.State.Raw.IsNull():
		resp.Diagnostics.Append(willRemove(doc, others))
	}
}

// staying are the records that no other resource of this run removes or renames,
// as far as their plans are made yet.
func (l *planState) notRemoved(all []recordID) (rest []recordID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range all {
		if !l.removed[id] {
			rest = append(rest, id)
		}
	}
	return rest
}

func (r *routesExclusiveResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m routesExclusiveModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if r.enforce(ctx, m, nil, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

func (r *routesExclusiveResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, before routesExclusiveModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	if r.enforce(ctx, m, &before, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// enforce removes the others, or says that there are some. before is what the
// plan has seen; nil when it has seen nothing but the file.
func (r *routesExclusiveResource) enforce(ctx context.Context, m routesExclusiveModel, before *routesExclusiveModel, diags *diag.Diagnostics) bool {
	if diags.HasError() || !r.session.ready(diags) {
		return false
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		diags.Append(readFailed(r.session.file, err))
		return false
	}
	others := m.unexpected(doc.file)
	switch {
	case len(others) == 0:
		return true
	case m.OnOthers.ValueString() == refuseOthers:
		diags.Append(unexpectedRecords(doc, others))
		return false
	}
	if late := before.addedSincePlan(others); len(late) > 0 {
		diags.Append(addedSincePlan(doc, late))
		return false
	}
	r.remove(ctx, doc, others, diags)
	return !diags.HasError()
}

// unseen are the records that were not there when the plan was made.
func (m *routesExclusiveModel) addedSincePlan(others []recordID) (late []recordID) {
	if m == nil {
		return nil
	}
	for _, id := range others {
		if seen, ok := knownNames(m.set(id.section)); ok && !seen[id.name] {
			late = append(late, id)
		}
	}
	return late
}

// remove takes records out, all in one commit.
func (r *routesExclusiveResource) remove(ctx context.Context, doc *document, others []recordID, diags *diag.Diagnostics) {
	failed := make([]error, len(others))
	var wg sync.WaitGroup
	for i, id := range others {
		wg.Go(func() {
			failed[i] = r.session.writer.apply(ctx, change{id: id, priorName: id.name, prior: doc.file.Plain(id.section, id.name)})
		})
	}
	wg.Wait()
	for i, err := range failed {
		if err != nil {
			diags.Append(writeDiagnostics(others[i], nil, err)...)
		}
	}
}

// Read adds the names that should not be there, so that the plan shows them. A
// name that is missing is no matter of this resource's.
func (r *routesExclusiveResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m routesExclusiveModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || !r.session.usable(&resp.Diagnostics) {
		return
	}
	doc, err := r.session.reader.read(ctx)
	if err != nil {
		resp.Diagnostics.Append(readFailed(r.session.file, err))
		return
	}
	m.Routes, m.Pools = withOthers(m.Routes, doc.file, routefile.InRoutes), withOthers(m.Pools, doc.file, routefile.InPools)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func withOthers(set types.Set, f *routefile.File, s routefile.Section) types.Set {
	names, ok := knownNames(set)
	if !ok {
		return set
	}
	for _, name := range namesOf(f, s) {
		names[name] = true
	}
	return stringSet(names)
}

func (r *routesExclusiveResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
}

// ImportState takes "routes", "pools" or both with a comma: which names are
// looked at. Read then fills in those that stand there.
func (r *routesExclusiveResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	m := routesExclusiveModel{Routes: types.SetNull(types.StringType), Pools: types.SetNull(types.StringType), OnOthers: types.StringValue(removeOthers)}
	switch req.ID {
	case "routes":
		m.Routes = stringSet(nil)
	case "pools":
		m.Pools = stringSet(nil)
	case "routes,pools", "pools,routes":
		m.Routes, m.Pools = stringSet(nil), stringSet(nil)
	default:
		resp.Diagnostics.Append(invalidChoice(path.Empty(), req.ID, "routes", "pools", "routes,pools"))
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
