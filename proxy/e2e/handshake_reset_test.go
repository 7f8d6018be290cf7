package e2e

// Clients that reset their connection right behind their first request: the kernel
// forgets their address at once, the proxy must not.

import (
	"net"
	"strconv"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestResetClientsAreKnown: routes for some clients only hold for clients that do not
// wait for the answer, whichever way their request takes.
func TestResetClientsAreKnown(t *testing.T) {
	t.Parallel()
	const tries = 40
	p := start(t, web+fill(`
pools:
  direct:  {backends: {b: {url: "ws://$closed"}}, health: {passive: {fails: 1000}}}
  waiting: {backends: {b: {url: "ws://$closed"}}, health: {passive: {fails: 1000}}, queue: {length: 100, wait: 20s}}
routes:
  ours:   {match: {path_prefix: /, client: [127.0.0.0/8]}, to: "pool://direct"}
  waits:  {match: {path_prefix: /waits, client: [127.0.0.0/8]}, to: "pool://waiting"}
  theirs: {match: {path_prefix: /}, respond: {body: in}}
`, map[string]string{"closed": proxytest.Refused(t)}))
	texts := map[string]func(target string) string{
		"direct": func(target string) string { return proxytest.Handshake{Target: target}.String() },
		"waits":  func(target string) string { return proxytest.Handshake{Target: target}.String() },
		"plain":  func(target string) string { return request("GET "+target+" HTTP/1.1", "Host: a") },
	}
	for kind, text := range texts {
		t.Run(kind, func(t *testing.T) {
			for i := range tries {
				path := "/" + kind + "/" + strconv.Itoa(i)
				resetBehind(t, p, text(path))
				got := p.waitLog("request", fields{"path": path})
				if got.text("client") != "127.0.0.1" || got.text("route") == "theirs" {
					t.Fatalf("the client of %s became %s, and its route %s", path, got.text("client"), got.text("route"))
				}
			}
		})
	}
	t.Run("malformed", func(t *testing.T) {
		for i := range tries {
			resetBehind(t, p, "no request\r\n\r\n")
			if _, err := p.log.wait(0, i+1, "request refused", fields{"client": "127.0.0.1"}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func resetBehind(t *testing.T, p *proxy, text string) {
	t.Helper()
	client := connect(t, p)
	ask(t, connect(t, p), request("GET /later HTTP/1.1", "Host: a")) // so the first has been accepted
	client.Conn.(*net.TCPConn).SetLinger(0)
	client.Send(text)
	client.Close()
}
