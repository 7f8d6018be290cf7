data "tunnelform_routes_document" "sidecar" {
  routes = {
    app = { match = { path_prefix = "/" }, to = "ws://127.0.0.1:9000" }
  }
}

# ... handed to a kubernetes_config_map, an S3 object, a copy job ...

resource "tunnelform_serving" "sidecar" {
  revision = data.tunnelform_routes_document.sidecar.revision
  timeout  = "3m" # a kubelet takes its time
}
