package routefile

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

func TestSetResolvesFieldByField(t *testing.T) {
	a := mustParse(t, "a.yaml", `version: 1
defaults:
  timeouts: {connect: 1s, idle: 5m}
  keepalive: off
  drain: {code: 4000, reason: bye}
  headers: {response: {set: {X-A: "1"}, remove: [Server]}}
  origins: any
  upgrade: [websocket, mqtt]
  rewrite_response: {location: true, cookie_path: {/a: /}}
  limits: {tunnels: 5}
routes:
  plain: {match: {path: /a}, to: "ws://b"}
  own:
    match: {path: /b}
    to: "ws://b"
    timeouts: {idle: off}
    keepalive: {ping: 1m}
    drain: {code: 4001}
    headers: {response: {set: {}}}
    origins: same-host
    upgrade: none
    rewrite_response: false
    limits: {tunnels: 0}
`)
	b := mustParse(t, "b.yaml", "version: 1\nroutes: {other: {match: {path: /c}, to: 'ws://b'}}\n")
	s := NewSet(b, a)
	plain, own, other := *s.Routes["plain"].Resolved, *s.Routes["own"].Resolved, *s.Routes["other"].Resolved
	if !reflect.DeepEqual(other, builtIn.settings) {
		t.Errorf("another file's defaults apply: %+v", other)
	}
	want := builtIn.settings
	want.Timeouts.Connect, want.Timeouts.Idle = time.Second, 5*time.Minute
	want.Keepalive.Ping = -1
	want.Drain.Code, want.Drain.Reason = 4000, "bye"
	want.Headers.Response = HeaderEdit{Set: []Header{{Name: "X-A", Value: "1"}}, Remove: []string{"Server"}}
	want.Origins, want.Upgrade = Origins{Mode: "any"}, Upgrade{Mode: "list", Protocols: []string{"websocket", "mqtt"}}
	want.RewriteResponse = Rewriting{Location: On, CookiePath: map[string]string{"/a": "/"}}
	want.Limits.Tunnels = 5
	if !reflect.DeepEqual(plain, want) {
		t.Errorf("plain is\n%+v, want\n%+v", plain, want)
	}
	want.Timeouts.Idle, want.Keepalive.Ping, want.Drain.Code = -1, time.Minute, 4001
	want.Headers.Response.Set = []Header{}
	want.Origins, want.Upgrade = Origins{Mode: "same-host"}, Upgrade{Mode: "none"}
	want.RewriteResponse = Rewriting{Location: Off, CookiePath: map[string]string{}, CookieDomain: map[string]string{}}
	want.Limits.Tunnels = -1
	if !reflect.DeepEqual(own, want) {
		t.Errorf("own is\n%+v, want\n%+v", own, want)
	}
}

// TestOverlayAgainstFields holds overlay to its definition on random settings:
// a field that is said wins, by a list of the fields that reflection cannot shorten.
func TestOverlayAgainstFields(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		over, under := randomSettings(r), randomSettings(r)
		got := overlay(over, under)
		fo, fu, fg := leaves(over), leaves(under), leaves(got)
		for i := range fg {
			want := fo[i]
			if reflect.ValueOf(want).IsZero() {
				want = fu[i]
			}
			if !reflect.DeepEqual(fg[i], want) {
				t.Fatalf("field %d: %v over %v gives %v", i, fo[i], fu[i], fg[i])
			}
		}
	}
}

// leaves lists a few fields of each kind by hand.
func leaves(s Settings) []any {
	return []any{
		s.Upgrade, s.HTTPFallback, s.Timeouts.Connect, s.Timeouts.LifetimeJitter, s.Keepalive.Ping, s.Limits.Tunnels,
		s.Limits.MessageSize, s.Origins, s.Drain.Reason, s.Headers.Request.Remove, s.RewriteResponse.CookiePath,
		s.Forwarded, s.BackendTLS.CA, s.Limits.HandshakesPerSecond,
	}
}

func randomSettings(r *rand.Rand) Settings {
	var s Settings
	half := func() bool { return r.IntN(2) == 0 }
	if half() {
		s.Upgrade = Upgrade{Mode: "list", Protocols: []string{string(rune('a' + r.IntN(9)))}}
		s.Timeouts.Connect = time.Duration(r.IntN(3) - 1)
		s.Limits.MessageSize = int64(r.IntN(3) - 1)
		s.RewriteResponse.CookiePath = map[string]string{}
	}
	if half() {
		s.Origins = Origins{Mode: "any"}
		s.HTTPFallback = Switch(r.IntN(3) - 1)
		s.Keepalive.Ping = time.Duration(r.IntN(3) - 1)
		s.Headers.Request.Remove = make([]string, r.IntN(2))
	}
	if half() {
		s.Drain.Reason = strings.Repeat("x", r.IntN(3))
		s.Forwarded = []string{"", "x", "off"}[r.IntN(3)]
		s.BackendTLS.CA = strings.Repeat("y", r.IntN(2))
		s.Limits.HandshakesPerSecond = float64(r.IntN(3) - 1)
		s.Timeouts.LifetimeJitter = 7
		s.Limits.Tunnels = r.IntN(9) - 1
	}
	return s
}

func TestSetFillsEverything(t *testing.T) {
	f := mustParse(t, "r.yaml", `version: 1
pools: {p: {backends: {a: {url: "ws://h"}}}}
routes:
  a: {match: {path: /a}, redirect: {to: /b}}
  b: {match: {path: /b}, respond: {}}
`)
	s := NewSet(f)
	if got := s.Routes["a"].Route.Redirect.Status; got != 302 {
		t.Errorf("redirect status %d", got)
	}
	if got := s.Routes["b"].Route.Respond.Status; got != 200 {
		t.Errorf("respond status %d", got)
	}
	if f.Routes["a"].Redirect.Status != 0 || f.Pools["p"].Balance != "" {
		t.Error("the file was changed")
	}
	if got := s.Pools["p"].Balance; got != "least_tunnels" {
		t.Errorf("balance %q", got)
	}
	web := s.Listeners[DefaultListener]
	if len(s.Listeners) != 1 || web.Address != DefaultAddress || web.HTTP2 != Off || web.Limits.Headers != 100 {
		t.Errorf("listeners %+v", s.Listeners)
	}
	if s.Shutdown != (Shutdown{5 * time.Second, 15 * time.Second}) {
		t.Errorf("shutdown %+v", s.Shutdown)
	}
	tls := mustParse(t, "r.yaml", "version: 1\nlisteners: {s: {address: ':1', tls: {certificates: [{certificate: a, key: b}]}}}\nshutdown: {delay: off}\n")
	if s := NewSet(tls); s.Listeners["s"].HTTP2 != On || s.Listeners["web"] != nil || s.Shutdown.Delay != -1 {
		t.Errorf("listeners %+v, shutdown %+v", s.Listeners, s.Shutdown)
	}
}

// A file's revision is what sha256sum says of it.
func TestRevision(t *testing.T) {
	a := mustParse(t, "a.yaml", "version: 1\n")
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("version: 1\n"))); a.Revision != want {
		t.Errorf("revision %s, want %s", a.Revision, want)
	}
}

func TestRule(t *testing.T) {
	f := mustParse(t, "r.yaml", `version: 1
routes:
  r:
    match:
      listener: web
      host: a.example
      path_regex: "^/x"
      priority: 3
      methods: GET
      headers: {X-B: {present: true}, X-A: 5, X-C: {regex: "^a"}}
      query: {q: ""}
      cookies: {c: d}
      upgrade: any
      subprotocol: s
      client: 10.0.0.1
    to: internal://echo
`)
	want := match.Rule{
		Name: "r", Priority: 3, Listener: "web", Host: "a.example", Path: match.Path{Kind: match.Regex, Pattern: "^/x"},
		Methods: []string{"GET"},
		Headers: []match.Field{{Name: "X-A", Value: "5"}, {Name: "X-B", Op: match.Present}, {Name: "X-C", Op: match.Matches, Value: "^a"}},
		Query:   []match.Field{{Name: "q"}}, Cookies: []match.Field{{Name: "c", Value: "d"}},
		Upgrade: "any", Subprotocol: "s", Clients: f.Routes["r"].Match.Client,
	}
	if got := NewSet(f).Routes["r"].Rule(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := want.Clients[0].String(); got != "10.0.0.1/32" {
		t.Errorf("a bare address became %s", got)
	}
}
