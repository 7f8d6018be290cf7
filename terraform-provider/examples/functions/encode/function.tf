locals {
  tenants = { a = "10.0.1.1", b = "10.0.2.1" }
}

output "routes_yaml" {
  value = provider::tunnelform::encode({
    routes = { for name, address in local.tenants :
      name => { match = { host = "${name}.example.com" }, to = "ws://${address}:9000" }
    }
  })
}
