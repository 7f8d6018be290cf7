package e2e

// What is served and how it came about, as the admin API and its commands say it.

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// TestAdminServing: routes, pools and the history, and the events of an edit.
func TestAdminServing(t *testing.T) {
	t.Parallel()
	a := newBackend(t, "a")
	routes := web + `shutdown: {delay: 0s, window: 0s}
routes:
  chat: {match: {path_prefix: /chat}, to: "pool://rooms", drain: {window: 1h}}
  echo: {match: {path: /echo}, to: "internal://echo"}
  gone: {match: {path: /gone}, respond: {status: 410}}
  one: {match: {path: /one}, to: "` + a.url("ws") + `"}
pools:
  rooms: {backends: {a: {url: "` + a.url("ws") + `", max_tunnels: 5}, b: {url: "ws://127.0.0.1:1", disabled: true}}}
`
	s := steer(t, routes)
	dial(t, s.ws("/chat"))

	var list statusapi.RouteList
	s.read(&list, http.MethodGet, "/v1/routes", "")
	does := map[string]string{}
	for _, r := range list.Routes {
		does[r.Name] = r.Does + " " + r.Target
	}
	if len(list.Routes) != 4 || does["chat"] != "pool rooms" || does["echo"] != "internal echo" || does["gone"] != "respond " || does["one"] != "backend "+a.url("ws") {
		t.Errorf("%v", does)
	}
	if c := list.Routes[0]; c.Name != "chat" || c.Tunnels != 1 || c.Line != 5 || !strings.HasSuffix(c.File, routesFile) || c.Window != "1h0m0s" || list.Generation != 1 {
		t.Errorf("%+v", c)
	}
	var page statusapi.RouteList
	s.read(&page, http.MethodGet, "/v1/routes?limit=3", "")
	if page.Next != "gone" || len(page.Routes) != 3 {
		t.Errorf("%+v", page)
	}
	s.read(&page, http.MethodGet, "/v1/routes?limit=3&cursor=gone", "")
	if page.Routes[0].Name != "one" {
		t.Errorf("%+v", page)
	}

	var pools statusapi.PoolList
	s.read(&pools, http.MethodGet, "/v1/pools", "")
	if b := pools.Pools[0].Backends; len(b) != 2 || b[0].Tunnels != 1 || b[0].State != "up" || b[0].MaxTunnels != 5 || b[1].Written != "disabled" {
		t.Errorf("%+v", pools)
	}
	if got := s.command("pools"); got.status != 0 || !strings.Contains(got.stdout, "1/5") || !strings.Contains(got.stdout, "up, disabled") {
		t.Errorf("pools: %d %q %s", got.status, got.stdout, got.stderr)
	}

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func(event string, into any) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+event && lines.Scan() {
				if err := json.Unmarshal([]byte(strings.TrimPrefix(lines.Text(), "data: ")), into); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("no event %s: %v", event, lines.Err())
	}
	var figures statusapi.Figures
	if next("figures", &figures); figures.Open != 1 || figures.Opened != 1 {
		t.Errorf("%+v", figures)
	}
	var entry statusapi.HistoryEntry
	edited := strings.Replace(routes, "  gone: {match: {path: /gone}", "  away: {match: {path: /away}", 1)
	s.edit(edited)
	if next("generation", &entry); entry.Generation != 2 || entry.Kept != 1 || strings.Join(entry.Added, "") != "away" || strings.Join(entry.Removed, "") != "gone" {
		t.Errorf("%+v", entry)
	}
	s.spoil("version: 1\nroutes: {x: {}}\n")
	if next("refusal", &entry); !entry.Refused || entry.Generation != 2 || len(entry.Mistakes) == 0 {
		t.Errorf("%+v", entry)
	}
	leave()

	var history statusapi.History
	s.read(&history, http.MethodGet, "/v1/history", "")
	if len(history.Entries) != 3 || !history.Entries[0].Refused || history.Entries[2].Generation != 1 || history.Entries[1].Revision != revision(edited) {
		t.Errorf("%+v", history)
	}
	if got := s.command("history"); got.status != 0 || !strings.Contains(got.stdout, "REFUSED, generation 2 goes on") || !strings.Contains(got.stdout, "+ away") {
		t.Errorf("history: %d %q %s", got.status, got.stdout, got.stderr)
	}
}

// TestAdminBackendStates: a backend that is drained by hand gets nothing new and its tunnels
// go; a reload does not change that, an edit of its record does, and the last backend of a
// pool is kept.
func TestAdminBackendStates(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	routes := web + `shutdown: {delay: 0s, window: 0s}
routes:
  chat: {match: {path: /chat}, to: "pool://rooms", drain: {window: 0s, code: 1001}}
pools:
  rooms: {balance: round_robin, backends: {a: {url: "` + a.url("ws") + `"}, b: {url: "` + b.url("ws") + `"}}}
`
	s := steer(t, routes)
	onA := dial(t, s.ws("/chat"))
	onB := dial(t, s.ws("/chat"))
	if who(t, onA) != "a" {
		onA, onB = onB, onA
	}
	if got := s.command("pools", "set", "rooms", "a", "drain", "--for", "1h"); got.status != 0 || !strings.Contains(got.stdout, "drain until") {
		t.Fatalf("drain: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if code, _ := closeCode(t, onA); code != 1001 {
		t.Errorf("closed with %d, want 1001", code)
	}
	allOnB := func(when string) {
		t.Helper()
		for range 3 {
			if got := who(t, dial(t, s.ws("/chat"))); got != "b" {
				t.Errorf("%s a new tunnel goes to %s", when, got)
			}
		}
	}
	allOnB("after the drain")
	if got := s.command("pools", "set", "rooms", "b", "disable"); got.status != 1 || !strings.Contains(got.stderr, "no other backend") {
		t.Errorf("of the last one: %d %s", got.status, got.stderr)
	}
	if got := s.command("pools", "set", "rooms", "nobody", "none"); got.status != 1 {
		t.Errorf("of no backend: %d %s", got.status, got.stderr)
	}
	s.edit(routes + "trusted_proxies: [127.0.0.0/8]\n")
	allOnB("after a reload")
	var pools statusapi.PoolList
	s.read(&pools, http.MethodGet, "/v1/pools", "")
	if m := pools.Pools[0].Backends[0]; m.Temporary != "drain" || m.Until == nil {
		t.Errorf("%+v", m)
	}
	s.edit(strings.Replace(routes, a.url("ws")+`"`, a.url("ws")+`", weight: 2`, 1))
	var edited statusapi.PoolList
	s.read(&edited, http.MethodGet, "/v1/pools", "")
	if m := edited.Pools[0].Backends[0]; m.Temporary != "" {
		t.Errorf("after an edit of its record: %+v", m)
	}
	found := map[string]bool{}
	for range 4 {
		found[who(t, dial(t, s.ws("/chat")))] = true
	}
	if !found["a"] {
		t.Error("after an edit of its record it gets nothing new")
	}
	who(t, onB)
}
