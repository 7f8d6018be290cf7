package routing

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// table builds a Table of a routes file's body, after prev.
func table(t *testing.T, prev *Table, body string) *Table {
	t.Helper()
	file, errs := routefile.Parse("routes.yaml", []byte("version: 1\n"+body))
	if len(errs) == 0 {
		errs = routefile.Check(file)
	}
	if len(errs) > 0 {
		t.Fatalf("%v", errs)
	}
	built, err := Build(routefile.NewSet(file), prev)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

const baseRoutes = `
routes:
  chat: {match: {path_prefix: /chat}, to: "ws://127.0.0.1:9001/x"}
  live: {match: {path_prefix: /live}, to: "pool://live"}
pools:
  live: {backends: {a: {url: "ws://127.0.0.1:9002"}, b: {url: "ws://127.0.0.1:9003"}}}
`

var (
	chatTunnel = drain.Facts{
		Route:   "chat",
		Backend: upstream.BackendKey{Pool: "chat", Scheme: "ws", Authority: "127.0.0.1:9001"},
		Client:  netip.MustParseAddr("192.0.2.1"),
		Host:    "example.com",
		Origin:  "https://example.com",
	}
	liveTunnel = drain.Facts{
		Route:   "live",
		Backend: upstream.BackendKey{Pool: "live", Scheme: "ws", Authority: "127.0.0.1:9002"},
		Client:  netip.MustParseAddr("192.0.2.1"),
	}
)

// TestWhatAReloadDoesToTunnels edits the base routes and says which of its two
// tunnels must go.
func TestWhatAReloadDoesToTunnels(t *testing.T) {
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(baseRoutes) }
	tests := []struct {
		name       string
		routes     string
		chat, live string // "" stays, "drain" goes, "move" does if it cannot redial, "forbid" goes whatever its policy says
	}{
		{"nothing", baseRoutes, "", ""},
		{"another route is added", edit("routes:", "routes:\n  new: {match: {path: /new}, respond: {}}"), "", ""},
		{"the path of the target", edit("9001/x", "9001/y"), "", ""},
		{"other match conditions", edit("path_prefix: /chat", "path_prefix: /talk, methods: [GET]"), "", ""},
		{"new settings", edit(`9001/x"`, `9001/x", strict: true, limits: {tunnels: 1}`), "", ""},
		{"the key of a backend", edit("{a: {url", "{renamed: {url"), "", ""},
		{"another backend goes", edit(`, b: {url: "ws://127.0.0.1:9003"}`, ""), "", ""},
		{"the backend is drained", edit(`9002"`, `9002", drain: true`), "", "move"},
		{"its backend is disabled", edit(`9002"`, `9002", disabled: true`), "", ""},
		{"its backend becomes a standby", edit(`9002"`, `9002", standby: true, weight: 7, tier: 2`), "", ""},
		{"another backend is drained", edit(`9003"`, `9003", drain: true`), "", ""},
		{"the backend goes", edit(`a: {url: "ws://127.0.0.1:9002"}, `, ""), "", "move"},
		{"the backend's scheme", edit(`"ws://127.0.0.1:9002"`, `"wss://127.0.0.1:9002"`), "", "move"},
		{"the backend goes, and the client is no longer let in", edit(`a: {url: "ws://127.0.0.1:9002"}, `, "", "path_prefix: /live", "path_prefix: /live, client: [198.51.100.0/24]"), "", "forbid"},
		{"another pool", edit("pool://live", "pool://other", "pools:\n", "pools:\n  other: {backends: {a: {url: \"ws://127.0.0.1:9002\"}}}\n"), "", "drain"},
		{"the target moves", edit("9001", "9009"), "move", ""},
		{"the route goes", edit(`  chat: {match: {path_prefix: /chat}, to: "ws://127.0.0.1:9001/x"}`+"\n", ""), "drain", ""},
		{"the route is renamed", edit("  chat:", "  talk:"), "", ""},
		{"the route with the pool is renamed", edit("  live: {match", "  stream: {match"), "", ""},
		{"renamed and moved is another route", edit("  chat:", "  talk:", "/chat", "/talk"), "drain", ""},
		{"the route no longer tunnels", edit(`to: "ws://127.0.0.1:9001/x"`, "respond: {}"), "drain", ""},
		{"the client is no longer let in", edit("path_prefix: /chat", "path_prefix: /chat, client: [198.51.100.0/24]"), "forbid", ""},
		{"the client still is let in", edit("path_prefix: /chat", "path_prefix: /chat, client: [192.0.2.0/24]"), "", ""},
		{"the Origin is no longer let in", edit(`9001/x"`, `9001/x", origins: ["https://other.example"]`), "forbid", ""},
		{"without an Origin nothing is checked", edit(`"pool://live"`, `"pool://live", origins: ["https://other.example"]`), "", ""},
		{"no routes at all", "routes: {}", "drain", "drain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := table(t, nil, baseRoutes)
			new := table(t, old, tt.routes)
			renamed := Compare(old, new).Renamed
			for _, tunnel := range []struct {
				facts drain.Facts
				want  string
			}{{chatTunnel, tt.chat}, {liveTunnel, tt.live}} {
				got := ""
				switch v := new.Evaluate(tunnel.facts, renamed); {
				case v.Drain && v.Forbidden:
					got = "forbid"
				case v.Drain && v.Move:
					got = "move"
				case v.Drain:
					got = "drain"
				}
				if got != tunnel.want {
					t.Errorf("the %s tunnel: %q, want %q", tunnel.facts.Route, got, tunnel.want)
				}
			}
		})
	}
}

func TestCompareNamesWhatChanged(t *testing.T) {
	old := table(t, nil, `
routes:
  same: {match: {path: /same}, respond: {}}
  edited: {match: {path: /edited}, respond: {}}
  gone: {match: {path: /gone}, respond: {}}
  before: {match: {path: /named}, respond: {}}
  old: {match: {path: /both}, respond: {}}
`)
	new := table(t, old, `
routes:
  after: {match: {path: /named}, respond: {}}
  same: {match: {path: /same}, respond: {}}   # a comment is no change
  edited: {match: {path: /edited}, respond: {body: x}}
  fresh: {match: {path: /fresh}, respond: {}}
  both: {match: {path: /both}, respond: {}, strict: true}   # renamed, and changed
`)
	c := Compare(old, new)
	got := fmt.Sprint(c.Added, c.Changed, c.Removed, c.Renamed)
	if want := "[fresh] [both edited] [gone] map[before:after old:both]"; got != want {
		t.Errorf("compare = %s, want %s", got, want)
	}
}

func TestWhatOutlivesAReload(t *testing.T) {
	old := table(t, nil, baseRoutes)
	new := table(t, old, strings.NewReplacer("  chat:", "  talk:", "{a: {url", "{renamed: {url").Replace(baseRoutes))
	if old.backends[liveTunnel.Backend] != new.backends[liveTunnel.Backend] {
		t.Error("the backend's counts are lost although its pool and URL stayed")
	}
	if old.byName["live"].Counts != new.byName["live"].Counts {
		t.Error("the route's counts are lost although its name stayed")
	}
	if old.byName["chat"].Counts != new.byName["talk"].Counts {
		t.Error("the route's counts are lost in a rename")
	}
}
