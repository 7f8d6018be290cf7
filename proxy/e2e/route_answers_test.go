package e2e

// Answers without a backend: respond, redirect, internal targets, and the lack of a
// route.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func ownAnswers(t *testing.T) *proxy {
	t.Helper()
	return start(t, web+`
routes:
  gone:    {match: {path: /gone}, respond: {status: 410, body: "moved away\n", headers: {X-Why: tidy}}}
  plain:   {match: {path: /plain}, respond: {body: fine}}
  old:     {match: {path: /old}, redirect: {to: "https://www.example.com/new", status: 301}}
  user:    {match: {path: "/u/{name}"}, redirect: {to: "/users/{name}"}}
  letters: {match: {path_regex: "^/l/([a-z]+)$"}, redirect: {to: "/letters?first=$1", status: 308}}
  echo:    {match: {path: /echo}, to: "internal://echo"}
  status:  {match: {path: /status}, to: "internal://status"}
`)
}

func TestRespond(t *testing.T) {
	t.Parallel()
	p := ownAnswers(t)
	got := get(t, p.http("/gone"))
	if got.status != 410 || got.body != "moved away\n" || got.header.Get("X-Why") != "tidy" {
		t.Errorf("/gone: %d %q, X-Why %q", got.status, got.body, got.header.Get("X-Why"))
	}
	if got := get(t, p.http("/plain")); got.status != 200 || got.body != "fine" {
		t.Errorf("/plain: %d %q, wanted 200 and the body", got.status, got.body)
	}
	p.waitLog("request", fields{"route": "gone", "status": 410, "method": "GET", "path": "/gone"})
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	p := ownAnswers(t)
	for _, tt := range []struct {
		path, location string
		status         int
	}{
		{"/old", "https://www.example.com/new", 301},
		{"/u/ann", "/users/ann", 302},
		{"/u/a%20b", "/users/a%20b", 302},
		{"/l/abc", "/letters?first=abc", 308},
	} {
		got := get(t, p.http(tt.path))
		if got.status != tt.status || got.header.Get("Location") != tt.location {
			t.Errorf("%s: %d to %q, wanted %d to %q", tt.path, got.status, got.header.Get("Location"), tt.status, tt.location)
		}
	}
}

// TestInternalEcho: both kinds of echo, without any backend.
func TestInternalEcho(t *testing.T) {
	t.Parallel()
	p := ownAnswers(t)
	conn := dial(t, p.ws("/echo"))
	echo(t, conn, "hello")
	echo(t, conn, strings.Repeat("a longer message ", 10_000))
	conn.Close()
	p.waitLog("tunnel closed", fields{"route": "echo", "closed_by": "client", "messages_from_client": 2, "messages_from_backend": 2})

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.http("/echo"), strings.NewReader("over HTTP"))
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, r); got.status != 200 || !strings.Contains(got.body, "over HTTP") {
		t.Errorf("POST /echo: %d %q, wanted the body back", got.status, got.body)
	}
}

func TestInternalStatus(t *testing.T) {
	t.Parallel()
	p := ownAnswers(t)
	if got := get(t, p.http("/status")); got.status != 200 || got.body == "" {
		t.Errorf("/status: %d %q, wanted 200 and something to read", got.status, got.body)
	}
}

// TestNoRoute: 404, with the request's id, as one line of text or as JSON.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	p := ownAnswers(t)
	got := get(t, p.http("/nowhere"))
	id := p.waitLog("request", fields{"path": "/nowhere", "status": 404}).text("id")
	if got.status != 404 || id == "" || !strings.Contains(got.body, id) || strings.Count(got.body, "\n") > 1 {
		t.Errorf("%d %q, wanted 404 and one line with the id %q", got.status, got.body, id)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.http("/nowhere"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	if got := do(t, r); got.status != 404 || !strings.HasPrefix(got.body, "{") {
		t.Errorf("asked for JSON: %d %q", got.status, got.body)
	}
	if got := refused(t, p.ws("/nowhere"), nil).StatusCode; got != 404 {
		t.Errorf("a WebSocket to nowhere: %d, wanted 404", got)
	}
}

// TestRespondAndRedirect: all that the two may say.
func TestRespondAndRedirect(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  respond:  {match: {path: /respond}, respond: {status: 418, body: "{\"short\": true}\n", headers: {Content-Type: application/json, X-Kettle: "on"}}}
  number:   {match: {path: /number}, respond: {body: 7}}
  empty:    {match: {path: /empty}, respond: {status: 204}}
  page:     {match: {path: "/page/{n}"}, redirect: {to: "https://www.example.com/p/{n}?from={n}", status: 308}}
  default:  {match: {path: /default}, redirect: {to: /elsewhere}}
  moved:    {match: {path_prefix: /moved/}, redirect: {to: "/new/", status: 301}}
  secure:   {match: {path_prefix: /secure}, redirect: {scheme: https, status: 308}}
  port:     {match: {path_regex: "^/port/(.*)$"}, redirect: {scheme: https, port: 8443}}
`)
	got := get(t, p.http("/respond"))
	if got.status != 418 || got.body != "{\"short\": true}\n" || got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Kettle") != "on" {
		t.Errorf("/respond: %d %q %v", got.status, got.body, got.header)
	}
	if got := get(t, p.http("/number")); got.status != 200 || got.body != "7" {
		t.Errorf("/number: %d %q", got.status, got.body)
	}
	if got := get(t, p.http("/empty")); got.status != 204 || got.body != "" {
		t.Errorf("/empty: %d %q", got.status, got.body)
	}
	for path, want := range map[string]struct {
		status   int
		location string
	}{
		"/page/7":         {308, "https://www.example.com/p/7?from=7"},
		"/page/a%0d%0ab":  {400, ""}, // never a header of the client's making
		"/default?a=b":    {302, "/elsewhere?a=b"},
		"/moved/x/y":      {301, "/new/x/y"},
		"/secure/a?x=%2F": {308, "https://127.0.0.1/secure/a?x=%2F"},
		"/secure//a/../b": {308, "https://127.0.0.1/secure/b"},
		"/port/a":         {302, "https://127.0.0.1:8443/port/a"},
	} {
		got := get(t, p.http(path))
		if got.status != want.status || got.header.Get("Location") != want.location {
			t.Errorf("%s: %d to %q, wanted %d to %q", path, got.status, got.header.Get("Location"), want.status, want.location)
		}
	}
	for host, want := range map[string]string{
		"Shop.example.com:8080": "https://shop.example.com/secure",
		"[2001:DB8::1]:80":      "https://[2001:db8::1]/secure",
		"":                      "",
	} {
		if got := ask(t, connect(t, p), request("GET /secure HTTP/1.1", "Host: "+host)); got.header.Get("Location") != want {
			t.Errorf("Host %q: %d to %q, wanted %q", host, got.status, got.header.Get("Location"), want)
		}
	}
	// HEAD has the head alone, and the connection goes on.
	client := connect(t, p)
	head := ask(t, client, request("HEAD /respond HTTP/1.1", "Host: a"))
	if head.status != 418 || head.header.Get("Content-Length") != "16" {
		t.Errorf("HEAD: %d, Content-Length %q, wanted 418 and 16", head.status, head.header.Get("Content-Length"))
	}
	if got := ask(t, client, request("GET /number HTTP/1.1", "Host: a", "Connection: close")); got.body != "7" {
		t.Errorf("behind the HEAD: %d %q", got.status, got.body)
	}
	if rest := client.Rest(); rest != "" {
		t.Errorf("%q behind the answers", rest)
	}
}

// TestInternalTargets need no backend.
func TestInternalTargets(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  echo:   {match: {path_prefix: /echo}, to: "internal://echo"}
  status: {match: {path: /status}, to: "internal://status"}
`)
	conn, answer := dialWith(t, p.ws("/echo/any/where"), websocket.Dialer{Subprotocols: []string{"chat.v9"}}, nil)
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "" && got != "chat.v9" {
		t.Errorf("the echo speaks %q, wanted what was offered or nothing", got)
	}
	echo(t, conn, "no backend anywhere")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.http("/echo"), strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, r); got.status != 200 || !strings.Contains(got.body, "body") {
		t.Errorf("PUT /echo: %d %q", got.status, got.body)
	}
	status := get(t, p.http("/status"))
	if status.header.Get("Content-Type") != "application/json" || !strings.Contains(status.body, `"routes": 2`) {
		t.Errorf("/status: %d %q", status.status, status.body)
	}
	// There is no tunnel to a status, and saying so is no crash.
	if got := refused(t, p.ws("/status"), nil).StatusCode; got < 400 || got > 499 {
		t.Errorf("a WebSocket to /status: %d, wanted a refusal", got)
	}
}
