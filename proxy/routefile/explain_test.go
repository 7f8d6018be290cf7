package routefile

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const explained = `version: 1
pools:
  chat:
    backends:
      a: {url: "ws://10.0.0.1:9000"}
      b: {url: "ws://10.0.0.2:9000", drain: true}
routes:
  rooms: {match: {path: "/rooms/{room}/ws", subprotocol: chat.v2}, to: "pool://chat/r/{room}?from=proxy"}
  plain: {match: {path_prefix: /ws2/}, to: "ws://echo.example.com/", http_fallback: false}
  old:   {match: {path_prefix: /old}, redirect: {to: "https://new.example.com/was"}}
  gone:  {match: {path: /gone}, respond: {status: 410}}
  sock:  {match: {path: /sock}, to: "unix+ws:///run/app.sock:/in", on_backend_loss: redial}
  echo:  {match: {path: /echo}, to: "internal://echo"}
  site:  {match: {path_prefix: /}, to: "http://site.example.com"}
`

func TestExplain(t *testing.T) {
	f, errs := Parse("routes.yaml", []byte(explained))
	if errs = Merge(errs, Check(f)); len(errs) > 0 {
		t.Fatal(errs)
	}
	set := NewSet(f)
	websocket := with(upgradeHeader("websocket"), "Sec-Websocket-Protocol", "chat.v2")
	tests := []struct {
		url                     string
		header                  http.Header
		route, pattern, outcome string
	}{
		{"ws://h/rooms/7/ws?a=b", websocket, "rooms", "path /rooms/{room}/ws",
			"opens a tunnel (websocket) to pool chat (ws://10.0.0.1:9000 or ws://10.0.0.2:9000, draining), /r/7?from=proxy&a=b"},
		{"http://h/rooms/7/ws", nil, "site", "path_prefix /", "is forwarded as HTTP to http://site.example.com/rooms/7/ws"},
		{"http://h/ws2/x", nil, "plain", "path_prefix /ws2/", "answers 426 Upgrade Required; a tunnel would go to ws://echo.example.com/x"},
		{"http://h/old/x?y", nil, "old", "path_prefix /old", "redirects (302) to https://new.example.com/was/x?y"},
		{"http://h/gone", nil, "gone", "path /gone", "responds with 410"},
		{"ws://h/sock", websocket, "sock", "path /sock", "opens a tunnel (websocket, redialled) to unix+ws:///run/app.sock:/in"},
		{"http://h/echo", nil, "echo", "path /echo", "is forwarded as HTTP to internal://echo"},
		{"http://h/echo", with(websocket, "Origin", "https://evil.example"), "echo", "path /echo",
			`answers 403 Forbidden: origin "https://evil.example" is not allowed: to let it in, write origins: [https://evil.example]; a tunnel would go to internal://echo`},
		{"http://h/echo", with(websocket, "Origin", "https://h"), "echo", "path /echo", "opens a tunnel (websocket) to internal://echo"},
		{"http://h/echo", with(websocket, "Sec-Websocket-Key", "short"), "echo", "path /echo",
			"answers 400 Bad Request: Sec-WebSocket-Key must be 16 bytes in base64; a tunnel would go to internal://echo"},
		{"http://h/echo", with(websocket, "Sec-Websocket-Version", "8"), "echo", "path /echo",
			"answers 426 Upgrade Required: Sec-WebSocket-Version must be 13; a tunnel would go to internal://echo"},
		{"http://h", nil, "site", "path_prefix /", "is forwarded as HTTP to http://site.example.com/"},
	}
	for _, tt := range tests {
		e, err := Explain(set, Question{Method: "GET", URL: mustURL(t, tt.url), Header: tt.header})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if e.Route != tt.route || e.Pattern != tt.pattern || e.Outcome != tt.outcome {
			t.Errorf("%s: route %q by %q %s, want %q by %q %s", tt.url, e.Route, e.Pattern, e.Outcome, tt.route, tt.pattern, tt.outcome)
		}
	}
}

// with is a copy of h that says name: value.
func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	h.Set(name, value)
	return h
}

func TestExplainSaysWhoCameClose(t *testing.T) {
	f, errs := Parse("routes.yaml", []byte(explained))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, "http://h/rooms/7/ws")})
	if err != nil {
		t.Fatal(err)
	}
	var near []string
	for _, v := range e.Verdicts {
		if v.Close {
			near = append(near, v.Route+": "+v.Reason)
		}
	}
	if len(near) != 1 || !strings.HasPrefix(near[0], "rooms: subprotocol") {
		t.Errorf("came close: %q, want rooms for its subprotocol", near)
	}
}

func TestExplainSaysWhyTheWinnerWins(t *testing.T) {
	f, errs := Parse("routes.yaml", []byte(explained))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, "http://h/ws2/x")})
	if err != nil {
		t.Fatal(err)
	}
	want := Verdict{Route: "site", Pos: Pos{File: "routes.yaml", Line: 14, Col: 3}, Matches: true, Close: true, Reason: `also matches, but "plain" takes precedence: its path_prefix is longer`}
	if i := slices.IndexFunc(e.Verdicts, func(v Verdict) bool { return v.Route == "site" }); i < 0 || e.Verdicts[i] != want {
		t.Errorf("%+v, want %+v among them", e.Verdicts, want)
	}
}

func TestExplainPaths(t *testing.T) {
	f, errs := Parse("routes.yaml", []byte(`version: 1
routes:
  refuses: {match: {path_prefix: /}, to: "http://a.example"}
  encoded: {match: {path: "/q/{name}"}, to: "http://a.example/x/{name}", encoded_slash: keep}
  slashes: {match: {path_prefix: /p}, to: "http://a.example/x", merge_slashes: false}
`))
	if errs = Merge(errs, Check(f)); len(errs) > 0 {
		t.Fatal(errs)
	}
	for url, want := range map[string]string{
		"http://h/a%2fb":       `refuses: answers 400 Bad Request: path "/a%2fb": an encoded slash, which this route does not take`,
		"http://h/q/a%2fb?":    "encoded: is forwarded as HTTP to http://a.example/x/a%2Fb?",
		"http://h/p/ws://b/?a": "slashes: is forwarded as HTTP to http://a.example/x/ws://b/?a",
		"http://h//p/b":        `slashes: answers 400 Bad Request: path "//p/b": double slashes in the part that the route matches`,
		"http://h/p//../b":     "refuses: is forwarded as HTTP to http://a.example/b",
		"http://h/p/x//..":     `slashes: answers 400 Bad Request: path "/p/x//..": double slashes and a dot segment: want one of them at most`,
	} {
		e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, url)})
		if err != nil || e.Route+": "+e.Outcome != want {
			t.Errorf("%s: %+v, %v; want %s", url, e, err, want)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	e, err := Explain(NewSet(), Question{Method: "GET", URL: mustURL(t, "http://h/a%5Cb")})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Refused, "400 Bad Request: ") || e.Route != "" {
		t.Errorf("refused %q by route %q, want a 400 before any route", e.Refused, e.Route)
	}
}

func TestNewQuestion(t *testing.T) {
	tests := []struct{ url, upgrade, want string }{
		{"https://h/", "", ""},
		{"wss://h/", "", "websocket"},
		{"ws://h/", "mqtt", "mqtt"},
		{"http://h/", "WebSocket", "WebSocket"},
	}
	for _, tt := range tests {
		q, err := NewQuestion(tt.url, tt.upgrade)
		if err != nil || q.Header.Get("Upgrade") != tt.want || (q.Header.Get("Connection") == "") != (tt.want == "") {
			t.Errorf("NewQuestion(%q, %q) asks for %q (%v), want %q", tt.url, tt.upgrade, q.Header, err, tt.want)
		}
	}
	for _, bad := range []string{"ftp://h/", "h/ws", "http://h/%zz"} {
		if _, err := NewQuestion(bad, ""); err == nil {
			t.Errorf("NewQuestion(%q) takes it, want an error", bad)
		}
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestExplainListener holds which listener a URL's port says.
func TestExplainListener(t *testing.T) {
	f := mustParse(t, "r.yaml", `version: 1
listeners:
  plain: {address: ":http"}
  secure: {address: ":8443", tls: {certificates: {certificate: a, key: b}}}
  local: {address: "127.0.0.1:9000"}
  other: {address: "10.0.0.1:9000"}
  socket: {address: "unix:/run/tf.sock"}
routes:
  plain: {match: {path: /, listener: plain}, respond: {}}
  secure: {match: {path: /, listener: secure}, respond: {}}
  local: {match: {path: /, listener: local}, respond: {}}
`)
	for url, want := range map[string]string{
		"http://h/": "plain", "ws://h/": "plain", "http://h:80/": "plain", "https://h:8443/": "secure",
		"http://127.0.0.1:9000/": "local", "http://localhost:9000/": "local",
		"http://h:9000/": "", "https://h/": "", "http://h:1234/": "",
	} {
		e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, url)})
		if err != nil || e.Listener != want || e.Route != want {
			t.Errorf("%s: listener %q, route %q (%v), want %q", url, e.Listener, e.Route, err, want)
		}
	}
	e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, "http://h/"), Listener: "secure"})
	if err != nil || e.Route != "secure" {
		t.Errorf("route %q (%v), want that of the listener that was said", e.Route, err)
	}
}

// TestExplainExceptions holds that a route which only an unknown keeps from the request is
// named, with what it depends on.
func TestExplainExceptions(t *testing.T) {
	f := mustParse(t, "r.yaml", `version: 1
listeners: {a: {address: ":1"}, b: {address: ":2"}}
routes:
  all: {match: {path_prefix: /}, respond: {}}
  local: {match: {path: /x, client: [127.0.0.1, "::1"]}, respond: {status: 201}}
  by-b: {match: {path: /x, listener: b, priority: 1}, respond: {status: 202}}
  inner: {match: {path: /x, listener: b, client: 10.0.0.0/8, priority: 2}, respond: {status: 203}}
  behind: {match: {path_prefix: /, client: 10.0.0.0/8, priority: -1}, respond: {status: 204}}
  many: {match: {path: /many, client: [10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8, 15.0.0.0/8, 16.0.0.0/8]}, respond: {status: 205}}
`)
	client := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		url    string
		client netip.Addr
		want   string
	}{
		{"http://h:1/x", netip.Addr{}, "all; local if it comes from 127.0.0.1 or ::1: responds with 201 (r.yaml:5)"},
		{"http://h:1/x", client, "all"},
		{"http://h:2/x", netip.Addr{}, "by-b; inner if it comes from 10.0.0.0/8: responds with 203 (r.yaml:7)"},
		{"http://h/x", client, "all; by-b if it comes by listener b: responds with 202 (r.yaml:6)"},
		{"http://h/x", netip.Addr{}, "all; inner if it comes from 10.0.0.0/8 by listener b: responds with 203 (r.yaml:7); by-b if it comes by listener b: responds with 202 (r.yaml:6); local if it comes from 127.0.0.1 or ::1: responds with 201 (r.yaml:5)"},
		{"http://h:1/many", netip.Addr{}, "all; many if it comes from 10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8 or 2 more networks: responds with 205 (r.yaml:9)"},
	} {
		e, err := Explain(NewSet(f), Question{Method: "GET", URL: mustURL(t, tt.url), Client: tt.client})
		if err != nil {
			t.Fatal(err)
		}
		got := e.Route
		for _, x := range e.Exceptions {
			got += fmt.Sprintf("; %s if %s: %s (%s:%d)", x.Route, x.Unless, x.Outcome, x.Pos.File, x.Pos.Line)
		}
		if got != tt.want {
			t.Errorf("%s from %v:\n got %s\nwant %s", tt.url, tt.client, got, tt.want)
		}
	}
}
