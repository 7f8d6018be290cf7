package admin

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

func (p *fakeProxy) Routes(after string, limit int) statusapi.RouteList {
	return statusapi.RouteList{Routes: []statusapi.Route{{Name: after}}, Generation: uint64(limit)}
}
func (p *fakeProxy) Pools() statusapi.PoolList  { return statusapi.PoolList{} }
func (p *fakeProxy) History() statusapi.History { return statusapi.History{} }
func (p *fakeProxy) SetBackend(_, name, _ string, _ time.Duration, _ bool) (statusapi.Backend, error) {
	switch name {
	case "last":
		return statusapi.Backend{}, errLast
	case "a":
		return statusapi.Backend{Name: name}, nil
	}
	return statusapi.Backend{}, errors.New("no such backend")
}
func (p *fakeProxy) IsLastBackend(err error) bool { return err == errLast }

var errLast = errors.New("the last one")

// TestSetBackend: what is asked for is checked, and answered with what is wrong.
func TestSetBackend(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"a", `{"state":"drain"}`, 200},
		{"a", `{"state":"none"}`, 200},
		{"a", `{"state":"force_down","for":"24h","force":true}`, 200},
		{"a", `{"state":"gone"}`, 400},
		{"a", `{"state":"drain","for":"25h"}`, 400},
		{"a", `{"state":"drain","for":"1ms"}`, 400},
		{"a", `{"stat":"drain"}`, 400},
		{"last", `{"state":"drain"}`, 409},
		{"x", `{"state":"drain"}`, 404},
	} {
		if w := askWith(t, Options{Proxy: &fakeProxy{}}, socket, "POST", "/v1/pools/p/backends/"+tt.name, tt.body, nil); w.Code != tt.want {
			t.Errorf("%s %s: %d %s, want %d", tt.name, tt.body, w.Code, w.Body, tt.want)
		}
	}
	if w := askWith(t, Options{Proxy: &fakeProxy{}}, loopback, "POST", "/v1/pools/p/backends/a", `{"state":"drain"}`, nil); w.Code != 403 {
		t.Errorf("without a token: %d, want 403", w.Code)
	}
}

func (p *fakeProxy) Figures() statusapi.Figures { return statusapi.Figures{Open: 7} }

// TestEvents: a stream has the figures at once and then what happens, each on one line.
func TestEvents(t *testing.T) {
	feed := &Feed{}
	server := httptest.NewServer(Handler(withDefaults(Options{Proxy: &fakeProxy{}, Tunnels: drain.NewGroup(), Feed: feed})))
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func(event, data string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+event {
				if lines.Scan(); !strings.Contains(lines.Text(), data) {
					t.Errorf("%s has %q, want %q", event, lines.Text(), data)
				}
				return
			}
		}
		t.Fatalf("the stream ends before %s: %v", event, lines.Err())
	}
	next("figures", `"open":7`)
	feed.Publish("backend", statusapi.BackendEvent{Error: "a\nb\u2028"})
	next("backend", `"error":"a\nb\u2028"`)
}

// TestSlowStreamsAreDropped: one that reads nothing does not hold up those that publish, nor
// other streams.
func TestSlowStreamsAreDropped(t *testing.T) {
	feed := &Feed{}
	slow, _ := feed.subscribe()
	quick, end := feed.subscribe()
	for range maxUnread + 1 {
		feed.Publish("x", 1)
		<-quick
	}
	read := 0
	for range slow {
		read++
	}
	if read != maxUnread {
		t.Errorf("%d events before the end, want %d", read, maxUnread)
	}
	end()
	if len(feed.streams) != 0 {
		t.Errorf("%d streams are left", len(feed.streams))
	}
}

// TestStreamsAreBounded: of 1,000 streams those beyond the limit are refused, and all others
// still get what they ask for.
func TestStreamsAreBounded(t *testing.T) {
	a := newAPI(withDefaults(Options{Proxy: &fakeProxy{}, Tunnels: drain.NewGroup(), Feed: &Feed{}}))
	refused := 0
	for range 1000 {
		if stream, _ := a.Feed.subscribe(); stream == nil {
			refused++
		}
	}
	w := httptest.NewRecorder()
	a.events(w, newRequest(t, loopback, "GET", "/v1/events", "", nil))
	if refused != 1000-maxStreams || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d refused, and then %d", refused, w.Code)
	}
}

// TestStreamEndsWithItsToken: a token that is taken away reads no more.
func TestStreamEndsWithItsToken(t *testing.T) {
	tokens := someTokens(t)
	o := withDefaults(Options{Proxy: &fakeProxy{}, Tunnels: drain.NewGroup(), Feed: &Feed{}, Tokens: func() *Tokens { return tokens }})
	a := newAPI(o)
	r := newRequest(t, remote, "GET", "/v1/events", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer reader-token") })
	tokens = &Tokens{}
	a.events(httptest.NewRecorder(), r) // returns at the first tick
}

func TestRoutesPage(t *testing.T) {
	o := Options{Proxy: &fakeProxy{}}
	for query, want := range map[string]string{"": `"generation": 1000`, "?limit=5&cursor=chat": `"name": "chat"`, "?limit=0": "want a number", "?limit=1001": "want a number"} {
		if w := askWith(t, o, loopback, "GET", "/v1/routes"+query, "", nil); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// TestDebug: profiles are served where they are asked for, and never the command line.
func TestDebug(t *testing.T) {
	for _, tt := range []struct {
		debug  bool
		target string
		want   int
	}{{false, "/debug/pprof/", 404}, {true, "/debug/pprof/", 200}, {true, "/debug/pprof/goroutine?debug=1", 200}, {true, "/debug/pprof/cmdline", 404}} {
		if w := askWith(t, Options{Debug: tt.debug}, loopback, "GET", tt.target, "", nil); w.Code != tt.want {
			t.Errorf("debug %v, %s: %d, want %d", tt.debug, tt.target, w.Code, tt.want)
		}
	}
}
