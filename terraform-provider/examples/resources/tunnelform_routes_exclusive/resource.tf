resource "tunnelform_route" "all" {
  for_each = {
    chat = { prefix = "/chat/", to = "ws://10.0.0.1:9000/" }
    news = { prefix = "/news/", to = "ws://10.0.0.2:9000/" }
  }
  name = each.key
  to   = each.value.to

  match {
    path_prefix = each.value.prefix
  }
}

# Whatever else somebody puts into the file goes with the next apply.
resource "tunnelform_routes_exclusive" "only" {
  routes = [for route in tunnelform_route.all : route.name]
}
