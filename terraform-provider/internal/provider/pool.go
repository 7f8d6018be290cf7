package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// newPool is tunnelform_pool: one key below pools.
func newPool() resource.Resource {
	return &recordResource{
		section: routefile.InPools,
		description: "One pool of the routes file with its backends. It owns its key and nothing else: everything else in the file, comments and layout included, stays byte for byte. " +
			"Its attributes are the keys that a pool has in the routes file.\n\n" +
			"A route sends to it with `to = \"pool://${tunnelform_pool.NAME.name}/\"`: the reference makes Terraform write the pool first and remove it last.",
	}
}
