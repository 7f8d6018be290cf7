package e2e

// What the proxy answers by itself: respond, redirect, internal targets, and
// the lack of a route.

import (
	"net/http"
	"strings"
	"testing"
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
	p := ownAnswers(t)
	if got := get(t, p.http("/status")); got.status != 200 || got.body == "" {
		t.Errorf("/status: %d %q, wanted 200 and something to read", got.status, got.body)
	}
}

// TestNoRoute: 404, with the request's id, as one line of text or as JSON.
func TestNoRoute(t *testing.T) {
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
