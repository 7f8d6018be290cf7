package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// newRoute is tunnelform_route.
func newRoute() resource.Resource {
	return &recordResource{
		section: routefile.InRoutes,
		description: "One route of the routes file. It manages its own key only: the rest of the file, comments and layout included, stays byte for byte. " +
			"Its attributes are the keys of a route in the routes file.\n\n" +
			"Exactly one of `to`, `redirect` and `respond` is required. For more than about a thousand routes, one `tunnelform_routes_file` is faster.",
	}
}
