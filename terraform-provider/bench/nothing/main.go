// Command terraform-provider-nothing is the provider that the real one is measured
// against: a route with the same attributes and nothing behind it. What it costs
// is Terraform's own price.
package main

import (
	"context"
	"log"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	fwprovider "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/terraform-provider/internal/provider"
)

func main() {
	debug.SetGCPercent(400) // as the real one
	provider.QuietUnlessLogged()
	err := providerserver.Serve(context.Background(), func() fwprovider.Provider { return nothing{} },
		providerserver.ServeOpts{Address: "registry.terraform.io/tunnelform/nothing"})
	if err != nil {
		log.Fatal(err)
	}
}

type nothing struct{}

func (nothing) Metadata(_ context.Context, _ fwprovider.MetadataRequest, resp *fwprovider.MetadataResponse) {
	resp.TypeName = "nothing"
}

func (nothing) Schema(context.Context, fwprovider.SchemaRequest, *fwprovider.SchemaResponse) {}

func (nothing) Configure(context.Context, fwprovider.ConfigureRequest, *fwprovider.ConfigureResponse) {
}

func (nothing) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (nothing) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return route{} }}
}

// route has the schema of tunnelform_route, whatever that is.
type route struct{}

func (route) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "nothing_route"
}

func (route) Schema(ctx context.Context, req resource.SchemaRequest, resp *resource.SchemaResponse) {
	for _, make := range provider.New("bench")().Resources(ctx) {
		var meta resource.MetadataResponse
		one := make()
		if one.Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "tunnelform"}, &meta); meta.TypeName == "tunnelform_route" {
			one.Schema(ctx, req, resp)
		}
	}
}

func (route) Create(_ context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	resp.State.Raw = known(req.Plan.Raw)
}

func (route) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (route) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = known(req.Plan.Raw)
}

func (route) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// known makes what is unknown null.
func known(v tftypes.Value) tftypes.Value {
	all := map[string]tftypes.Value{}
	if err := v.As(&all); err != nil {
		return v
	}
	for name, one := range all {
		if !one.IsKnown() {
			all[name] = tftypes.NewValue(one.Type(), nil)
		}
	}
	return tftypes.NewValue(v.Type(), all)
}
