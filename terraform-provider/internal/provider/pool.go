package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// newPool is tunnelform_pool.
func newPool() resource.Resource {
	return &recordResource{
		section: routefile.InPools,
		description: "One pool of the routes file with its backends. It manages its own key only: the rest of the file, comments and layout included, stays byte for byte. " +
			"Its attributes are the keys of a pool in the routes file.\n\n" +
			"A route sends to it with `to = \"pool://${tunnelform_pool.NAME.name}/\"`: the reference makes Terraform create the pool first and destroy it last.",
	}
}
