# The path of the file, as in the provider block.
terraform import tunnelform_routes_file.all /etc/tunnelform/routes.yaml
