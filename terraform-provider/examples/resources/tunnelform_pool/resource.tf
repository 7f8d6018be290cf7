resource "tunnelform_pool" "chat" {
  name    = "chat"
  balance = "least_tunnels"

  backend {
    name = "a"
    url  = "ws://10.0.0.1:9000"
  }
  backend {
    name  = "b"
    url   = "ws://10.0.0.2:9000"
    drain = true # its tunnels move away
  }
  backend {
    name = "c"
    url  = "wss://10.0.0.3:9443"
    tls {
      server_name = "chat.internal"
    }
  }
}

# As a module writes it, from a variable.
locals {
  news_backends = {
    a = "ws://10.0.1.1:9000"
    b = "ws://10.0.1.2:9000"
  }
}

resource "tunnelform_pool" "news" {
  name = "news"

  dynamic "backend" {
    for_each = local.news_backends
    content {
      name = backend.key
      url  = backend.value
    }
  }
}
