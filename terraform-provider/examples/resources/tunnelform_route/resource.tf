resource "tunnelform_pool" "chat" {
  name = "chat"
  backends = {
    a = { url = "ws://10.0.0.1:9000" }
    b = { url = "ws://10.0.0.2:9000" }
  }
}

resource "tunnelform_route" "rooms" {
  name = "rooms"
  match = {
    host        = "chat.example.com"
    path        = "/rooms/{room}/ws"
    subprotocol = "chat.v2"
  }
  to = "pool://${tunnelform_pool.chat.name}/r/{room}"

  timeouts  = { idle = "10m" }
  keepalive = { ping = "20s" }
}

resource "tunnelform_route" "old" {
  name     = "old"
  match    = { path_prefix = "/old/" }
  redirect = { to = "https://chat.example.com/", status = 308 }
}
