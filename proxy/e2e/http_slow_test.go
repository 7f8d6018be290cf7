package e2e

// Clients that are slow on purpose: cut at the limit with a 408, while others
// are served.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestSlowHeads(t *testing.T) {
	t.Parallel()
	b := newWire(t, nil)
	p := start(t, `version: 1
listeners:
  web: {address: "127.0.0.1:0", limits: {header_timeout: 300ms}}
routes: {all: {match: {path_prefix: /}, to: "http://`+b.Addr+`"}}
`)
	const n = 50
	var slow []*proxytest.Raw
	for i := range n {
		client := connect(t, p)
		client.Send([]string{"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-Sl", "GET /slow HTTP/1.1\r\nHost: a\r\n"}[i%4])
		slow = append(slow, client)
	}
	silent := connect(t, p) // never says anything: ended without a word
	second := connect(t, p) // slow in its second request
	if got := ask(t, second, request("GET /ok HTTP/1.1", "Host: a")); got.body != "ok" {
		t.Errorf("a first request: %d %q", got.status, got.body)
	}
	second.Send("GET /slow HTTP/1.1\r\n")

	for range 20 { // others, meanwhile
		if got := ask(t, connect(t, p), request("GET /ok HTTP/1.1", "Host: a")); got.body != "ok" {
			t.Errorf("another client: %d %q", got.status, got.body)
		}
	}
	for _, client := range append(slow, second) {
		if got := client.Rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Errorf("%q, wanted a 408 and the end", got)
		}
	}
	if got := silent.Rest(); got != "" {
		t.Errorf("%q to a client that said nothing", got)
	}
	if _, err := p.log.wait(0, n+1, "request refused", fields{"status": 408}); err != nil {
		t.Error(err)
	}
	for _, head := range b.asked() {
		if pathOf(head) != "/ok" {
			t.Errorf("the backend was asked %q", head)
		}
	}
}

// TestDrippedHead: byte by byte and in time is as good as at once, for plain
// requests and handshakes.
func TestDrippedHead(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/ws": repeat(switching())})
	p := site(t, b.Addr)
	for _, text := range []string{
		request("GET /ok HTTP/1.1", "Host: a"),
		"POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		proxytest.Handshake{Target: "/ws", Body: "\x81\x82\x00\x00\x00\x00me"}.String(),
	} {
		client := connect(t, p)
		for _, c := range []byte(text) {
			client.Send(string([]byte{c}))
		}
		answer, body := client.Response("GET")
		switch {
		case answer.StatusCode == 101:
			mustRead(t, client, "\x81\x82\x00\x00\x00\x00me")
		case body != "ok":
			t.Errorf("%q: %d %q", text, answer.StatusCode, body)
		}
	}
}

// TestStalledBody: a client that stops in the middle of its body holds up
// no other client, and its end is noticed.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	p := site(t, proxytest.Mirror(t).Addr)
	var stalled []*proxytest.Raw
	for i := range 20 {
		client := connect(t, p)
		client.Send(fmt.Sprintf("POST /stalled/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", i))
		stalled = append(stalled, client)
	}
	if got := mirrored(t, p, request("GET /ok HTTP/1.1", "Host: a")); got.Target != "/ok" {
		t.Errorf("another client: %v", got)
	}
	for i, client := range stalled {
		client.Close()
		p.waitLog("request", fields{"path": fmt.Sprintf("/stalled/%d", i), "status": 499})
	}
}

// TestBodyBehindItsAnswer: a client that is answered before its body has come may finish it
// and go on with the connection, and may not hold the connection by not finishing.
func TestBodyBehindItsAnswer(t *testing.T) {
	t.Parallel()
	early := newWire(t, map[string]script{"/early": say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")})
	p := start(t, web+fill(`
routes:
  early: {match: {path: /early}, to: "http://$early"}
  own:   {match: {path: /own}, respond: {body: "`+strings.Repeat("own ", 2000)+`"}}
`, map[string]string{"early": early.Addr}))
	const chunk, end = "4\r\nhalf\r\n", "4\r\nrest\r\n0\r\n\r\n"
	var stalled []*proxytest.Raw
	for path, status := range map[string]int{"/early": 200, "/own": 200, "/none": 404} {
		for _, finishes := range []bool{true, false} {
			client := connect(t, p)
			head := "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			if got := ask(t, client, head+chunk); got.status != status {
				t.Errorf("POST %s: %d, wanted %d", path, got.status, status)
			}
			if !finishes {
				stalled = append(stalled, client)
				continue
			}
			client.Send(end)
			if got := ask(t, client, request("GET /none HTTP/1.1", "Host: a")); got.status != 404 {
				t.Errorf("the next request behind POST %s: %d", path, got.status)
			}
		}
	}
	for _, client := range stalled {
		if rest := client.Rest(); rest != "" {
			t.Errorf("%q behind the answer, wanted the end", rest)
		}
	}
}
