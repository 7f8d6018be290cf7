resource "tunnelform_pool" "chat" {
  name = "chat"

  backend {
    name = "a"
    url  = "ws://10.0.0.1:9000"
  }
  backend {
    name = "b"
    url  = "ws://10.0.0.2:9000"
  }
}

resource "tunnelform_route" "rooms" {
  name = "rooms"
  to   = "pool://${tunnelform_pool.chat.name}/r/{room}"

  match {
    host            = "chat.example.com"
    path            = "/rooms/{room}/ws"
    subprotocol     = "chat.v2"
    headers         = { X-Stage = "blue" } # exact values
    headers_regex   = { X-Client = "^v[0-9]+$" }
    headers_present = ["X-Tenant"]
  }
  timeouts {
    idle = "10m"
  }
  keepalive {
    ping = "20s"
  }
}

resource "tunnelform_route" "old" {
  name = "old"

  match {
    path_prefix = "/old/"
  }
  redirect {
    to     = "https://chat.example.com/"
    status = 308
  }
}
