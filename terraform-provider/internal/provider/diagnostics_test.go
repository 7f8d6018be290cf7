package provider

import (
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// A mistake's key becomes the deepest attribute on it.
func TestAttributeOf(t *testing.T) {
	route := routefile.Plain{
		"match": routefile.Plain{"host": "x", "headers": routefile.Plain{"X.A": routefile.Plain{"regex": "("}, "X": routefile.Plain{"value": "1"}}},
		"to":    "ws://x",
	}
	pool := routefile.Plain{"backends": routefile.Plain{"a.b": routefile.Plain{"url": "ws://a"}, "a": routefile.Plain{"url": "ws://b"}}}
	for _, tt := range []struct {
		id   recordID
		p    routefile.Plain
		key  string
		want string
	}{
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match.host", "match.host"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.to", "to"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r", ""},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r2.to", ""},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match.headers.X.A.regex", "match.headers_regex"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match.headers.X", "match.headers"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match", "match.host"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match.path", "match.path"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.drain.code", "drain.code"},
		{recordID{routefile.InRoutes, "r"}, route, "routes.r.match.nonsense", "match.host"},
		{recordID{routefile.InRoutes, "r.s"}, route, "routes.r.s.to", "to"},
		{recordID{routefile.InPools, "p"}, pool, "pools.p.backends.a.b.url", "backend"},
		{recordID{routefile.InPools, "p"}, pool, "pools.p.backends.a.url", "backend"},
	} {
		if got := attributeOf(tt.id, tt.p, tt.key).String(); got != tt.want {
			t.Errorf("%s: %s is at %q, want %q", tt.id, tt.key, got, tt.want)
		}
	}
}

func TestConcerns(t *testing.T) {
	chat := recordID{routefile.InRoutes, "chat"}
	for _, tt := range []struct {
		mistake problem
		want    bool
	}{
		{problem{key: "routes.chat", record: `route "chat"`}, true},
		{problem{key: "routes.chat.to", record: `route "chat"`}, true},
		{problem{key: "routes.chat.to"}, true}, // as a proxy says it
		{problem{key: "routes.chat.to", record: `route "chat.to"`}, false},
		{problem{key: "routes.chatter.to", record: `route "chatter"`}, false},
		{problem{key: "pools.chat", record: `pool "chat"`}, false},
		{problem{key: "routes.other.match", record: `route "other"`, other: `route "chat"`}, true},
	} {
		if got := chat.concerns(tt.mistake); got != tt.want {
			t.Errorf("%s owns %+v: %t, want %t", chat, tt.mistake, got, tt.want)
		}
	}
}
