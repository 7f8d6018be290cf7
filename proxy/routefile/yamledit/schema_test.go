package yamledit

import "slices"

// testKeys is a small table of keys: names in canonical order, and what is below
// them. Without names they keep their order, and every name has the same keys below.
type testKeys struct {
	names []string
	below map[string]*testKeys
}

func (k *testKeys) Rank(name string) int {
	if i := slices.Index(k.names, name); i >= 0 {
		return i
	}
	return len(k.names)
}

func (k *testKeys) Below(name string) Keys {
	one := k.below[name]
	if one == nil {
		one = k.below["*"]
	}
	if one == nil {
		return nil
	}
	return one
}

// testSchema has three sections of records, as a proxy's configuration might.
var testSchema = &Schema{
	Sections:  []string{"listeners", "pools", "routes"},
	Optional:  []string{"listeners", "pools"},
	Version:   Pair{TextNode("version"), WordNode("1")},
	Formatter: "format",
	Keys: &testKeys{
		names: []string{"version", "listeners", "trusted_proxies", "defaults", "shutdown", "pools", "routes"},
		below: map[string]*testKeys{"defaults": settingKeys, "routes": {below: map[string]*testKeys{"*": routeKeys}},
			"pools": {below: map[string]*testKeys{"*": {names: []string{"balance", "hash", "backends", "sticky"}}}}},
	},
}

var settings = []string{"upgrade", "http_fallback", "timeouts", "keepalive", "strict", "lenient", "limits", "origins", "drain", "headers", "preserve_host", "forwarded", "backend_tls"}

var settingKeys = &testKeys{names: settings, below: map[string]*testKeys{
	"timeouts": {names: []string{"connect", "handshake", "response", "idle"}},
}}

var routeKeys = &testKeys{names: append([]string{"match", "to", "redirect", "respond"}, settings...), below: map[string]*testKeys{
	"match":    {names: []string{"listener", "host", "path", "path_prefix"}},
	"timeouts": settingKeys.below["timeouts"],
}}

// testEditor edits documents of testSchema.
var testEditor = Editor{Schema: testSchema}

// fullRecord has every form of value: nested, flow and block, long and short.
const fullRecord = `{match: {host: "*.a.test", path_prefix: /a/, headers: {X-A: "true", X-B: {regex: "^a: b"}, X-C: {present: true}}},
  to: "ws://a.test:9000/b?c=d", upgrade: [websocket], timeouts: {connect: 1s, idle: off}, strict: true,
  origins: [same-host, "https://*.a.test"], drain: {code: 4001, reason: "bye: \"you\""},
  headers: {request: {set: {X-A: a, X-B: "1.10"}, add: {X-C: ["yes", "no"]}, remove: [X-D]}, response: {set: {X-A: "a long text that makes this mapping longer than any line may be", X-B: "1"}}},
  backend_tls: {ca: /ca.pem}}`
