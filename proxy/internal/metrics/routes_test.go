package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// sites is a Keeper: what is served.
type sites struct {
	routes    map[string][]string // URLs of backends
	listeners []string
}

func (s sites) HasRoute(name string) bool { _, ok := s.routes[name]; return ok }

func (s sites) HasListener(name string) bool {
	return strings.Contains(strings.Join(s.listeners, " "), name)
}

func (s sites) HasBackend(route, backend string) bool {
	return strings.Contains(strings.Join(s.routes[route], " "), backend)
}

func state(now sites) State {
	return State{Keeper: now, Carried: func(all []*tunnel.Tally) []tunnel.Carried { return tunnel.ReadTallies(nil, all) }}
}

// counted are the lines of a scrape of the registry that begin with the name.
func counted(t *testing.T, e *Exporter, name string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(scrape(t, e)) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestRouteLives(t *testing.T) {
	g := NewRegistry()
	now := sites{routes: map[string][]string{"a": {"ws://1"}}, listeners: []string{"web"}}
	e := New(100, func(s *Scrape) { g.Collect(s, state(now)) })
	expect := func(when, name, want string) {
		t.Helper()
		if got := counted(t, e, name); got != want {
			t.Errorf("%s:\n%swant\n%s", when, got, want)
		}
	}
	expect("before the first request", "tunnels", "")

	g.Route("a").TunnelOpened("ws://1", "websocket")
	g.Route("a").TunnelOpened("ws://1", "websocket")
	expect("two open", "tunnels", "tunnels{backend=\"ws://1\",route=\"a\"} 2\ntunnels_draining{route=\"a\"} 0\n"+
		"tunnels_opened_total{backend=\"ws://1\",protocol=\"websocket\",route=\"a\"} 2\n")

	held := g.Route("a")
	g.Rename(map[string]string{"a": "b"})
	now.routes = map[string][]string{"b": {"ws://1"}}
	expect("renamed", "tunnels{", "tunnels{backend=\"ws://1\",route=\"b\"} 2\n")
	held.TunnelClosed("ws://1", true, End{"client", "closed", CodeText(1000)})
	expect("one has ended", "tunnels{", "tunnels{backend=\"ws://1\",route=\"b\"} 1\n")

	now.routes = map[string][]string{}
	expect("the route is gone", "tunnels{", "tunnels{backend=\"ws://1\",route=\"b\"} 1\n")

	g.Route("c").TunnelOpened("ws://2", "other")
	now.routes = map[string][]string{"c": {"ws://2"}}
	g.Rename(map[string]string{"c": "b"}) // whose last tunnel has not ended
	now.routes = map[string][]string{"b": {"ws://2"}}
	expect("two of that name", "tunnels{",
		"tunnels{backend=\"ws://1\",route=\"b\"} 1\ntunnels{backend=\"ws://2\",route=\"b\"} 1\n")

	held.TunnelClosed("ws://1", true, End{"proxy", "drain", CodeText(1012)})
	want := "tunnels_closed_total{backend=\"ws://1\",closed_by=\"client\",code=\"1000\",reason=\"closed\",route=\"b\"} 1\n" +
		"tunnels_closed_total{backend=\"ws://1\",closed_by=\"proxy\",code=\"1012\",reason=\"drain\",route=\"b\"} 1\n"
	expect("its last tunnel has ended", "tunnels_closed", want) // the scrape that ends it
	expect("and later", "tunnels_closed", "")
	expect("but not the other's", "tunnels{", "tunnels{backend=\"ws://2\",route=\"b\"} 1\n")
}

func TestBackendsLeave(t *testing.T) {
	g := NewRegistry()
	now := sites{routes: map[string][]string{"a": {"ws://1", "ws://2"}}}
	e := New(100, func(s *Scrape) { g.Collect(s, state(now)) })
	r := g.Route("a")
	r.TunnelOpened("ws://1", "websocket")
	r.TunnelLeft("ws://1")
	r.TunnelMoved("ws://2")
	both := "tunnels{backend=\"ws://1\",route=\"a\"} 0\ntunnels{backend=\"ws://2\",route=\"a\"} 1\n"
	if got := counted(t, e, "tunnels{"); got != both {
		t.Errorf("%q, want %q", got, both)
	}
	now.routes["a"] = []string{}
	scrape(t, e)
	if got, want := counted(t, e, "tunnels{"), "tunnels{backend=\"ws://2\",route=\"a\"} 1\n"; got != want {
		t.Errorf("%q, want %q: the one with a tunnel alone", got, want)
	}
	r.TunnelClosed("ws://9", false, End{"backend", "lost", CodeText(1006)})
	if got := counted(t, e, "tunnels{"); !strings.Contains(got, "ws://2") {
		t.Errorf("a tunnel that had no backend ends another's: %q", got)
	}
}

func TestTimesEnd(t *testing.T) {
	g := NewRegistry()
	now := sites{routes: map[string][]string{"a": nil}, listeners: []string{"web"}}
	e := New(100, func(s *Scrape) { g.Collect(s, state(now)) })
	g.Times("web", "").Tunnel(time.Second)
	g.Times("web", "a").Handshake(Failed, time.Now())
	g.Times("gone", "").Tunnel(time.Second)
	if got := counted(t, e, "tunnel_duration_seconds_count"); !strings.Contains(got, "gone") {
		t.Errorf("%q: what was counted last is lost", got)
	}
	if got := counted(t, e, "tunnel_duration_seconds_count"); strings.Contains(got, "gone") {
		t.Errorf("%q: the listener is gone", got)
	}
	if got, want := counted(t, e, "handshake_duration_seconds_count"), "handshake_duration_seconds_count{listener=\"web\",result=\"failed\",route=\"a\"} 1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	g.Rename(map[string]string{"a": "b"})
	now.routes = map[string][]string{"b": nil}
	if got := counted(t, e, "handshake_duration_seconds_count"); !strings.Contains(got, `route="b"`) {
		t.Errorf("%q after it was renamed", got)
	}
	now.routes = nil
	scrape(t, e)
	if got := counted(t, e, "handshake_duration_seconds_count"); got != "" {
		t.Errorf("%q after the route has gone", got)
	}
}

func TestTexts(t *testing.T) {
	for code, want := range map[uint16]string{
		0: "none", 1000: "1000", 1004: "other", 1005: "1005", 1015: "1015", 1016: "other",
		2999: "other", 3000: "3xxx", 3999: "3xxx", 4000: "4xxx", 4999: "4xxx", 5000: "other", 999: "other",
	} {
		if got := CodeText(code); got != want {
			t.Errorf("code %d is %q, want %q", code, got, want)
		}
	}
	for status, want := range map[int]string{0: "none", 200: "200", 299: "2xx", 499: "499", 498: "4xx", 799: "7xx"} {
		if got := statusText(status); got != want {
			t.Errorf("status %d is %q, want %q", status, got, want)
		}
	}
	if got := methodText("BREW"); got != "other" {
		t.Errorf("the method is %q", got)
	}
}

// TestOtherRequests: statuses that have one text are one series.
func TestOtherRequests(t *testing.T) {
	g := NewRegistry()
	e := New(100, func(s *Scrape) { g.Collect(s, state(sites{})) })
	g.Route("").Answered("GET", 298)
	g.Route("").Answered("GET", 299)
	if got, want := counted(t, e, "http_requests_total"), "http_requests_total{code=\"2xx\",method=\"GET\",route=\"\"} 2\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
