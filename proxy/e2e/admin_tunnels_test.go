package e2e

// The open tunnels as an operator sees and ends them.

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const twoRoutes = web + `shutdown: {delay: 0s, window: 0s}
routes:
  chat: {match: {path_prefix: /chat}, to: "internal://echo", drain: {window: 1h}}
  news: {match: {path_prefix: /news}, to: "internal://echo", timeouts: {lifetime: 1h}}
`

// TestAdminTunnels: what the API and the command say of open tunnels.
func TestAdminTunnels(t *testing.T) {
	t.Parallel()
	s := steer(t, twoRoutes)
	dialer := websocket.Dialer{Subprotocols: []string{"v1"}}
	chat, _ := dialWith(t, s.ws("/chat/\u202eroom?secret=1"), dialer, nil)
	echo(t, chat, "hello")
	news := dial(t, s.ws("/news"))
	echo(t, news, "hello")

	var list statusapi.TunnelList
	s.read(&list, http.MethodGet, "/v1/tunnels", "")
	if len(list.Tunnels) != 2 || list.Next != "" {
		t.Fatalf("%+v", list)
	}
	u := list.Tunnels[0]
	opened := s.waitLog("tunnel opened", fields{"route": "chat"})
	if u.ID != opened.text("id") || u.Route != "chat" || u.Backend != "internal://echo" || u.Client != "127.0.0.1" || u.Host != s.address("web") ||
		u.Path != "/chat/%E2%80%AEroom" || u.Protocol != "websocket" || u.State != "open" || u.User != "" ||
		u.MessagesFromClient != 1 || u.MessagesFromBackend != 1 || u.BytesFromClient == 0 || u.ExpiresIn != 0 {
		t.Errorf("chat: %+v", u)
	}
	if n := list.Tunnels[1]; n.ExpiresIn <= 0 || n.ExpiresIn > 3600 || n.Age < 0 || n.Idle > n.Age {
		t.Errorf("news: %+v", n)
	}
	var one statusapi.Tunnel
	s.read(&one, http.MethodGet, "/v1/tunnels/"+u.ID, "")
	if one.ID != u.ID {
		t.Errorf("one: %+v", one)
	}

	got := s.command("tunnels", "--route", "chat")
	if got.status != 0 || !strings.Contains(got.stdout, u.ID) || strings.Contains(got.stdout, "news") || strings.Contains(got.stdout, "\u202e") || strings.Contains(got.stdout, "secret") {
		t.Errorf("tunnels --route chat: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if got := s.command("tunnels", "--all", "-o", "json"); got.status != 0 || strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("tunnels --all: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if got := s.command("tunnels", "--sort", "color"); got.status != 1 {
		t.Errorf("a bad sort: %d %s", got.status, got.stderr)
	}

	if got := s.commandWith([]string{"XDG_RUNTIME_DIR="}, "close", u.ID); got.status != 3 || !strings.Contains(got.stderr, "token") {
		t.Errorf("close without a token: %d %s", got.status, got.stderr)
	}
	if got := s.command("close", u.ID, "--code", "4001", "--reason", "go away"); got.status != 0 {
		t.Errorf("close: %d %s", got.status, got.stderr)
	}
	if code, reason := closeCode(t, chat); code != 4001 || reason != "go away" {
		t.Errorf("closed with %d %q, want 4001", code, reason)
	}
	s.waitLog("tunnel closed", fields{"id": u.ID, "reason": "operator", "closed_by": "proxy"})
	echo(t, news, "still here")
	if got := s.command("close", u.ID); got.status != 1 {
		t.Errorf("close again: %d %s", got.status, got.stderr)
	}
}

// TestAdminDrain: a route's tunnels are told, the others stay, a reload does not spare them,
// and --spare does.
func TestAdminDrain(t *testing.T) {
	t.Parallel()
	s := steer(t, twoRoutes)
	var chats []*websocket.Conn
	for range 5 {
		chats = append(chats, dial(t, s.ws("/chat")))
	}
	news := dial(t, s.ws("/news"))

	if got := s.command("drain", "--route", "chat", "--dry-run"); got.status != 0 || !strings.Contains(got.stdout, "5 tunnels would") {
		t.Errorf("drain --dry-run: %d %q %s", got.status, got.stdout, got.stderr)
	}
	if got := s.command("drain"); got.status != 1 || !strings.Contains(got.stderr, "want a route") {
		t.Errorf("drain of nothing: %d %s", got.status, got.stderr)
	}
	got := s.command("drain", "--route", "chat", "--window", "1h", "--detach", "-o", "json")
	var d statusapi.Drain
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil || d.Tunnels != 5 || d.Waiting != 5 {
		t.Fatalf("drain: %d %q %s", got.status, got.stdout, got.stderr)
	}
	s.edit(twoRoutes + "  more: {match: {path: /more}, respond: {}}\n")
	var list statusapi.TunnelList
	s.read(&list, http.MethodGet, "/v1/tunnels?draining=true", "")
	if len(list.Tunnels) != 5 {
		t.Errorf("%d are draining after an edit, want 5", len(list.Tunnels))
	}
	if got := s.command("drain", "--spare", d.ID); got.status != 0 || !strings.Contains(got.stdout, "5 were spared") {
		t.Errorf("drain --spare: %d %q %s", got.status, got.stdout, got.stderr)
	}
	echo(t, chats[0], "spared")

	began := time.Now()
	closing := make(chan int, len(chats))
	for _, chat := range chats {
		go func() {
			code, _ := closeCode(t, chat)
			closing <- code
		}()
	}
	got = s.command("drain", "--route", "chat", "--window", "500ms", "--code", "1001", "--reason", "moving")
	if got.status != 0 || !strings.Contains(got.stdout, "5 of 5 tunnels told, 5 have ended") {
		t.Errorf("drain: %d %q %s after %v", got.status, got.stdout, got.stderr, time.Since(began))
	}
	for range chats {
		if code := <-closing; code != 1001 {
			t.Errorf("closed with %d, want 1001", code)
		}
	}
	echo(t, news, "still here")
	if got := s.command("drain", "--list"); got.status != 0 || !strings.Contains(got.stdout, "route chat") {
		t.Errorf("drain --list: %d %q", got.status, got.stdout)
	}
	if dial(t, s.ws("/chat")) == nil {
		t.Error("no new tunnel after the drain")
	}
}
