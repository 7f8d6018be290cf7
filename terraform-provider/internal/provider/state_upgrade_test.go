package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// upgradedConfig is what the state of testdata was made of, as it is written now.
const upgradedConfig = `
resource "tunnelform_pool" "p" {
  name    = "p"
  balance = "round_robin"
  backend {
    name = "b.c"
    url  = "wss://b.example"
    tls { server_name = "b.internal" }
  }
  backend {
    name   = "a"
    url    = "ws://10.0.0.1:9000"
    weight = 2
  }
  health {
    passes = 2
    http {
      path    = "/health"
      headers = { X-A = "1" }
    }
  }
}
resource "tunnelform_route" "r" {
  for_each = toset(["r"])
  name     = each.key
  to       = "pool://${tunnelform_pool.p.name}/r/{room}"
  match {
    host            = "chat.example.com"
    path            = "/rooms/{room}"
    priority        = 3
    methods         = ["GET"]
    headers         = { X-A = "1" }
    headers_regex   = { X-B = "^2" }
    headers_present = ["X-C"]
    query           = { v = "2" }
  }
  timeouts { idle = "60s" }
  limits { tunnels = 1000 }
  keepalive { client = false }
  headers {
    request {
      set    = { X-D = "d" }
      add    = { Vary = ["a", "b"] }
      remove = ["X-E"]
    }
  }
  rewrite_response {
    location    = true
    cookie_path = {}
  }
}
`

// A state of the first schema is upgraded: the same records in blocks are no difference.
func TestAccUpgradesState(t *testing.T) {
	acceptance(t)
	w := newWorkspace(t, "")
	file := filepath.Join(w.dir, "routes.yaml")
	routes := readFile(t, filepath.Join("testdata", "state-of-schema-0.yaml"))
	writeFile(t, file, routes)
	state := readFile(t, filepath.Join("testdata", "state-of-schema-0.json"))
	if host := os.Getenv("TF_ACC_PROVIDER_HOST"); host != "" {
		state = strings.ReplaceAll(state, "registry.terraform.io", host)
	}
	writeFile(t, filepath.Join(w.dir, "terraform.tfstate"), state)
	w.write(providerBlock(file) + upgradedConfig)
	if out := w.must("plan"); !strings.Contains(out, "No changes.") {
		t.Errorf("the plan is not empty:\n%s", out)
	}
	w.write(providerBlock(file) + strings.Replace(upgradedConfig, `X-B = "^2"`, `X-B = "^3"`, 1))
	if out := w.must("apply", "-auto-approve"); !strings.Contains(out, "0 added, 1 changed, 0 destroyed") {
		t.Errorf("want one change, got\n%s", out)
	}
	if got, want := readFile(t, file), strings.Replace(routes, `regex: "^2"`, `regex: "^3"`, 1); got != want {
		t.Errorf("the file holds\n%s\nwant\n%s", got, want)
	}
	w.must("destroy", "-auto-approve")
}
