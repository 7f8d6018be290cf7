package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// newRoute is tunnelform_route: one key below routes.
func newRoute() resource.Resource {
	return &recordResource{
		section: routefile.InRoutes,
		description: "One route of the routes file. It owns its key and nothing else: everything else in the file, comments and layout included, stays byte for byte. " +
			"Its attributes are the keys that a route has in the routes file.\n\n" +
			"Of `to`, `redirect` and `respond` exactly one is wanted. For more than about a thousand routes, one `tunnelform_routes_file` costs less.",
	}
}
