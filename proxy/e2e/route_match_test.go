package e2e

// Every condition that a route may match by. Each route answers with its name,
// so that the answer says which one a request took.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// named makes routes of match conditions that answer with their names.
func named(conditions map[string]string) string {
	routes := "routes:\n"
	for name, match := range conditions {
		routes += fmt.Sprintf("  %s: {match: {%s}, respond: {body: %q}}\n", name, match, name)
	}
	return routes
}

var matchRoutes = map[string]string{
	"host-exact": "host: chat.example.com, path: /host",
	"host-wild":  `host: "*.example.com", path: /host`,
	"host-any":   "path: /host",
	"host-v6":    `host: "[2001:db8::1]", path: /host`,

	"path-exact":   "path: /p/exact",
	"path-capture": `path: "/p/{one}"`,
	"path-regex":   `path_regex: "^/p/[0-9]+/"`,
	"path-prefix":  "path_prefix: /p/",

	"priority":     `path_prefix: /first/, priority: 1, headers: {X-First: {present: true}}`,
	"priority-not": "path: /first/exact",

	"methods":     "path: /methods, methods: [GET, PURGE]",
	"methods-not": "path: /methods",

	"header-value":   "path: /header, headers: {x-room: blue}, priority: 3",
	"header-regex":   `path: /header, headers: {X-Room: {regex: "^gr(e|a)y$"}}, priority: 2`,
	"header-present": "path: /header, headers: {X-Room: {present: true}}, priority: 1",
	"header-none":    "path: /header",

	"query-value":   `path: /query, query: {v: "2"}, priority: 3`,
	"query-regex":   `path: /query, query: {v: {regex: "^[3-9]"}}, priority: 2`,
	"query-present": "path: /query, query: {v: {present: true}}, priority: 1",
	"query-none":    "path: /query",

	"cookie-value":   "path: /cookie, cookies: {id: me}, priority: 3",
	"cookie-regex":   `path: /cookie, cookies: {id: {regex: "^y"}}, priority: 2`,
	"cookie-present": "path: /cookie, cookies: {id: {present: true}}, priority: 1",
	"cookie-none":    "path: /cookie",

	"upgrade-websocket": "path: /upgrade, upgrade: websocket, priority: 1",
	"upgrade-other":     "path: /upgrade, upgrade: x-rtc/2",
	"upgrade-none":      "path: /upgrade, upgrade: none",
	"upgrade-any":       "path: /upgrade, upgrade: any, priority: -1",

	"subprotocol":      "path: /subprotocol, subprotocol: chat.v2",
	"subprotocol-none": "path: /subprotocol",

	"client-here":      "path: /client, client: [10.0.0.0/8, 127.0.0.0/8]",
	"client-elsewhere": "path: /client, client: [10.0.0.0/8], priority: 1",
	"client-else":      "path: /client, priority: -1",
}

func TestMatch(t *testing.T) {
	t.Parallel()
	p := start(t, web+named(matchRoutes))
	get := func(target string, more ...string) string {
		return request(append([]string{"GET " + target + " HTTP/1.1", "Host: any.test"}, more...)...)
	}
	host := func(name string) string { return request("GET /host HTTP/1.1", "Host: "+name) }
	upgrade := func(token string) string { return get("/upgrade", "Connection: Upgrade", "Upgrade: "+token) }
	for _, tt := range []struct{ ask, route string }{
		{host("chat.example.com"), "host-exact"},
		{host("CHAT.Example.COM"), "host-exact"},
		{host("chat.example.com:8443"), "host-exact"},
		{host("chat.example.com."), "host-exact"},
		{host("a.example.com"), "host-wild"},
		{host("a.b.example.com:80"), "host-wild"},
		{host("example.com"), "host-any"},
		{host("chat.example.com.evil.test"), "host-any"},
		{host("[2001:db8::1]:8080"), "host-v6"},
		{host("[2001:DB8:0::1]"), "host-v6"},

		{get("/p/exact"), "path-exact"},
		{get("/p/%65xact"), "path-exact"},
		{get("/q/../p/./exact"), "path-exact"},
		{get("//p//exact"), "path-exact"},
		{get("/p/other"), "path-capture"},
		{get("/p/other/"), "path-prefix"},
		{get("/p/12/x"), "path-regex"},
		{get("/p/x/12"), "path-prefix"},
		{get("/p/"), "path-prefix"},
		{get("/p"), ""},
		{get("/P/exact"), ""},

		{get("/first/exact", "X-First: please"), "priority"},
		{get("/first/exact"), "priority-not"},

		{get("/methods"), "methods"},
		{strings.Replace(get("/methods"), "GET", "HEAD", 1), "methods"},
		{strings.Replace(get("/methods"), "GET", "PURGE", 1), "methods"},
		{strings.Replace(get("/methods"), "GET", "POST", 1), "methods-not"},
		{strings.Replace(get("/methods"), "GET", "get", 1), "methods-not"},

		{get("/header", "X-ROOM: blue"), "header-value"},
		{get("/header", "X-Room: BLUE"), "header-present"},
		{get("/header", "X-Room: gray"), "header-regex"},
		{get("/header", "X-Room: greying"), "header-present"},
		{get("/header", "X-Room:"), "header-present"},
		{get("/header"), "header-none"},

		{get("/query?v=2"), "query-value"},
		{get("/query?a=b&v=%32"), "query-value"},
		{get("/query?v=31"), "query-regex"},
		{get("/query?v=1"), "query-present"},
		{get("/query?v"), "query-present"},
		{get("/query?V=2"), "query-none"},
		{get("/query"), "query-none"},

		{get("/cookie", "Cookie: a=b; id=me"), "cookie-value"},
		{get("/cookie", "Cookie: a=b", "Cookie: id=you"), "cookie-regex"},
		{get("/cookie", "Cookie: id=she"), "cookie-present"},
		{get("/cookie", "Cookie: ID=me"), "cookie-none"},
		{get("/cookie"), "cookie-none"},

		{upgrade("websocket"), "upgrade-websocket"},
		{upgrade("WebSocket"), "upgrade-websocket"},
		{upgrade("x-rtc/2"), "upgrade-other"},
		{upgrade("x-rtc/3"), "upgrade-any"},
		{get("/upgrade"), "upgrade-none"},

		{get("/subprotocol", "Sec-WebSocket-Protocol: chat.v1, chat.v2"), "subprotocol"},
		{get("/subprotocol", "Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: chat.v2"), "subprotocol"},
		{get("/subprotocol", "Sec-WebSocket-Protocol: chat.v22"), "subprotocol-none"},
		{get("/subprotocol"), "subprotocol-none"},

		{get("/client"), "client-here"},
		{get("/client", "X-Forwarded-For: 10.1.1.1"), "client-here"}, // from a peer that is not trusted
	} {
		mustTake(t, p, tt.ask, tt.route)
	}
}

// mustTake fails unless the request takes that route; "" is none.
func mustTake(t *testing.T, p *proxy, text, route string) {
	t.Helper()
	m := p.log.mark()
	got := ask(t, connect(t, p), text)
	status := 200
	if route == "" {
		status = 404
	}
	if got.status != status {
		t.Errorf("%q: %d %q, wanted %d", text, got.status, got.body, status)
		return
	}
	if entry := p.waitLogAfter(m, "request", nil); entry.text("route") != route {
		t.Errorf("%q: took route %q, wanted %q", text, entry.text("route"), route)
	}
}

// TestMatchHoldsForTunnels: the conditions choose among tunnels as they do among answers.
func TestMatchHoldsForTunnels(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  v2:    {match: {path: /chat, subprotocol: chat.v2}, to: "$b/v2"}
  beta:  {match: {path: /chat, cookies: {beta: {present: true}}, priority: 1}, to: "$b/beta"}
  plain: {match: {path: /chat}, to: "$b/plain"}
`, map[string]string{"b": b.url("ws")}))
	for header, asked := range map[string]string{
		"Sec-WebSocket-Protocol: chat.v2": "/v2",
		"Cookie: beta=":                   "/beta",
		"X-None: of them":                 "/plain",
	} {
		if got := ask(t, connect(t, p), proxytest.Handshake{Target: "/chat", Extra: []string{header}}.String()); got.status != 101 {
			t.Fatalf("%s: %d %q, wanted 101", header, got.status, got.body)
		}
		if got := b.last(t).RequestURI; got != asked {
			t.Errorf("%s: the backend was asked for %s, wanted %s", header, got, asked)
		}
	}
}
