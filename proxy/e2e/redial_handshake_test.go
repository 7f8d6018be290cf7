package e2e

// on_backend_loss: redial repeats the handshake: what it says the second time, and
// which answers to it continue the tunnel.

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestRedialHandshake: the handshake that is repeated is the first one, but for its key.
func TestRedialHandshake(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	urls := map[string]string{"a": a.url("ws"), "b": b.url("ws")}
	route := "    headers: {request: {set: {X-Route: \"yes\"}}}\n    preserve_host: true\n"
	p := start(t, redialling(urls, map[string]string{"b": ", disabled: true"}, "", route))
	header := http.Header{"Cookie": {"a=b"}, "X-Own": {"one", "two"}, "User-Agent": {"test"}}
	conn, _ := dialWith(t, p.ws("/?room=7&x=%2f"), websocket.Dialer{Subprotocols: []string{"chat.v1", "chat.v2"}}, header)
	if got := who(t, conn); got != "a" {
		t.Fatalf("at %q, wanted a", got)
	}
	p.edit(redialling(urls, map[string]string{"a": ", drain: true"}, "", route))
	p.waitLog("tunnel redialled", nil)
	if got := who(t, conn); got != "b" {
		t.Fatalf("at %q, wanted b", got)
	}
	first, again := a.last(t), b.last(t)
	if first.Header.Get("Sec-Websocket-Key") == again.Header.Get("Sec-Websocket-Key") {
		t.Error("the key was used twice")
	}
	first.Header.Del("Sec-Websocket-Key")
	again.Header.Del("Sec-Websocket-Key")
	if got, want := fmt.Sprint(again.RequestURI, again.Host, again.Header), fmt.Sprint(first.RequestURI, first.Host, first.Header); got != want {
		t.Errorf("the second handshake was\n%s\nwanted\n%s", got, want)
	}
}

// TestRedialOtherAnswer: a backend that answers the handshake in another way than the
// first did does not get the tunnel, and that is no failure of its.
func TestRedialOtherAnswer(t *testing.T) {
	t.Parallel()
	unfinished := proxytest.NewRawBackend(t, func(conn net.Conn) {
		proxytest.AnswerOnce("HTTP/1.1 503 Later\r\nContent-Length: 9\r\n\r\n")(conn)
		_ = conn.SetDeadline(time.Time{})
		conn.Read(make([]byte, 1)) // until it is closed
	})
	for name, other := range map[string]string{
		"half a 503":     "ws://" + unfinished.Addr,
		"subprotocol":    echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v1"}}).WS(),
		"no subprotocol": echoBackend(t, proxytest.EchoOptions{}).WS(),
		"extension":      echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v2"}, Compression: true}).WS(),
		"no 101":         "ws://" + newMoody(t, "moody").Addr,
	} {
		t.Run(name, func(t *testing.T) {
			first := echoBackend(t, proxytest.EchoOptions{Subprotocols: []string{"v2"}})
			urls := map[string]string{"a": first.WS(), "b": other}
			p := start(t, redialling(urls, map[string]string{"b": ", standby: true"}, "    health: {passive: {fails: 1, eject: 1m}}\n", ""))
			dialer := websocket.Dialer{Subprotocols: []string{"v1", "v2"}, EnableCompression: true}
			conn, _ := dialWith(t, p.ws("/"), dialer, nil)
			echo(t, conn, "before")
			first.CutTunnels()
			if code, reason := closeCode(t, conn); code != 1012 || reason != "backend lost" {
				t.Errorf("closed with %d %q, wanted 1012", code, reason)
			}
			p.waitLog("tunnel not redialled", fields{"reason": "lost"})
			p.waitLog("tunnel closed", fields{"closed_by": "backend", "reason": "lost", "code": 1012})
			if n := p.countLog("backend ejected", nil); n > 0 {
				t.Error("a backend was ejected for an answer that was good")
			}
		})
	}
}

// TestRedialCompressed: permessage-deflate without context takeover moves; gorilla
// agrees to nothing else.
func TestRedialCompressed(t *testing.T) {
	t.Parallel()
	a := echoBackend(t, proxytest.EchoOptions{Compression: true})
	b := echoBackend(t, proxytest.EchoOptions{Compression: true})
	p := start(t, redialling(map[string]string{"a": a.WS(), "b": b.WS()}, nil, "", ""))
	conn, answer := dialWith(t, p.ws("/"), websocket.Dialer{EnableCompression: true}, nil)
	if got := answer.Header.Get("Sec-Websocket-Extensions"); !strings.Contains(got, "no_context_takeover") {
		t.Fatalf("extensions %q, wanted them without takeover", got)
	}
	text := strings.Repeat("the same again, ", 100)
	echo(t, conn, text)
	for range 3 {
		p.cutTunnel(a, b)
		echo(t, conn, text)
	}
}

// TestRedialContext: a compression context cannot move, nor can an unknown extension.
func TestRedialContext(t *testing.T) {
	t.Parallel()
	for _, extensions := range []string{
		"permessage-deflate", "permessage-deflate; server_no_context_takeover",
		"permessage-deflate; client_no_context_takeover", "x-unknown",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover; x-new=1",
	} {
		cut := make(chan struct{})
		script := func(conn net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			fmt.Fprint(conn, proxytest.Switching(r.Header.Get("Sec-Websocket-Key"), "Sec-WebSocket-Extensions: "+extensions))
			<-cut
		}
		a, b := proxytest.NewRawBackend(t, script), proxytest.NewRawBackend(t, script)
		p := start(t, redialling(map[string]string{"a": "ws://" + a.Addr, "b": "ws://" + b.Addr}, nil, "", ""))
		raw := connect(t, p)
		raw.Send(proxytest.Handshake{Extra: []string{
			"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; client_max_window_bits, x-unknown, permessage-deflate",
		}}.String())
		if answer, _ := raw.Response("GET"); answer.StatusCode != 101 {
			t.Fatalf("%s: %s, wanted 101", extensions, answer.Status)
		}
		close(cut)
		head := make([]byte, 4)
		if _, err := raw.Reader.Read(head); err != nil || head[0] != 0x88 || head[2] != 0x03 || head[3] != 0xf4 {
			t.Errorf("%s: % x and %v, wanted Close 1012", extensions, head, err)
		}
		if n := a.Accepted() + b.Accepted(); n != 1 {
			t.Errorf("%s: %d handshakes, wanted no second one", extensions, n)
		}
	}
}
