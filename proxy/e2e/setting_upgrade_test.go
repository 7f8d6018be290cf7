package e2e

// The upgrade setting: other protocols, any, none, unchecked.

import (
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// upgrades starts a proxy with one route for each way to say upgrade, all to
// one http:// backend.
func upgrades(t *testing.T) (*proxy, *backend) {
	t.Helper()
	b := newBackend(t, "b")
	return start(t, web+fill(`
routes:
  default:   {match: {path_prefix: /default}, to: "$b"}
  list:      {match: {path_prefix: /list}, to: "$b", upgrade: [x-rtc, websocket]}
  any:       {match: {path_prefix: /any}, to: "$b", upgrade: any}
  none:      {match: {path_prefix: /none}, to: "$b", upgrade: none}
  unchecked: {match: {path_prefix: /unchecked}, to: "$b", upgrade: unchecked}
`, map[string]string{"b": b.url("http")})), b
}

// TestOtherProtocols: what is allowed becomes a raw tunnel, what is not is HTTP
// with Upgrade removed.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	p, b := upgrades(t)
	for _, tt := range []struct {
		path, upgrade string
		tunnel        string // the protocol switched to; "" for an HTTP answer
	}{
		{"/list", "x-rtc", "x-rtc"},
		{"/list", "X-RTC", "x-rtc"},             // tokens in any case
		{"/list", "unheard-of, x-rtc", "x-rtc"}, // the client's first allowed one
		{"/list", "x-rtc2", ""},                 // exact tokens, no prefixes
		{"/list", "x-rt", ""},
		{"/default", "x-rtc", ""},
		{"/any", "x-rtc", "x-rtc"},
		{"/any", "foo/2", "foo/2"},
		{"/any", "h2c", ""},
		{"/any", "TLS/1.0", ""},
		{"/any", "HTTP/2.0", ""},
		{"/none", "x-rtc", ""},
		{"/none", "websocket", ""},
	} {
		t.Run(tt.path+" "+tt.upgrade, func(t *testing.T) {
			client := connect(t, p)
			got := ask(t, client, request("GET "+tt.path+" HTTP/1.1", "Host: tunnelform.test",
				"Connection: Upgrade, HTTP2-Settings", "Upgrade: "+tt.upgrade, "HTTP2-Settings: AAMAAABkAAQAAP__"))
			if tt.tunnel == "" {
				mustBeHTTP(t, client, got, tt.path, b)
				return
			}
			if upgrade := got.header.Get("Upgrade"); got.status != 101 || !strings.EqualFold(upgrade, tt.tunnel) {
				t.Fatalf("%d %q, Upgrade %q, wanted 101 and %q", got.status, got.body, upgrade, tt.tunnel)
			}
			echoBytes(t, client, "any bytes \x00\xff at all")
			if asked := b.last(t).Header.Get("Upgrade"); !strings.EqualFold(asked, tt.tunnel) {
				t.Errorf("the backend was asked for %q, wanted %q", asked, tt.tunnel)
			}
		})
	}
}

// mustBeHTTP fails unless got is the backend's plain answer to a GET of path,
// the backend was asked for no upgrade, and the connection goes on as HTTP.
func mustBeHTTP(t *testing.T, client *proxytest.Raw, got reply, path string, b *backend) {
	t.Helper()
	if got.status != 200 || got.body != b.name+" GET "+path {
		t.Fatalf("%d %q, wanted the backend's plain answer", got.status, got.body)
	}
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
		if value := b.last(t).Header.Get(name); value != "" {
			t.Errorf("the backend got %s: %q, wanted none", name, value)
		}
	}
	again := ask(t, client, request("GET "+path+"/again HTTP/1.1", "Host: tunnelform.test"))
	if again.body != b.name+" GET "+path+"/again" {
		t.Errorf("the next request on the connection: %d %q", again.status, again.body)
	}
}

// TestRawTunnelEnds: a tunnel of another protocol passes a half-close on and is
// logged without a close code.
func TestRawTunnelEnds(t *testing.T) {
	t.Parallel()
	p, _ := upgrades(t)
	client := connect(t, p)
	if got := ask(t, client, request("GET /any HTTP/1.1", "Host: tunnelform.test", "Connection: Upgrade", "Upgrade: x-rtc")); got.status != 101 {
		t.Fatalf("%d %q, wanted 101", got.status, got.body)
	}
	echoBytes(t, client, "twelve bytes")
	client.CloseWrite()
	if rest := client.Rest(); rest != "" {
		t.Errorf("%q came after the half-close, wanted nothing", rest)
	}
	closed := p.waitLog("tunnel closed", fields{"route": "any", "closed_by": "client", "code": 0})
	for _, name := range []string{"bytes_from_client", "bytes_from_backend"} {
		if got := closed.number(t, name); got != 12 {
			t.Errorf("%s is %d, wanted 12", name, got)
		}
	}
}

// TestUnchecked is the manual page's NONE: neither Upgrade nor Connection is
// required of the client, key and version are.
func TestUnchecked(t *testing.T) {
	t.Parallel()
	p, b := upgrades(t)
	asking := proxytest.Handshake{Target: "/unchecked", Change: map[string]string{"Connection": "", "Upgrade": ""}}
	got := ask(t, connect(t, p), asking.String())
	if accept := got.header.Get("Sec-WebSocket-Accept"); got.status != 101 || accept != proxytest.Accept(proxytest.SampleKey) {
		t.Fatalf("%d %q, Accept %q, wanted 101 and the sample key's", got.status, got.body, accept)
	}
	if upgrade := b.last(t).Header.Get("Upgrade"); !strings.EqualFold(upgrade, "websocket") {
		t.Errorf("the backend was asked for %q, wanted websocket", upgrade)
	}
	p.waitLog("tunnel opened", fields{"route": "unchecked"})

	// Usual clients are welcome too.
	echo(t, dial(t, p.ws("/unchecked")), "with every header")
}

// TestUncheckedWantsAKey: on such a route every request asks for a WebSocket, and
// one without a key or a version is a bad request.
func TestUncheckedWantsAKey(t *testing.T) {
	t.Parallel()
	p, _ := upgrades(t)
	for name, missing := range map[string]string{"no key": "Sec-WebSocket-Key", "no version": "Sec-WebSocket-Version"} {
		asking := proxytest.Handshake{Target: "/unchecked", Change: map[string]string{"Connection": "", "Upgrade": "", missing: ""}}
		if got := ask(t, connect(t, p), asking.String()); got.status != 400 && got.status != 426 {
			t.Errorf("%s: %d %q, wanted 400 or 426", name, got.status, got.body)
		}
	}
	if n := p.countLog("tunnel opened", nil); n != 0 {
		t.Errorf("%d tunnels opened, wanted none", n)
	}
}
