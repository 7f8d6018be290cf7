package e2e

// forwarded and trusted_proxies: what a backend is told of the client.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestForwarded: what is said about the client, by mode, and that only a
// trusted proxy may say it.
func TestForwarded(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
routes:
  x:    {match: {path: /x}, to: "$b"}
  rfc:  {match: {path: /rfc}, to: "$b", forwarded: rfc7239}
  off:  {match: {path: /off}, to: "$b", forwarded: "off"}
  host: {match: {path: /host}, to: "$b", preserve_host: true}
  own:  {match: {path: /own}, to: "$b", preserve_host: false}
`, map[string]string{"b": b.url("http")}))
	forged := []string{"X-Forwarded-For: 192.0.2.9", "X_Forwarded_For: 192.0.2.9", "X-Real-IP: 192.0.2.9", "Forwarded: for=192.0.2.9"}
	ask := func(path string) *http.Request {
		t.Helper()
		lines := append([]string{"GET " + path + " HTTP/1.1", "Host: public.example"}, forged...)
		if got := ask(t, connect(t, p), request(lines...)); got.status != 200 {
			t.Fatalf("%s: %d %q", path, got.status, got.body)
		}
		asked := b.last(t)
		if text := fmt.Sprint(asked.Header); strings.Contains(text, "192.0.2.9") {
			t.Errorf("%s: the backend got what the client forged: %s", path, text)
		}
		return asked
	}
	if h := ask("/x").Header; h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Host") != "public.example" {
		t.Errorf("x: the backend got %v", h)
	}
	if h := ask("/rfc").Header; !strings.Contains(h.Get("Forwarded"), "for=127.0.0.1") || h.Get("X-Forwarded-For") != "" {
		t.Errorf("rfc7239: the backend got %v", h)
	}
	if h := ask("/off").Header; h.Get("Forwarded") != "" || h.Get("X-Forwarded-For") != "" {
		t.Errorf("off: the backend got %v", h)
	}
	if got := ask("/host").Host; got != "public.example" {
		t.Errorf("preserve_host: the backend was asked for host %q", got)
	}
	if got := ask("/own").Host; got != b.authority() {
		t.Errorf("preserve_host: false: the backend was asked for host %q", got)
	}
	if got := ask("/x").Host; got != "public.example" {
		t.Errorf("by default the backend, which has no TLS, was asked for host %q", got)
	}
}

// TestTrustedProxies: a trusted peer's word counts, for the backend and for match.client.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
trusted_proxies: [127.0.0.1]
routes:
  inside: {match: {path_prefix: /, client: [10.0.0.0/8]}, to: "$b/inside/"}
  others: {match: {path_prefix: /}, to: "$b/others/"}
`, map[string]string{"b": b.url("http")}))
	for client, want := range map[string]string{"10.1.2.3": "/inside/", "192.0.2.1": "/others/"} {
		got := ask(t, connect(t, p), request("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: "+client))
		if got.body != "b GET "+want {
			t.Errorf("client %s: %d %q, wanted %s", client, got.status, got.body, want)
		}
		if said := b.last(t).Header.Get("X-Forwarded-For"); said != client+", 127.0.0.1" {
			t.Errorf("client %s: the backend got X-Forwarded-For %q", client, said)
		}
	}
}
