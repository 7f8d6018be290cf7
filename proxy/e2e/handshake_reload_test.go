package e2e

// Handshakes that wait for their 101 while a reload takes away what they were let in by.

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestReloadDuringHandshake: such a handshake is answered at once, as the new routes say,
// and the backend that thinks is left.
func TestReloadDuringHandshake(t *testing.T) {
	t.Parallel()
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1"})
	echo := proxytest.EchoServer(t, proxytest.EchoOptions{})
	for name, host := range map[string]string{"an address": "127.0.0.1", "a name": "localhost"} {
		for change, tt := range map[string]struct {
			before, after string // instead of what stands there
			want          int
		}{
			"its client is no longer allowed": {"path: /chat", "path: /chat, client: [192.0.2.0/24]", 404},
			"its origin is no longer allowed": {"b.example", "c.example", 403},
			"its route has gone":              {"all: {match: {path: /chat}", "other: {match: {path: /other}", 404},
			"its route leads elsewhere":       {"ws://$b", "ws://" + echo.Addr, 101},
		} {
			t.Run(name+", "+change, func(t *testing.T) {
				t.Parallel()
				asked, left := make(chan bool, 1), make(chan bool, 1)
				b := newWire(t, map[string]script{"/chat": func(_ net.Conn, in *bufio.Reader, _ string) bool {
					asked <- true
					io.Copy(io.Discard, in)
					left <- true
					return false
				}})
				_, port, _ := net.SplitHostPort(b.Addr)
				routes := func(text string) string {
					return overTLS("", certificate) + strings.ReplaceAll(text, "$b", net.JoinHostPort(host, port))
				}
				const text = `
routes: {all: {match: {path: /chat}, to: "ws://$b", origins: ["https://b.example"], timeouts: {handshake: 1h}}}
`
				p := start(t, routes(text))
				client, _ := handshake(t, p, &tls.Config{RootCAs: authority.Pool()})
				client.Send(proxytest.Handshake{Target: "/chat", Extra: []string{"Origin: https://b.example"}}.String())
				arrives(t, asked)
				p.edit(routes(strings.Replace(text, tt.before, tt.after, 1)))
				if resp, body := client.Response("GET"); resp.StatusCode != tt.want {
					t.Errorf("answered %d %q, want %d", resp.StatusCode, body, tt.want)
				}
				arrives(t, left)
			})
		}
	}
}
