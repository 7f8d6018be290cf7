package e2e

// The price of an edit, before it is made and when it is made.

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const priced = web + `shutdown: {delay: 0s, window: 0s}
routes:
  chat: {match: {path_prefix: /chat}, to: "pool://rooms", drain: {window: 1h}}
  news: {match: {path_prefix: /news}, to: "internal://echo", drain: {window: 30s}}
  stays: {match: {path_prefix: /stays}, to: "internal://echo"}
pools:
  rooms: {backends: {a: {url: "A"}, b: {url: "B"}}}
`

// TestImpact: what check and diff say of an edit is what the edit then does.
func TestImpact(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	fillIn := strings.NewReplacer("A", a.url("ws"), "B", b.url("ws"))
	before := fillIn.Replace(priced)
	s := steer(t, before)
	for range 4 { // two each
		dial(t, s.ws("/chat"))
	}
	for range 3 {
		dial(t, s.ws("/news"))
	}
	dial(t, s.ws("/stays"))

	after := strings.NewReplacer(
		`, b: {url: "B"}`, "",
		"  news:", "  gone:", "path_prefix: /news", "path_prefix: /gone", // removed, and another added
		"  stays:", "  still:", // renamed
	).Replace(priced)
	after = fillIn.Replace(after)
	s.write("next.yaml", after)

	var result statusapi.CheckResult
	answer := s.callWith(http.MethodPost, "/v1/check", after, func(h http.Header) { h.Set("Content-Type", "application/yaml") })
	if err := json.Unmarshal([]byte(answer.body), &result); err != nil || result.Impact == nil {
		t.Fatalf("%d %s: %v", answer.status, answer.body, err)
	}
	i := result.Impact
	if i.Kept != 3 || i.Drained != 5 || i.Moved != 0 || i.Renamed["stays"] != "still" || strings.Join(i.Pools.Changed, " ") != "rooms" ||
		strings.Join(i.Added, " ") != "gone" || strings.Join(i.Removed, " ") != "news" || i.Routes["still"].Kept != 1 {
		t.Errorf("%+v", i)
	}
	if r := i.Routes["chat"]; r.Kept != 2 || r.Drained != 2 || r.Window != "1h0m0s" || r.Cause != "backend "+b.url("ws")+" leaves the pool" {
		t.Errorf("chat: %+v", r)
	}
	if r := i.Routes["news"]; r.Drained != 3 || r.Window != "30s" || r.Cause != "the route is removed" {
		t.Errorf("news: %+v", r)
	}

	got := s.command("diff", "next.yaml")
	for _, want := range []string{"- route  news", "drains 3 of 3 tunnels over 30s: the route is removed", "> route  stays -> still", "~ pool   rooms", "5 of 8 open tunnels would be drained"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("diff: %q without %q", got.stdout, want)
		}
	}
	if got.status != 1 {
		t.Errorf("diff: exit status %d, want 1: %s", got.status, got.stderr)
	}
	if got := s.command("diff", routesFile); got.status != 0 || !strings.Contains(got.stdout, "nothing would change") {
		t.Errorf("diff of what is served: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if got := s.command("diff", "next.yaml", "--against", routesFile); got.status != 1 || !strings.Contains(got.stdout, "> route  stays -> still") || strings.Contains(got.stdout, "tunnel") {
		t.Errorf("diff --against a file: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if got := s.command("diff", "next.yaml", "--admin", "127.0.0.1:1"); got.status != 3 {
		t.Errorf("diff without a proxy: %d %s", got.status, got.stderr)
	}
	s.write("bad.yaml", "version: 1\nroutes: {x: {}}\n")
	if got := s.command("diff", "bad.yaml"); got.status != 1 || !strings.Contains(got.stderr, "x") {
		t.Errorf("diff of a bad file: %d %s", got.status, got.stderr)
	}

	loaded := s.edit(after)
	if loaded.text("tunnels_kept") != "3" || loaded.text("tunnels_draining") != "5" {
		t.Errorf("the edit: %v, want 3 kept and 5 draining", loaded)
	}
	// Those that the edit tells to go are not told by the next one.
	if got := s.command("diff", routesFile, "-o", "json"); got.status != 0 || !strings.Contains(got.stdout, `"drained": 0`) {
		t.Errorf("diff after the edit: %d %q", got.status, got.stdout)
	}
	// And an edit that takes it back keeps all.
	s.write("back.yaml", before)
	if got := s.command("diff", "back.yaml", "-o", "json"); !strings.Contains(got.stdout, `"drained": 0`) || !strings.Contains(got.stdout, `"kept": 8`) {
		t.Errorf("diff of taking it back: %d %q", got.status, got.stdout)
	}
}
