data "tunnelform_status" "now" {}

check "served" {
  assert {
    condition     = data.tunnelform_status.now.sound
    error_message = "a proxy refuses its routes file, or is stopping"
  }
}

output "open_tunnels" {
  value = sum(data.tunnelform_status.now.proxies[*].tunnels.open)
}
