data "tunnelform_routes" "now" {}

# What people have added by hand, as import blocks want it.
output "names" {
  value = data.tunnelform_routes.now.names
}

check "sound" {
  assert {
    condition     = length(data.tunnelform_routes.now.mistakes) == 0
    error_message = join("\n", data.tunnelform_routes.now.mistakes)
  }
}
