resource "tunnelform_pool" "chat" {
  name    = "chat"
  balance = "least_tunnels"
  backends = {
    a = { url = "ws://10.0.0.1:9000" }
    b = { url = "ws://10.0.0.2:9000", drain = true } # its tunnels move away
    c = { url = "wss://10.0.0.3:9443", tls = { server_name = "chat.internal" } }
  }
}
