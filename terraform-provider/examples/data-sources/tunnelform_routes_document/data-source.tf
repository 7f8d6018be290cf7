data "tunnelform_routes_document" "base" {
  listeners = { web = { address = ":8080" } }
  defaults  = { timeouts = { connect = "3s" } }
  routes = {
    site = { match = { path_prefix = "/" }, to = "http://10.0.0.3:8000" }
  }
}

data "tunnelform_routes_document" "all" {
  source_documents = [data.tunnelform_routes_document.base.yaml]

  pools = {
    chat = { backends = { a = { url = "ws://10.0.0.1:9000" } } }
  }
  routes = {
    rooms = { match = { path = "/rooms/{room}/ws" }, to = "pool://chat/r/{room}" }
  }
}

output "routes_yaml" {
  value = data.tunnelform_routes_document.all.yaml
}
