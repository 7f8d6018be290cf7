package routefile

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// fullRoute says everything that a route can say.
func fullRoute() *Route {
	headers := HeaderEdit{
		Set:     []Header{{Name: "X-A", Value: "a"}, {Name: "X-B", Value: "1.10"}},
		Add:     []Header{{Name: "X-C", Value: "yes"}, {Name: "X-C", File: "/no"}},
		Default: []Header{{Name: "X-E", File: "/e"}, {Name: "X-F", Value: "{{x}"}},
		Remove:  []string{"X-D"},
	}
	return &Route{
		Match: Match{
			Listener: "web", Host: "*.a.test", PathPrefix: "/a/", Priority: -3, Methods: []string{"GET", "POST"},
			Headers: []Condition{{Name: "X-A", Value: "true"}, {Name: "X-B", Regex: "^a: b"}, {Name: "X-C", Present: true}},
			Query:   []Condition{{Name: "p", Regex: "1"}, {Name: "q", Value: ""}, {Name: "r", Present: true}},
			Cookies: []Condition{{Name: "c", Value: "#1"}, {Name: "d", Regex: "d"}, {Name: "e", Present: true}},
			Upgrade: "websocket", Subprotocol: "chat.v2",
			Client: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
		To: &Target{Raw: "ws://a.test:9000/b?c=d", Scheme: "ws", Host: "a.test:9000", Path: "/b", Query: "c=d"},
		Settings: &Settings{
			Upgrade:      Upgrade{Mode: "list", Protocols: []string{"websocket"}},
			HTTPFallback: Off, EncodedSlash: "keep", MergeSlashes: Off,
			Timeouts: Timeouts{
				Connect: time.Second, Handshake: 1500 * time.Millisecond, Response: time.Hour + time.Minute, Body: time.Second, Send: -1, Idle: -1,
				IdleFromClient: time.Minute, IdleFromBackend: time.Hour, IdleCounts: "data", Lifetime: 24 * time.Hour, LifetimeJitter: time.Nanosecond,
			},
			Keepalive: Keepalive{Ping: -1, Pong: time.Second, Client: On, Backend: Off},
			Errors: ErrorAnswers{
				Pages:    []ErrorPage{{Status: "404", Body: "{{x}"}, {Status: "5xx", File: "/down.bin", ContentType: "text/html"}},
				Override: []string{"5xx"},
			},
			Query:   QueryEdit{Remove: []string{"backend", "a b"}},
			Strict:  On,
			Lenient: []string{"subprotocol", "key"},
			Limits: Limits{Tunnels: -1, TunnelsPerClient: 5, HandshakesPerSecond: 0.5, MessageSize: 1 << 20, FrameSize: 1000,
				HeaderBytes: 4097, BodyBytes: -1, AuthFailures: 5},
			Origins:         Origins{Mode: "list", Allow: []string{"same-host", "https://*.a.test"}},
			Drain:           DrainPolicy{Window: -1, Code: 4001, Reason: "bye: \"you\"", CloseTimeout: time.Second, Keep: On},
			Headers:         HeaderEdits{Request: headers, Response: headers},
			PreserveHost:    On,
			Forwarded:       "off",
			OnBackendLoss:   "redial",
			RewriteResponse: Rewriting{Location: On, CookiePath: map[string]string{"/a": "/"}, CookieDomain: map[string]string{"a.test": ""}},
			BackendTLS:      TLSSettings{CA: "/ca.pem", ServerName: "b.test", Certificate: "/c.pem", Key: "/k.pem", Insecure: On},
			Retry:           Retry{1, 30},
			NTLM:            "pin_through_proxy",
			Metrics:         Metrics{On},
			Auth:            fullAuth,
			AuthPreflight:   "backend",
			CrossSite:       "allow",
		},
	}
}

var fullAuth = []AuthEntry{
	{JWT: &JWTAuth{
		Issuer: "https://id.a.test", Audience: []string{"a", "b"}, Keys: TokenKeys{File: "/jwks.json"}, Algorithms: []string{"RS256"},
		From:   []AuthPlace{{Header: "A"}, {Cookie: "b"}, {Query: "c"}, {Subprotocol: "d."}},
		Claims: []AuthClaim{{Name: "a", Regex: "^b"}, {Name: "c", Value: "7"}}, Leeway: time.Second, OnExpiry: OnExpiry{Keep: true},
		Headers: map[string]string{"X-User": "sub"}, ForwardCredential: Off,
	}},
	{JWT: &JWTAuth{Issuer: "i", Audience: []string{"any"}, Keys: TokenKeys{URL: "https://a.test/", Refresh: time.Hour}, OnExpiry: OnExpiry{Close: 4401, Reason: "bye"}}},
	{JWT: &JWTAuth{Issuer: "i", Audience: []string{"any"}, Keys: TokenKeys{Secret: &SecretFile{"/secret"}}}},
	{Basic: &BasicAuth{Users: "/users", Realm: "r", User: "u", ForwardCredential: On}},
	{APIKey: &APIKeyAuth{Keys: "/keys", From: []AuthPlace{{Header: "A"}, {Cookie: "b"}, {Query: "c"}, {Subprotocol: "d."}}, ForwardCredential: On}},
	{ClientCertificate: &CertificateAuth{Names: []string{"a.test"}, SPIFFE: []string{"spiffe://a.test/*"}, Header: "Client-Cert"}},
	{Forward: &ForwardAuth{URL: "http://a.test/", Headers: []string{"Cookie"}, Copy: []string{"X-User"}, User: "X-User", Timeout: time.Second, Cache: time.Minute}},
}

// parseOne parses a file that holds one record.
func parseOne(t *testing.T, section Section, n node) *File {
	t.Helper()
	data, err := Editor{}.Edit([]byte("version: 1\n"), section.Set("x", n))
	if err != nil {
		t.Fatal(err)
	}
	file, errs := Parse("-", data)
	if len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, data)
	}
	return file
}

func TestEncodedRoutesParseEqual(t *testing.T) {
	full := fullRoute()
	redirect := &Route{Match: Match{Path: "/a"}, Redirect: &Redirect{To: "/b", Status: 308}}
	secure := &Route{Match: Match{Path: "/a"}, Redirect: &Redirect{Scheme: "https", Port: 8443}}
	respond := &Route{Match: Match{PathRegex: "^/a"}, Respond: &Respond{Status: 404, Body: "a\n b\n", Headers: []Header{{Name: "X-A", Value: "b"}}}}
	plain := &Route{To: &Target{Raw: "internal://echo", Scheme: "internal", Host: "echo"},
		Settings: &Settings{Upgrade: Upgrade{Mode: "any"}, Origins: Origins{Mode: "any"}, Limits: Limits{HandshakesPerSecond: -1},
			RewriteResponse: Rewriting{Location: Off, CookiePath: map[string]string{}, CookieDomain: map[string]string{}}}}
	for _, want := range []*Route{full, redirect, secure, respond, plain} {
		got := parseOne(t, InRoutes, InRoutes.encode(want)).Routes["x"]
		got.Record = Record{}
		if got.To != nil {
			got.To.Pos = Pos{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestEncodedPoolsAndListenersParseEqual(t *testing.T) {
	pool := &Pool{Balance: "hash", Hash: HashKey{Capture: "1"}, Backends: map[string]*Backend{
		"a": {URL: Target{Raw: "ws://a.test:1", Scheme: "ws", Host: "a.test:1"}, Drain: true, Weight: 3, Tier: 2, Spare: true},
		"b": {URL: Target{Raw: "unix+ws:///run/b.sock", Scheme: "unix+ws", Host: "/run/b.sock"}, Disabled: true, Standby: true, TLS: TLSSettings{CA: "/ca.pem", Insecure: On}},
	}}
	got := parseOne(t, InPools, InPools.encode(pool)).Pools["x"]
	for name, want := range pool.Backends {
		b := got.Backends[name]
		if b == nil {
			t.Fatalf("backend %q is not there", name)
		}
		b.Record, b.URL.Pos = Record{}, Pos{}
		if *b != *want {
			t.Errorf("backend %q: got %+v, want %+v", name, b, want)
		}
	}
	if got.Balance != pool.Balance || got.Hash != pool.Hash || len(got.Backends) != 2 {
		t.Errorf("got %+v", got)
	}
	listener := &Listener{Address: "unix:/run/a.sock", Mode: "0600", Group: "www-data", HTTP2: Off,
		TLS:    &ListenerTLS{Certificates: []CertificateFiles{{Certificate: "/a.crt", Key: "/a.key"}, {Certificate: "/b.crt", Key: "/b.key"}}, ClientCA: "/ca.pem"},
		Limits: ListenerLimits{HeaderTimeout: time.Second, HeaderBytes: 1024, Headers: 5, Connections: 6}}
	back := parseOne(t, InListeners, InListeners.encode(listener)).Listeners["x"]
	back.Record = Record{}
	for i := range back.TLS.Certificates {
		back.TLS.Certificates[i].Pos = Pos{}
	}
	if !reflect.DeepEqual(back, listener) {
		t.Errorf("got  %+v\nwant %+v", back, listener)
	}
}

// Every key of the table that is not refused is one that the encoder knows, in
// the table's order.
func TestEncoderKnowsEveryKey(t *testing.T) {
	route := InRoutes.encode(fullRoute())
	more := []node{
		InRoutes.encode(&Route{Match: Match{Path: "/a"}, Redirect: &Redirect{To: "/", Scheme: "https", Port: 1, Status: 301}}),
		InRoutes.encode(&Route{Match: Match{PathRegex: "^/"}, Respond: &Respond{Status: 200, Body: "x", Headers: []Header{{Name: "X-A", Value: "b"}}}}),
	}
	written := map[string]bool{}
	for _, n := range append(more, route) {
		writtenKeys("routes.*", n, InRoutes.key(), written)
	}
	writtenKeys("pools.*", InPools.encode(&Pool{Balance: "round_robin", Hash: HashKey{"a", "b", "c", "d", true}, Backends: map[string]*Backend{
		"a": {URL: Target{Raw: "ws://a"}, Drain: true, Weight: 1, Tier: 1, Disabled: true, Spare: true, Standby: true, MaxTunnels: 1, MaxRequests: 1, Route: "r", TLS: TLSSettings{CA: "a", ServerName: "b", Certificate: "c", Key: "d", Insecure: Off}},
	}, Sticky: &fullSticky, Health: fullHealth, Queue: &Queue{1, 2 * time.Second}, Resolve: fullResolve, Rebalance: &Rebalance{time.Second, 5}}), InPools.key(), written)
	writtenKeys("listeners.*", InListeners.encode(&Listener{Address: ":1", Mode: "0600", Group: "a", HTTP2: On, TLS: &ListenerTLS{Certificates: []CertificateFiles{{Certificate: "a", Key: "b"}}, ClientCA: "c"},
		Limits: ListenerLimits{1, 2, 3, 4}}), InListeners.key(), written)
	for _, k := range Keys() {
		inRecord := strings.HasPrefix(k.Path, "routes.*.") || strings.HasPrefix(k.Path, "pools.*.") || strings.HasPrefix(k.Path, "listeners.*.")
		if inRecord && !k.Reserved && !underReserved(k.Path) && !written[k.Path] {
			t.Errorf("the encoder does not write %s", k.Path)
		}
	}
	if out := yamledit.Ordered(route, keyOrder{InRoutes.key()}); fmt.Sprint(keyNames(out)) != fmt.Sprint(keyNames(route)) {
		t.Errorf("keys are in the order %v, want %v", keyNames(route), keyNames(out))
	}
}

var fullHealth = Health{
	TCP:       true,
	HTTP:      &HTTPHealth{"HEAD", "/a?b", "c", []Header{{Name: "X-A", Value: "1"}}, []string{"200", "300-399"}, "x"},
	WebSocket: &WebSocketHealth{"/a?b", "c", []Header{{Name: "X-A", Value: "1"}}, "chat"},
	Interval:  time.Second, Timeout: 2 * time.Second, Passes: 3, Fails: 4, Initial: "down", SlowStart: -1,
	Passive: PassiveHealth{-1, 2 * time.Second, 3 * time.Second, 40},
}

var fullResolve = &Resolve{DNS: "h:1", SRV: "_ws._tcp.h", Server: "s:53", Scheme: "wss", Every: time.Second, MaxTunnels: 1, MaxRequests: -1,
	TLS: TLSSettings{CA: "/a", ServerName: "b", Certificate: "/c", Key: "/d", Insecure: Off}}

// A pool whose backends are found is written so that it is read again.
func TestEncodeResolve(t *testing.T) {
	for _, change := range []func(*Resolve){func(r *Resolve) { r.DNS = "" }, func(r *Resolve) { r.SRV = "" }} {
		resolve := *fullResolve
		change(&resolve)
		pool := &Pool{Resolve: &resolve, Rebalance: &Rebalance{time.Second, 5}}
		got := parseOne(t, InPools, InPools.encode(pool)).Pools["x"]
		if !reflect.DeepEqual(got.Resolve, pool.Resolve) || !reflect.DeepEqual(got.Rebalance, pool.Rebalance) || len(got.Backends) != 0 {
			t.Errorf("got  %+v, %+v\nwant %+v, %+v", got.Resolve, got.Rebalance, pool.Resolve, pool.Rebalance)
		}
	}
}

// What a pool says of health and queues is written so that it is read again.
func TestEncodeHealth(t *testing.T) {
	pool := &Pool{Health: fullHealth, Queue: &Queue{1, 2 * time.Second}, Backends: map[string]*Backend{"a": {URL: Target{Raw: "ws://a"}, MaxTunnels: -1, MaxRequests: 7}}}
	pool.Health.TCP, pool.Health.HTTP = false, nil
	for range 2 {
		got := parseOne(t, InPools, InPools.encode(pool)).Pools["x"]
		if !reflect.DeepEqual(got.Health, pool.Health) || !reflect.DeepEqual(got.Queue, pool.Queue) {
			t.Errorf("got  %+v, %+v\nwant %+v, %+v", got.Health, got.Queue, pool.Health, pool.Queue)
		}
		if b := got.Backends["a"]; b.MaxTunnels != -1 || b.MaxRequests != 7 {
			t.Errorf("got limits %d and %d, want off and 7", b.MaxTunnels, b.MaxRequests)
		}
		pool.Health.HTTP, pool.Health.WebSocket = fullHealth.HTTP, nil
	}
}

func underReserved(path string) bool {
	for _, k := range Keys() {
		if k.Reserved && strings.HasPrefix(path, k.Path+".") {
			return true
		}
	}
	return false
}

// writtenKeys notes the table's paths of all keys below n.
func writtenKeys(path string, n node, k *Key, written map[string]bool) {
	for i, c := range n.Content {
		switch {
		case n.Kind == yamledit.SequenceNode:
			written[path+".[]"] = true
			writtenKeys(path+".[]", c, k.child("[]"), written)
		case i%2 == 1:
			name := n.Content[i-1].Value
			if k != nil && k.index["*"] != nil && k.index[name] == nil {
				name = "*"
			}
			written[path+"."+name] = true
			writtenKeys(path+"."+name, c, k.child(name), written)
		}
	}
}

func keyNames(n node) (names []string) {
	for _, p := range yamledit.Pairs(n) {
		names = append(names, p.Key.Value)
		if p.Value.Kind == yamledit.MappingNode {
			names = append(names, keyNames(p.Value)...)
		}
	}
	return names
}

func TestPrint(t *testing.T) {
	out, err := InRoutes.Print("on", record(t, "{to: 'pool://chat', match: {path: /a}}"))
	if want := "\"on\":\n  match: {path: /a}\n  to: \"pool://chat\"\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}
