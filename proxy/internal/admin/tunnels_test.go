package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// countingTunnel has passed so many bytes.
type countingTunnel struct {
	bytes int64
	told  []uint16
}

func (c *countingTunnel) Close(code uint16, _ string, _ tunnel.Reason) { c.told = append(c.told, code) }
func (c *countingTunnel) Cut(tunnel.Reason)                            {}
func (c *countingTunnel) Counts() tunnel.Counts {
	return tunnel.Counts{FromClient: tunnel.Direction{Bytes: c.bytes}}
}

// openTunnels opens n tunnels, to two routes in turn, of which each has more bytes than
// the one before by modulus 7.
func openTunnels(n int) (*drain.Group, []*countingTunnel) {
	g := drain.NewGroup()
	var all []*countingTunnel
	for i := range n {
		e := g.Reserve(drain.Facts{
			ID: fmt.Sprint("id-", i), Route: []string{"chat", "news"}[i%2], Path: "/<script>\x1b[2J\u202e",
			Client:  netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
			Backend: upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "a:9000"},
			Policy:  drain.Policy{Code: 1012},
		})
		c := &countingTunnel{bytes: int64(i % 7)}
		e.Opened(c)
		all = append(all, c)
	}
	return g, all
}

// pages reads all pages of a list.
func pages(t *testing.T, h http.Handler, query url.Values) (all []statusapi.Tunnel, count int) {
	t.Helper()
	for {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest(t, loopback, "GET", "/v1/tunnels?"+query.Encode(), "", nil))
		var list statusapi.TunnelList
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 {
			t.Fatalf("%v: %d %s", query, w.Code, w.Body)
		}
		all, count = append(all, list.Tunnels...), count+1
		if list.Next == "" {
			return all, count
		}
		query.Set("cursor", list.Next)
	}
}

// TestPages: whatever the order, the pages together have every tunnel once.
func TestPages(t *testing.T) {
	const n = 1234
	g, _ := openTunnels(n)
	h := Handler(withDefaults(Options{Tunnels: g}))
	for _, sort := range []string{"", "age", "-age", "bytes", "-bytes", "idle", "-messages", "rtt", "route", "-backend", "client", "path"} {
		query := url.Values{"limit": {"100"}}
		if sort != "" {
			query.Set("sort", sort)
		}
		all, count := pages(t, h, query)
		ids := map[string]bool{}
		for _, u := range all {
			ids[u.ID] = true
		}
		if len(all) != n || len(ids) != n || count != 13 {
			t.Errorf("sort %q: %d rows with %d ids in %d pages", sort, len(all), len(ids), count)
		}
		sorted := slices.IsSortedFunc(all, func(a, b statusapi.Tunnel) int {
			switch sort {
			case "bytes":
				return int(a.BytesFromClient - b.BytesFromClient)
			case "-bytes":
				return int(b.BytesFromClient - a.BytesFromClient)
			case "route":
				return strings.Compare(a.Route, b.Route)
			}
			return 0
		})
		first := map[string]string{"": "id-0", "age": "id-1233", "-age": "id-0"}[sort]
		if !sorted || first != "" && all[0].ID != first {
			t.Errorf("sort %q: begins with %s", sort, all[0].ID)
		}
	}
}

func TestFilters(t *testing.T) {
	g, _ := openTunnels(10)
	h := Handler(withDefaults(Options{Tunnels: g}))
	for query, want := range map[string]int{
		"route=chat": 5, "route=chat&client=10.0.0.2": 1, "client=10.0.0.0/31": 2, "pool=p": 10, "pool=q": 0,
		"backend=ws://a:9000": 10, "backend=a:9000": 10, "backend=a": 0, "user=ann": 0, "draining=true": 0,
		"draining=false": 10, "min_age=1h": 0, "limit=3": 3,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest(t, loopback, "GET", "/v1/tunnels?"+query, "", nil))
		var list statusapi.TunnelList
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Tunnels) != want {
			t.Errorf("%s: %d tunnels, want %d: %v", query, len(list.Tunnels), want, err)
		}
	}
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=x", "sort=color", "cursor=%21", "cursor=e30&sort=age", "client=a.test",
		"draining=perhaps", "min_age=old", "rout=chat", "route=a&route=b",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest(t, loopback, "GET", "/v1/tunnels?"+query, "", nil))
		if w.Code != 400 {
			t.Errorf("%s: %d, want 400", query, w.Code)
		}
	}
}

// TestNDJSON: all tunnels, one a line, whatever their texts are.
func TestNDJSON(t *testing.T) {
	const n = 3000
	g, _ := openTunnels(n)
	w := askWith(t, Options{Tunnels: g}, loopback, "GET", "/v1/tunnels", "", func(r *http.Request) { r.Header.Set("Accept", "application/x-ndjson") })
	lines := 0
	for scanner := bufio.NewScanner(w.Body); scanner.Scan(); lines++ {
		var u statusapi.Tunnel
		if err := json.Unmarshal(scanner.Bytes(), &u); err != nil || u.ID != fmt.Sprint("id-", lines) || u.Path != "/<script>\x1b[2J\u202e" {
			t.Fatalf("line %d: %v %q", lines, err, scanner.Text())
		}
		if strings.ContainsAny(scanner.Text(), "<\x1b") {
			t.Fatalf("line %d has unescaped text: %q", lines, scanner.Text())
		}
	}
	if lines != n {
		t.Errorf("%d lines, want %d", lines, n)
	}
}

// TestListsAreBounded: no more are made at a time than may be.
func TestListsAreBounded(t *testing.T) {
	g, _ := openTunnels(1)
	a := newAPI(withDefaults(Options{Tunnels: g}))
	for range maxLists {
		a.lists <- struct{}{}
	}
	w := httptest.NewRecorder()
	a.listTunnels(w, newRequest(t, loopback, "GET", "/v1/tunnels", "", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d, want 503 with Retry-After", w.Code)
	}
}

func TestCloseTunnel(t *testing.T) {
	g, all := openTunnels(3)
	twice := g.Reserve(drain.Facts{ID: "id-2"})
	twice.Opened(&countingTunnel{})
	o := Options{Tunnels: g}
	for _, tt := range []struct {
		target string
		want   int
	}{
		{"/v1/tunnels/id-9", 404},
		{"/v1/tunnels/id-2", 409},
		{"/v1/tunnels/id-1?code=1006", 400},
		{"/v1/tunnels/id-1?code=99999", 400},
		{"/v1/tunnels/id-1?reason=" + strings.Repeat("x", 124), 400},
		{"/v1/tunnels/id-1?reason=%ff", 400},
		{"/v1/tunnels/id-1?code=4001&reason=bye", 200},
		{"/v1/tunnels/id-0", 200},
	} {
		if w := askWith(t, o, socket, "DELETE", tt.target, "", nil); w.Code != tt.want {
			t.Errorf("DELETE %s: %d %s, want %d", tt.target, w.Code, w.Body, tt.want)
		}
	}
	if !slices.Equal(all[1].told, []uint16{4001}) || !slices.Equal(all[0].told, []uint16{1012}) || all[2].told != nil {
		t.Errorf("told %v, %v and %v", all[0].told, all[1].told, all[2].told)
	}
	if w := askWith(t, o, loopback, "GET", "/v1/tunnels/id-0", "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"state": "ending"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDrainRequests(t *testing.T) {
	g, _ := openTunnels(10)
	o := Options{Tunnels: g}
	for body, want := range map[string]int{
		`{}`:                          400,
		`{"all":true,"route":"chat"}`: 400,
		`{"backend":"ws://a:9000"}`:   400,
		`{"route":"chat","window":1}`: 400,
		`{"all":true,"window":"25h"}`: 400,
		`{"all":true,"window":"-1s"}`: 400,
		`{"all":true,"code":1005}`:    400,
		`{"rout":"chat"}`:             400,
		`{"all":true}{"all":true}`:    400,
		`{"client":"nobody"}`:         400,
		`{"user":"ann"}`:              200,
		`{"route":"x"}`:               200,
		`{"all":true,"dry_run":true}`: 200,
		strings.Repeat(" ", 65<<10):   413,
	} {
		if w := askWith(t, o, socket, "POST", "/v1/drain", body, nil); w.Code != want {
			t.Errorf("%.40s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	if _, draining := g.Len(); draining != 0 {
		t.Errorf("%d are draining, want none", draining)
	}
	w := askWith(t, o, socket, "POST", "/v1/drain", `{"route":"chat","window":"1h","code":1001,"reason":"bye"}`, nil)
	var d statusapi.Drain
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || d.Tunnels != 5 || d.Waiting != 5 || d.ID == "" || d.Request.Window != "1h" {
		t.Fatalf("%s", w.Body)
	}
	if w := askWith(t, o, loopback, "GET", "/v1/drains", "", nil); !strings.Contains(w.Body.String(), d.ID) {
		t.Errorf("the list: %s", w.Body)
	}
	if w := askWith(t, o, socket, "DELETE", "/v1/drains/"+d.ID, "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"spared": 5`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := askWith(t, o, socket, "DELETE", "/v1/drains/nosuch", "", nil); w.Code != 404 {
		t.Errorf("%d, want 404", w.Code)
	}
}
