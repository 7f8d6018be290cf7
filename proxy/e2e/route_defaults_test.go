package e2e

// How a route's settings come to be: its own, over its file's defaults, over the
// built-in ones, field by field.

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
)

// TestDefaults: a route that says one field of a setting keeps the other fields
// of the file's defaults, and one that says nothing keeps them all.
func TestDefaults(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	p := start(t, web+fill(`
defaults:
  http_fallback: false
  preserve_host: true
  forwarded: rfc7239
  origins: [https://app.example.com]
  limits: {message_size: 100, body_bytes: 5}
  headers: {response: {set: {X-From: defaults}}, request: {set: {X-Env: test}}}
routes:
  plain:  {match: {path: /plain}, to: "$b"}
  fields: {match: {path: /fields}, to: "$b", limits: {message_size: 200}, headers: {response: {set: {X-From: route}}}}
  whole:  {match: {path: /whole}, to: "$b", http_fallback: true, forwarded: x, preserve_host: false, origins: any, limits: {body_bytes: off}}
  empty:  {match: {path: /empty}, to: "$b", headers: {response: {set: {}}}}
`, map[string]string{"b": b.url("ws")}))

	for path, want := range map[string]struct {
		fallback  int // of a GET
		message   int // the largest
		from, env string
		forwarded string // which header tells of the client
		ownHost   bool   // the backend is asked for its own name
		anyOrigin bool
	}{
		"/plain":  {426, 100, "defaults", "test", "Forwarded", false, false},
		"/fields": {426, 200, "route", "test", "Forwarded", false, false},
		"/whole":  {200, 100, "defaults", "test", "X-Forwarded-For", true, true},
		"/empty":  {426, 100, "", "test", "Forwarded", false, false},
	} {
		t.Run(path[1:], func(t *testing.T) {
			if got := get(t, p.http(path)).status; got != want.fallback {
				t.Errorf("GET: %d, wanted %d", got, want.fallback)
			}
			conn, answer := dialWith(t, p.ws(path), websocket.Dialer{}, nil)
			if got := answer.Header.Get("X-From"); got != want.from {
				t.Errorf("X-From %q, wanted %q", got, want.from)
			}
			asked := b.last(t)
			if asked.Header.Get("X-Env") != want.env || asked.Header.Get(want.forwarded) == "" {
				t.Errorf("the backend got %v, wanted X-Env %q and a %s", asked.Header, want.env, want.forwarded)
			}
			if own := asked.Host == b.authority(); own != want.ownHost {
				t.Errorf("the backend was asked for host %q", asked.Host)
			}
			echo(t, conn, string(make([]byte, want.message)))
			if err := conn.WriteMessage(websocket.TextMessage, make([]byte, want.message+1)); err != nil {
				t.Fatal(err)
			}
			if code, _ := closeCode(t, conn); code != websocket.CloseMessageTooBig {
				t.Errorf("a message of %d bytes: closed with %d, wanted 1009", want.message+1, code)
			}
			elsewhere := http.Header{"Origin": {"https://elsewhere.example"}}
			if want.anyOrigin {
				dialWith(t, p.ws(path), websocket.Dialer{}, elsewhere)
			} else if got := refused(t, p.ws(path), elsewhere).StatusCode; got != 403 {
				t.Errorf("an Origin from elsewhere: %d, wanted 403", got)
			}
		})
	}
}

// TestDefaultsAreTheirFiles: in a set of files the defaults of one say nothing
// to the routes of another.
func TestDefaultsAreTheirFiles(t *testing.T) {
	t.Parallel()
	p := startFiles(t, map[string]string{
		"base.yaml":       web + "routes: {}\n",
		"routes.d/a.yaml": "version: 1\ndefaults: {headers: {response: {set: {X-File: a}}}}\nroutes: {a: {match: {path: /a}, respond: {}}}\n",
		"routes.d/b.yaml": "version: 1\nroutes: {b: {match: {path: /b}, respond: {}}}\n",
	}, "base.yaml", "routes.d")
	for path, want := range map[string]string{"/a": "a", "/b": ""} {
		if got := get(t, p.http(path)); got.status != 200 || got.header.Get("X-File") != want {
			t.Errorf("%s: %d, X-File %q, wanted %q", path, got.status, got.header.Get("X-File"), want)
		}
	}
}
