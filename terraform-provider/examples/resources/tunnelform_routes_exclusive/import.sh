# What is looked at: routes, pools, or both.
terraform import tunnelform_routes_exclusive.only routes,pools
