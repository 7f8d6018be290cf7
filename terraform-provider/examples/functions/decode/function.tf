output "targets" {
  value = { for name, route in provider::tunnelform::decode(<<-EOT
    version: 1
    routes:
      chat: {match: {path: /chat}, to: "ws://10.0.0.1:9000"}
      news: {match: {path: /news}, to: "ws://10.0.0.2:9000"}
    EOT
  ).routes : name => route.to }
}
