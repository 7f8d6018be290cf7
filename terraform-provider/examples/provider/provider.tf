terraform {
  required_providers {
    tunnelform = {
      source = "tunnelform/tunnelform"
    }
  }
}

provider "tunnelform" {
  file  = "/etc/tunnelform/routes.yaml"
  admin = ["127.0.0.1:9901"] # as given to: tunnelform serve --admin 127.0.0.1:9901

  wait {
    timeout = "1m"
    require = "all"
  }
}
