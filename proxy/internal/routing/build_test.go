package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/forward"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// dump writes what a route does, as far as its settings differ from an empty one's.
func dump(rt *Route) string {
	var b strings.Builder
	say := func(set bool, format string, args ...any) {
		if set {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	if rt.Target != nil {
		say(rt.Target.Internal != "", "internal=%s", rt.Target.Internal)
		say(rt.Target.Pool != nil, "pool=%v", rt.Target.Pool != nil && len(rt.Target.Pool.Members()) > 0)
	}
	say(rt.Redirect != nil, "redirect")
	say(rt.Respond != nil, "respond")
	say(!rt.HTTPFallback, "upgrades-only")
	say(rt.Redials, "redials")
	say(rt.AllowsTrace, "trace")
	say(rt.PinThroughProxy, "pin")
	say(rt.HeaderBytes > 0, "header_bytes=%d", rt.HeaderBytes)
	say(rt.Limits.Tunnels > 0, "tunnels=%d", rt.Limits.Tunnels)
	say(rt.Retry.Others != 2, "retries=%d", rt.Retry.Others)
	say(rt.Drain.Keep, "keep")
	say(rt.Tunnel.Strict, "strict")
	say(rt.Tunnel.PingClient == 0, "no-ping")
	say(rt.Policy.Host != forward.HostByTLS, "host=%d", rt.Policy.Host)
	say(rt.Policy.Forwarded != forward.ForwardedX, "forwarded=%d", rt.Policy.Forwarded)
	for _, line := range slices.Concat(rt.Policy.Request.Set, rt.Policy.Request.Add) {
		say(true, "%s=%s%s", line.Name, line.Value, map[bool]string{true: "..."}[line.Text != nil])
	}
	return strings.TrimSpace(b.String())
}

// TestRoutes: a route of the file, and what becomes of it.
func TestRoutes(t *testing.T) {
	for _, tt := range []struct{ route, want string }{
		{`to: "ws://127.0.0.1:1"`, "pool=true"},
		{`to: "wss://127.0.0.1:1"`, "pool=true"},
		{`to: "internal://echo"`, "internal=echo pool=true"},
		{`to: "internal://status"`, "internal=status"},
		{`redirect: {to: "https://a.example"}`, "redirect"},
		{`respond: {status: 204}`, "respond"},
		{`to: "ws://127.0.0.1:1", http_fallback: false`, "pool=true upgrades-only"},
		{`to: "ws://127.0.0.1:1", on_backend_loss: redial`, "pool=true redials"},
		{`to: "ws://127.0.0.1:1", match: {methods: [TRACE]}`, "pool=true trace"},
		{`to: "ws://127.0.0.1:1", ntlm: pin_through_proxy`, "pool=true pin"},
		{`to: "ws://127.0.0.1:1", limits: {header_bytes: 1000, tunnels: 7}`, "pool=true header_bytes=1000 tunnels=7"},
		{`to: "ws://127.0.0.1:1", drain: {keep: true}, strict: true`, "pool=true keep strict"},
		{`to: "ws://127.0.0.1:1", keepalive: off`, "pool=true no-ping"},
		{`to: "ws://127.0.0.1:1", preserve_host: true, retry: {others: 5}`, "pool=true retries=5 host=1"},
		{`to: "ws://127.0.0.1:1", forwarded: rfc7239`, "pool=true forwarded=1"},
		{`to: "ws://127.0.0.1:1", headers: {request: {set: {A: b}, add: {C: d, E: "{client}"}}}`, "pool=true A=b C=d E=..."},
	} {
		got := dump(table(t, nil, "routes: {r: {"+tt.route+"}}\n").Route("r"))
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.route, got, tt.want)
		}
	}
}

// TestLookup: the route that a request takes, and the path that it sends.
func TestLookup(t *testing.T) {
	built := table(t, nil, baseRoutes)
	for path, want := range map[string]string{"/chat": "chat {/chat 5}", "/chat/x": "chat {/chat/x 5}", "/live/1": "live {/live/1 5}", "/": "none { 0}"} {
		var captures match.Captures
		rt, sent, err := built.Lookup(&match.Request{Method: http.MethodGet, Host: "a", Path: path, Header: http.Header{}}, path, &captures)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		name := "none"
		if rt != nil {
			name = rt.Name
		}
		if got := fmt.Sprint(name, " ", sent); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if built.Routes() != 2 || built.Route("none") != nil {
		t.Errorf("%d routes, and %v", built.Routes(), built.Route("none"))
	}
}

// TestTableSettings: what a Table says beside its routes.
func TestTableSettings(t *testing.T) {
	built := table(t, nil, `
listeners: {web: {address: "127.0.0.1:8080", limits: {connections: 9}}}
trusted_proxies: [10.0.0.0/8]
shutdown: {delay: 2s, window: 9s}
pools:
  p: {rebalance: {within: 10m, tolerance: 20%}, queue: {length: 3, wait: 1s}, backends: {a: {url: "ws://127.0.0.1:9001"}}}
  found: {resolve: {dns: "a.example:80", every: 1h}}
routes:
  r: {match: {path: /r}, to: "pool://p", timeouts: {lifetime: 10s, lifetime_jitter: 4s}, drain: {close_timeout: 7s}}
  f: {match: {path: /f}, to: "pool://found"}
`)
	web := built.Listener("127.0.0.1:8080")
	switch {
	case len(built.Listeners()) != 1 || web == nil || web.Name != "web" || web.Limits.Connections != 9:
		t.Errorf("listeners %+v", web)
	case !built.Trusted().Contains(netip.MustParseAddr("10.1.2.3")):
		t.Error("a trusted proxy is not")
	case built.Shutdown().Delay != 2*time.Second || built.Shutdown().Policy.Window != 9*time.Second:
		t.Errorf("shutdown %+v", built.Shutdown())
	case built.RebalanceRules()["p"].Within != 10*time.Minute || built.RebalanceRules()["p"].Tolerance != 20:
		t.Errorf("rebalance %+v", built.RebalanceRules()["p"])
	case built.LongestClose() != 7*time.Second:
		t.Errorf("the longest close is %v", built.LongestClose())
	case len(built.Discoveries()) != 1 || built.Discoveries()["found"] == nil || len(built.Pools()) != 2 || !built.Pools()["p"].HasQueue():
		t.Errorf("pools %v, discoveries %v", built.Pools(), built.Discoveries())
	}
	for range 50 {
		if got := built.Route("r").NewTunnelLimits().Lifetime; got < 6*time.Second || got > 10*time.Second {
			t.Errorf("a lifetime of %v, want 6s to 10s", got)
		}
	}
	backend := built.Backend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "127.0.0.1:9001"})
	if backend == nil || !built.Lists(backend) {
		t.Errorf("the backend of p is %v", backend)
	}
}

// TestStickyAndHash: how a pool binds its clients.
func TestStickyAndHash(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sticky := range []string{
		`sticky: {cookie: A, same_site: strict, secure: true}`,
		`sticky: {cookie: A, same_site: none, secure: true}`,
		`sticky: {cookie: A, same_site: lax, secure: false}`,
		`sticky: {cookie: A, secret: ` + secret + `}`,
		`sticky: {header: X-User}`,
		`balance: hash, hash: {header: X-User}`,
		`balance: hash, hash: {cookie: C}`,
		`balance: hash, hash: {query: q}`,
		`balance: hash, hash: {client: true}`,
	} {
		built := table(t, nil, "routes: {r: {to: \"pool://p\"}}\npools: {p: {"+sticky+", backends: {a: {url: \"ws://127.0.0.1:1\"}}}}\n")
		line := built.pools["p"].SetCookie(upstream.Choice{Request: &http.Request{Header: http.Header{}}}, built.pools["p"].Members()[0].Backend, false)
		if want := strings.Contains(sticky, "cookie: A"); (line != "") != want {
			t.Errorf("%s: Set-Cookie %q", sticky, line)
		}
		for word, want := range map[string]string{"strict": "SameSite=Strict", "none": "SameSite=None", "secure: true": "Secure"} {
			if strings.Contains(sticky, word) && !strings.Contains(line, want) {
				t.Errorf("%s: Set-Cookie %q, want %s in it", sticky, line, want)
			}
		}
	}
}

// TestBuildMistakes: what only building finds is told at its record.
func TestBuildMistakes(t *testing.T) {
	for want, body := range map[string]string{
		"3:13: listener \"w\": certificate": "routes: {}\nlisteners: {w: {address: \"127.0.0.1:1\", tls: {certificates: [{certificate: none.pem, key: none.key}]}}}\n",
		"3:9: pool \"p\": secret":           "routes: {}\npools: {p: {sticky: {cookie: A, secret: none}, backends: {a: {url: \"ws://127.0.0.1:1\"}}}}\n",
		"2:10: route \"r\": header A":       "routes: {r: {to: \"ws://127.0.0.1:1\", headers: {request: {set: {A: {file: none}}}}}}\n",
		"3:9: pool \"p\": header A":         "routes: {}\npools: {p: {health: {http: {headers: {A: {file: none}}}}, backends: {a: {url: \"ws://127.0.0.1:1\"}}}}\n",
		"2:10: route \"r\": backend CA":     "routes: {r: {to: \"wss://127.0.0.1:1\", backend_tls: {ca: none.pem}}}\n",
	} {
		file, errs := routefile.Parse("routes.yaml", []byte("version: 1\n"+body))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		_, err := Build(routefile.NewSet(file), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	file, _ := routefile.Parse("routes.yaml", []byte("version: 1\n"+baseRoutes))
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := BuildContext(ctx, routefile.NewSet(file), nil); err != enough {
		t.Errorf("%v, want the context's cause", err)
	}
}

// TestTLSTowardsBackends: a backend's own setting goes before its route's.
func TestTLSTowardsBackends(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	client := authority.Issue([]string{"client"})
	built := table(t, nil, `
routes:
  r: {match: {path: /r}, to: "pool://p", backend_tls: {ca: `+authority.File+`, server_name: route.example}}
  f: {match: {path: /f}, to: "pool://found"}
pools:
  p: {backends: {a: {url: "wss://127.0.0.1:1"}, b: {url: "wss://127.0.0.1:2", tls: {server_name: own.example, certificate: `+client.File+`, key: `+client.KeyFile+`}}}}
  found: {resolve: {dns: "a.example:80", scheme: wss, tls: {ca: `+authority.File+`}}}
`)
	for authority, want := range map[string]string{"127.0.0.1:1": "route.example", "127.0.0.1:2": "own.example"} {
		b := built.Backend(upstream.BackendKey{Pool: "p", Scheme: "wss", Authority: authority})
		if got := built.Route("r").Target.TLSOf(b).Config.ServerName; got != want {
			t.Errorf("%s is called %q, want %q", authority, got, want)
		}
	}
	if built.Route("f").Target.TLSOf(nil).Config == nil {
		t.Error("there is no TLS towards discovered members")
	}
}

// TestHealthChecks: the probe and the verdict's rules are those of the pool.
func TestHealthChecks(t *testing.T) {
	for probe, ok := range map[string]bool{
		"{tcp: true, interval: 1h}": true,
		"{http: {path: /h, statuses: [\"200-204\"], body: ok, headers: {A: b}}, interval: 1h}": true,
		"{websocket: {path: /w}, interval: 1h}":                                                true,
		"{passive: {fails: 3}}":                                                                false,
	} {
		built := table(t, nil, "routes: {r: {to: \"pool://p\"}}\npools: {p: {health: "+probe+", backends: {a: {url: \"ws://127.0.0.1:1\"}}}}\n")
		for _, h := range built.health {
			if (h.Config.Probe != nil) != ok {
				t.Errorf("%s: probed %v", probe, !ok)
			}
		}
		if len(built.health) != 1 {
			t.Errorf("%s: %d backends are judged", probe, len(built.health))
		}
	}
}

// TestRetireAndClose: what the next Table does not name is closed, and what it replaces
// sends its queue on.
func TestRetireAndClose(t *testing.T) {
	old := table(t, nil, baseRoutes)
	next := table(t, old, "routes: {chat: {match: {path_prefix: /chat}, to: \"ws://127.0.0.1:9001/x\"}}\n")
	old.CheckHealth(func(*upstream.Backend, health.Event) {}, nil)
	old.Retire(next)
	if next.Lists(old.backends[liveTunnel.Backend]) {
		t.Error("a backend that is gone is listed")
	}
	if !next.Lists(old.backends[chatTunnel.Backend]) {
		t.Error("a backend that stays is not")
	}
	next.Close()
}
