package provider

// tunnelform_routes_exclusive: the only names allowed in the file.

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

type routesExclusiveResource struct{ configured }

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
			MarkdownDescription: "The names of the only " + what + " allowed in the file. Without it, " + what + " are not checked."}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The names allowed in the routes file: a record added outside of Terraform is a difference in the next plan, which removes it, or an error. " +
			"With `tunnelform_route` and `tunnelform_pool` it makes Terraform the only owner of the file's routes and pools. It creates nothing, and destroying it deletes nothing.\n\n" +
			"Taking the names from the resources (`[for r in tunnelform_route.all : r.name]`) also makes Terraform apply them in the right order.",
		Attributes: map[string]schema.Attribute{
			"routes": names("routes"),
			"pools":  names("pools"),
			"on_others": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(removeOthers),
				MarkdownDescription: "What to do with other names: `remove`, the default, or `error`, which lists them with their lines and changes nothing."},
		},
	}
}

func (r *routesExclusiveResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m routesExclusiveModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	checkChoice(path.Root("on_others"), m.OnOthers, &resp.Diagnostics, removeOthers, refuseOthers)
	if m.Routes.IsNull() && m.Pools.IsNull() {
		resp.Diagnostics.Append(missingNames())
	}
}

// knownNames returns a set's strings; ok is false if it is null or not wholly known.
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

func namesOf(f *routefile.File, s routefile.Section) []string {
	if s == routefile.InPools {
		return slices.Sorted(maps.Keys(f.Pools))
	}
	return slices.Sorted(maps.Keys(f.Routes))
}

// unexpected returns the file's records that are not allowed.
func (m routesExclusiveModel) unexpected(f *routefile.File) (all []recordID) {
	for _, s := range []routefile.Section{routefile.InRoutes, routefile.InPools} { // a pool is removed after the routes that send to it
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

// ModifyPlan warns of what the first apply will remove; later plans show it as a
// difference. With on_others = "error" unexpected records are an error.
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

// notRemoved returns the records that no plan of this run removes or renames so far.
func (ps *planState) notRemoved(all []recordID) (rest []recordID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, id := range all {
		if !ps.removed[id] {
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

// enforce removes the unexpected records, or reports them. before is the state that
// the plan was made on; nil on create.
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
	if added := before.addedSincePlan(others); len(added) > 0 {
		diags.Append(addedSincePlan(doc, added))
		return false
	}
	r.remove(ctx, doc, others, diags)
	return !diags.HasError()
}

// addedSincePlan returns the records that were not in the file at plan.
func (m *routesExclusiveModel) addedSincePlan(others []recordID) (added []recordID) {
	if m == nil {
		return nil
	}
	for _, id := range others {
		if seen, ok := knownNames(m.set(id.section)); ok && !seen[id.name] {
			added = append(added, id)
		}
	}
	return added
}

// remove removes records in one commit.
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

// Read adds unexpected names, so that the plan shows them. Missing names are the
// concern of the records' own resources.
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

// ImportState takes "routes", "pools" or "routes,pools"; Read then fills in the
// names in the file.
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
