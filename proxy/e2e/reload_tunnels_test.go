package e2e

// What becomes of the tunnels that are open when the routes change: one edit
// that does something else to each of many routes, and looks at a tunnel of each.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// change is what the edit does to one route, and perhaps its pool.
type change struct {
	name          string
	before, after string // of the routes: lines, each a route; the tunnel is opened at /NAME
	pool, newPool string // of the pools, likewise
	header        http.Header
	code          int    // the Close frame's; 0: the tunnel stays
	reason        string // likewise
}

const drained = 1012

// How a tunnel ends whose client or Origin is no longer allowed.
const (
	forbidden       = 1008
	forbiddenReason = "no longer allowed"
)

// changes is routefile's table of what an edit does to an open tunnel. $a and $b
// are two backends; every route's window is off unless it says otherwise.
var changes = []change{
	{name: "untouched",
		before: `untouched: {match: {path: /untouched}, to: "$a"}`,
		after:  `untouched: {match: {path: /untouched}, to: "$a"}`},
	{name: "settings",
		before: `settings: {match: {path: /settings}, to: "$a"}`,
		after:  `settings: {match: {path: /settings}, to: "$a", upgrade: none, strict: true, timeouts: {idle: 1ms, lifetime: 1ms}, limits: {tunnels: 1, message_size: 1B}, keepalive: off, headers: {request: {set: {X-New: "1"}}}}`},
	{name: "match",
		before: `match: {match: {path: /match}, to: "$a"}`,
		after:  `match: {match: {path_prefix: /elsewhere, methods: [PUT], host: other.example, headers: {X-A: b}}, to: "$a"}`},
	{name: "listener",
		before: `listener: {match: {path: /listener}, to: "$a"}`,
		after:  `listener: {match: {path: /listener, listener: other}, to: "$a"}`},
	{name: "path",
		before: `path: {match: {path: /path}, to: "$a/one"}`,
		after:  `path: {match: {path: /path}, to: "$a/two?and=this"}`},
	{name: "moved",
		before: `moved: {match: {path: /moved}, to: "$a"}`,
		after:  `moved: {match: {path: /moved}, to: "$b"}`,
		code:   drained},
	{name: "removed",
		before: `removed: {match: {path: /removed}, to: "$a", drain: {code: 4001, reason: "gone for good"}}`,
		code:   4001, reason: "gone for good"},
	{name: "kept",
		before: `kept: {match: {path: /kept}, to: "$a", drain: {keep: true}}`},
	{name: "policy", // the one it was opened with, not the one of the edit
		before: `policy: {match: {path: /policy}, to: "$a", drain: {code: 4002, reason: before}}`,
		after:  `policy: {match: {path: /policy}, to: "$b", drain: {code: 4003, reason: after, keep: true}}`,
		code:   4002, reason: "before"},
	{name: "renamed",
		before: `renamed: {match: {path: /renamed}, to: "$a"}`,
		after:  `renamed-now: {match: {path: /renamed}, to: "$a", timeouts: {idle: 1h}}`},
	{name: "renamed-moved",
		before: `renamed-moved: {match: {path: /renamed-moved}, to: "$a"}`,
		after:  `renamed-moved-now: {match: {path: /renamed-moved}, to: "$b"}`,
		code:   drained},
	{name: "renamed-matched", // a new name and a new match is another route
		before: `renamed-matched: {match: {path: /renamed-matched}, to: "$a"}`,
		after:  `renamed-matched-now: {match: {path: /renamed-matched-now}, to: "$a"}`,
		code:   drained},
	{name: "swapped", // with the next: the names stay, the targets do not
		before: `swapped: {match: {path: /swapped}, to: "$a"}`,
		after:  `swapped: {match: {path: /swapped-too}, to: "$b"}`,
		code:   drained},
	{name: "swapped-too",
		before: `swapped-too: {match: {path: /swapped-too}, to: "$b"}`,
		after:  `swapped-too: {match: {path: /swapped}, to: "$a"}`,
		code:   drained},
	{name: "respond",
		before: `respond: {match: {path: /respond}, to: "$a"}`,
		after:  `respond: {match: {path: /respond}, respond: {body: closed}}`,
		code:   drained},
	{name: "internal",
		before: `internal: {match: {path: /internal}, to: "internal://echo"}`,
		after:  `internal: {match: {path: /internal}, to: "internal://echo", timeouts: {idle: 1h}}`},
	{name: "pool-key",
		pool:    `pool-key: {backends: {one: {url: "$a"}}}`,
		newPool: `pool-key: {backends: {another: {url: "$a"}, more: {url: "$b"}}, balance: round_robin}`,
		before:  `pool-key: {match: {path: /pool-key}, to: "pool://pool-key/x"}`,
		after:   `pool-key: {match: {path: /pool-key}, to: "pool://pool-key/y"}`},
	{name: "pool-drain",
		pool:    `pool-drain: {backends: {one: {url: "$a"}}}`,
		newPool: `pool-drain: {backends: {one: {url: "$a", drain: true}, two: {url: "$b"}}}`,
		before:  `pool-drain: {match: {path: /pool-drain}, to: "pool://pool-drain"}`,
		after:   `pool-drain: {match: {path: /pool-drain}, to: "pool://pool-drain"}`,
		code:    drained},
	{name: "pool-gone",
		pool:    `pool-gone: {backends: {one: {url: "$a"}}}`,
		newPool: `pool-gone: {backends: {two: {url: "$b"}}}`,
		before:  `pool-gone: {match: {path: /pool-gone}, to: "pool://pool-gone"}`,
		after:   `pool-gone: {match: {path: /pool-gone}, to: "pool://pool-gone"}`,
		code:    drained},
	{name: "pool-renamed", // a pool's name is part of its backends' identity
		pool:    `pool-renamed: {backends: {one: {url: "$a"}}}`,
		newPool: `pool-renamed-now: {backends: {one: {url: "$a"}}}`,
		before:  `pool-renamed: {match: {path: /pool-renamed}, to: "pool://pool-renamed"}`,
		after:   `pool-renamed: {match: {path: /pool-renamed}, to: "pool://pool-renamed-now"}`,
		code:    drained},
	{name: "client-tightened",
		before: `client-tightened: {match: {path: /client-tightened}, to: "$a"}`,
		after:  `client-tightened: {match: {path: /client-tightened, client: [198.51.100.0/24]}, to: "$a"}`,
		code:   forbidden, reason: forbiddenReason},
	{name: "client-kept", // no policy lets it stay
		before: `client-kept: {match: {path: /client-kept}, to: "$a", drain: {keep: true, window: 1h, code: 4001}}`,
		after:  `client-kept: {match: {path: /client-kept, client: [198.51.100.0/24]}, to: "$b", drain: {keep: true}}`,
		code:   forbidden, reason: forbiddenReason},
	{name: "client-forwarded", // the address that counts is the one a trusted proxy told
		header: http.Header{"X-Forwarded-For": {"198.51.100.7"}},
		before: `client-forwarded: {match: {path: /client-forwarded, client: [198.51.100.0/24]}, to: "$a"}`,
		after:  `client-forwarded: {match: {path: /client-forwarded, client: [198.51.100.0/25]}, to: "$a"}`},
	{name: "client-shut-out",
		header: http.Header{"X-Forwarded-For": {"198.51.100.7"}},
		before: `client-shut-out: {match: {path: /client-shut-out, client: [198.51.100.0/24]}, to: "$a"}`,
		after:  `client-shut-out: {match: {path: /client-shut-out, client: [198.51.100.8/29, 127.0.0.0/8]}, to: "$a"}`,
		code:   forbidden, reason: forbiddenReason},
	{name: "origin-tightened",
		header: http.Header{"Origin": {"https://app.example.com"}},
		before: `origin-tightened: {match: {path: /origin-tightened}, to: "$a", origins: any}`,
		after:  `origin-tightened: {match: {path: /origin-tightened}, to: "$a", origins: ["https://other.example.com"]}`,
		code:   forbidden, reason: forbiddenReason},
	{name: "origin-defaulted", // to same-host
		header: http.Header{"Origin": {"https://app.example.com"}},
		before: `origin-defaulted: {match: {path: /origin-defaulted}, to: "$a", origins: ["https://app.example.com"]}`,
		after:  `origin-defaulted: {match: {path: /origin-defaulted}, to: "$a"}`,
		code:   forbidden, reason: forbiddenReason},
	{name: "origin-allowed",
		header: http.Header{"Origin": {"https://app.example.com"}},
		before: `origin-allowed: {match: {path: /origin-allowed}, to: "$a", origins: any}`,
		after:  `origin-allowed: {match: {path: /origin-allowed}, to: "$a", origins: ["https://*.example.com"]}`},
	{name: "origin-none", // no page has sent it
		before: `origin-none: {match: {path: /origin-none}, to: "$a", origins: any}`,
		after:  `origin-none: {match: {path: /origin-none}, to: "$a", origins: ["https://other.example.com"]}`},
}

// TestEditJudgesEveryTunnel makes all those changes in one edit.
func TestEditJudgesEveryTunnel(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	values := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	p := start(t, changesFile(values, func(c change) (pool, route string) { return c.pool, c.before }))

	open := map[string]*websocket.Conn{}
	for _, c := range changes {
		open[c.name], _ = dialWith(t, p.ws("/"+c.name), websocket.Dialer{}, c.header)
		echo(t, open[c.name], "before")
	}
	stay := 0
	for _, c := range changes {
		if c.code == 0 {
			stay++
		}
	}
	loaded := p.edit(changesFile(values, func(c change) (pool, route string) { return c.newPool, c.after }))
	if kept, gone := loaded.number(t, "tunnels_kept"), loaded.number(t, "tunnels_draining"); kept != int64(stay) || gone != int64(len(changes)-stay) {
		t.Errorf("%d tunnels kept and %d draining, wanted %d and %d", kept, gone, stay, len(changes)-stay)
	}
	if got := loaded.text("renamed"); got != "map[renamed:renamed-now]" {
		t.Errorf("renamed is %s, wanted renamed to have become renamed-now alone", got)
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) { c.judge(t, open[c.name]) })
	}
}

// judge looks at the tunnel after the edit.
func (c change) judge(t *testing.T, conn *websocket.Conn) {
	if c.code == 0 {
		echo(t, conn, "after")
		return
	}
	if code, reason := closeCode(t, conn); code != c.code || reason != c.reason {
		t.Errorf("closed with %d %q, wanted %d %q", code, reason, c.code, c.reason)
	}
}

// changesFile is a routes file of one side of the changes.
func changesFile(values map[string]string, side func(change) (pool, route string)) string {
	pools, routes := &strings.Builder{}, &strings.Builder{}
	for _, c := range changes {
		pool, route := side(c)
		if pool != "" {
			pools.WriteString("  " + pool + "\n")
		}
		if route != "" {
			routes.WriteString("  " + route + "\n")
		}
	}
	return fill(`version: 1
listeners: {web: {address: "127.0.0.1:0"}, other: {address: "127.0.0.1:0"}}
trusted_proxies: [127.0.0.0/8]
defaults: {drain: {window: off}}
pools:
`+pools.String()+"routes:\n"+routes.String(), values)
}

// TestRenamedRouteIsFollowed: a tunnel goes by its route's new name, in the log
// and at the edits to come.
func TestRenamedRouteIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := func(name string) string {
		return web + "defaults: {drain: {window: off}}\nroutes:\n  " + name + `: {match: {path: /x}, to: "` + b.url("ws") + "\"}\n"
	}
	p := start(t, routes("first"))
	conn := dial(t, p.ws("/x"))
	for _, name := range []string{"second", "third"} {
		if loaded := p.edit(routes(name)); loaded.text("tunnels_kept") != "1" || loaded.text("added") != "[]" || loaded.text("removed") != "[]" {
			t.Errorf("a renaming was logged as %v", loaded)
		}
		echo(t, conn, name)
	}
	p.edit(web + "routes: {}\n")
	if code, _ := closeCode(t, conn); code != drained {
		t.Errorf("closed with %d, wanted %d", code, drained)
	}
	conn.Close()
	p.waitLog("tunnel closed", fields{"route": "third"})
}

// TestNewSettingsAreForNewTunnels: an open tunnel keeps what it was opened with.
func TestNewSettingsAreForNewTunnels(t *testing.T) {
	t.Parallel()
	routes := func(size string) string {
		return web + `routes: {echo: {match: {path: /echo}, to: "internal://echo", limits: {message_size: ` + size + "}}}\n"
	}
	p := start(t, routes("1KiB"))
	old := dial(t, p.ws("/echo"))
	p.edit(routes("10B"))
	young := dial(t, p.ws("/echo"))
	p.edit(routes("5B"))

	echo(t, old, strings.Repeat("x", 1000))
	echo(t, young, "ten bytes!")
	if err := young.WriteMessage(websocket.TextMessage, []byte("more than 10 bytes")); err != nil {
		t.Fatal(err)
	}
	if code, _ := closeCode(t, young); code != websocket.CloseMessageTooBig {
		t.Errorf("a message over the limit it was opened with: closed with %d, wanted 1009", code)
	}
}
