//go:build pinned

package main

// Never compiled: it keeps Caddy among go.mod's requirements.
import _ "github.com/caddyserver/caddy/v2/cmd/caddy"
