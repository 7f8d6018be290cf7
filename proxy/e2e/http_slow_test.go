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
// nobody else, and its end is noticed.
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
