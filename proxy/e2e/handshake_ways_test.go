package e2e

// A handshake can be made in two ways: on an event loop, with a goroutine's help where the
// backend may have to be waited for, and by net/http where it is not a connection's first
// request. Neither side can tell which.

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func TestWaysOfHandshakesAgree(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	hello := "\x81\x05hello"
	scripts := map[string]script{
		"/echo":        repeat(switching()),
		"/behind":      repeat(switching() + hello),
		"/bare-lf":     repeat(strings.ReplaceAll(switching(), "\r\n", "\n") + hello),
		"/split":       byteByByte(switching() + hello),
		"/interim":     repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switching() + hello),
		"/chat":        repeat(switching("Sec-WebSocket-Protocol: chat", "Set-Cookie: a=b", "Server: x")),
		"/long-head":   repeat(switching("X-Long: "+strings.Repeat("x", 20<<10)) + hello),
		"/length":      repeat(switching("Content-Length: 0") + hello),
		"/identity":    repeat(switching("Transfer-Encoding: identity") + hello),
		"/empty":       repeat(switching("Sec-WebSocket-Protocol:") + hello),
		"/leaves":      say(switching()),
		"/no-accept":   stall(head + "Connection: Upgrade\r\n\r\n"),
		"/wrong":       stall(head + "Connection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
		"/unasked":     stall(switching("Sec-WebSocket-Extensions: permessage-deflate")),
		"/1.0":         stall(strings.Replace(switching(), "1.1", "1.0", 1)),
		"/plain":       keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
		"/chunks":      keep("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
		"/until-end":   say("HTTP/1.1 401 Who?\r\nWWW-Authenticate: Basic\r\n\r\nuntil the end"),
		"/redirect":    keep("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
		"/closes":      say(""),
		"/resets":      reset,
		"/garbage":     stall("SSH-2.0-OpenSSH_9.7\r\n"),
		"/half":        say(head),
		"/bomb":        stall(head + "X-Bomb: " + strings.Repeat("x", 70_000) + "\r\n\r\n"),
		"/two-lengths": stall("HTTP/1.1 403 No\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
		"/silent":      stall(""),
		"/half-silent": stall(head),
	}
	b := newWire(t, scripts)
	_, port, _ := strings.Cut(b.Addr, ":")
	const pools = `
pools:
  named:   {backends: {b: {url: "ws://localhost:$port"}}, health: {passive: {fails: 1000}}}
  direct:  {backends: {b: {url: "ws://$b"}}, health: {passive: {fails: 1000}}}
  waiting: {backends: {b: {url: "ws://$b"}}, health: {passive: {fails: 1000}}, queue: {length: 100, wait: 20s}}
  away:    {backends: {b: {url: "ws://$closed"}}, health: {passive: {fails: 1000}}}
  away-2:  {backends: {b: {url: "ws://$closed"}}, health: {passive: {fails: 1000}}, queue: {length: 100, wait: 20s}}
routes:
`
	const routes = `  $name:   {match: {path_prefix: /, host: $name.example}, to: "pool://$pool"}
  $name-s: {match: {path_regex: "^.*silent$", host: $name.example}, to: "pool://$pool", timeouts: {handshake: 50ms}}
  $name-r: {match: {path: /refused, host: $name.example}, to: "pool://$away"}
`
	direct := map[string]string{"name": "loop", "pool": "direct", "away": "away"}
	waiting := map[string]string{"name": "wait", "pool": "waiting", "away": "away-2"}
	named := map[string]string{"name": "name", "pool": "named", "away": "away"}
	kept := map[string]string{"name": "kept", "pool": "direct", "away": "away"}
	p := start(t, web+fill(pools, map[string]string{"b": b.Addr, "port": port, "closed": proxytest.Refused(t)})+
		fill(routes, direct)+fill(routes, waiting)+fill(routes, named)+fill(routes, kept))
	scripts["/refused"] = nil
	for path := range scripts {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			loop := tellHandshake(t, p, "loop", path)
			for _, way := range []string{"wait", "name", "kept"} {
				if got := tellHandshake(t, p, way, path); got != loop {
					t.Errorf("%s:\n%s\nloop:\n%s", way, got, loop)
				}
			}
		})
	}
}

// tellHandshake makes a handshake with early bytes, and tells all that came of it:
// the answer, the tunnel's bytes and its end, and what the log says.
func tellHandshake(t *testing.T, p *proxy, way, path string) string {
	t.Helper()
	client, host := connect(t, p), way+".example"
	if way == "kept" {
		if got := ask(t, client, request("GET /first HTTP/1.1", "Host: "+host)); got.body != "ok" {
			t.Fatalf("the first request: %d %q", got.status, got.body)
		}
	}
	client.Send(proxytest.Handshake{
		Target: path, Host: host, Extra: []string{"Sec-WebSocket-Protocol: chat, talk"}, Body: "\x81\x82\x00\x00\x00\x00me",
	}.String())
	answer := ""
	for path == "/leaves" && !strings.HasSuffix(answer, "backend lost") { // or both ends would go at once, and either may be noticed first
		b, err := client.Reader.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, answer)
		}
		answer += string([]byte{b})
	}
	// Not before there is an answer: one that goes while it waits gets none.
	for !strings.HasSuffix(answer, "\r\n\r\n") && path != "/leaves" {
		b, err := client.Reader.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, answer)
		}
		answer += string([]byte{b})
	}
	client.CloseWrite()
	answer += client.Rest()
	entry := line{}
	if strings.HasPrefix(answer, "HTTP/1.1 101 ") {
		opened := p.waitLog("tunnel opened", fields{"host": host, "path": path})
		maps.Copy(entry, opened)
		maps.Copy(entry, p.waitLog("tunnel closed", fields{"id": opened.text("id")}))
	} else {
		entry = p.waitLog("request", fields{"host": host, "path": path})
	}
	told := []string{answer}
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		if key != "time" && key != "duration" && key != "backend" {
			told = append(told, key+"="+entry.text(key))
		}
	}
	return anonymous(strings.Join(told, "\n"), way)
}

// changing is what differs between handshakes that are alike. (A connection of
// net's names itself in its errors, a descriptor cannot.)
var changing = regexp.MustCompile(`(?m)^Date: .*$|[0-9a-f]{16}|read tcp \S+: |"away(-2)? |127\.0\.0\.1:\d+`)

func anonymous(text, way string) string {
	return strings.ReplaceAll(changing.ReplaceAllString(text, ""), way, "WAY")
}
