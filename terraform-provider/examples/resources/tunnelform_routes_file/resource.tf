data "tunnelform_routes_document" "all" {
  listeners = { web = { address = ":8080" } }
  routes = {
    echo = { match = { path = "/echo" }, to = "internal://echo" }
    site = { match = { path_prefix = "/" }, to = "http://10.0.0.3:8000" }
  }
}

resource "tunnelform_routes_file" "all" {
  content = data.tunnelform_routes_document.all.yaml
}
