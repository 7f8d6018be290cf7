output "revision" {
  value = provider::tunnelform::revision("version: 1\nroutes: {}\n")
}
