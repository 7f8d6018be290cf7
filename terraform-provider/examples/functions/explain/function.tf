locals {
  routes = <<-EOT
    version: 1
    routes:
      rooms: {match: {path: "/rooms/{room}/ws"}, to: "ws://10.0.0.1:9000/r/{room}"}
      site:  {match: {path_prefix: /}, to: "http://10.0.0.2:8000"}
    EOT
}

check "rooms_are_tunnelled" {
  assert {
    condition     = provider::tunnelform::explain(local.routes, "wss://example.com/rooms/7/ws").route == "rooms"
    error_message = "rooms must take its own path"
  }
}

output "posted" {
  value = provider::tunnelform::explain(local.routes, "https://example.com/rooms/7/ws", { method = "POST" }).outcome
}
