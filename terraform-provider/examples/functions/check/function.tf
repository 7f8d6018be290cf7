output "mistakes" {
  value = provider::tunnelform::check(<<-EOT
    version: 1
    routes:
      chat: {match: {path_prefx: /chat/}, to: "ws://10.0.0.1:9000"}
    EOT
  )[*].message
}
