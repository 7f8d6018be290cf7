package e2e

// A tunnel begins only behind a 101 that answers the very handshake: any flaw in
// it is 502, and the client's connection goes on as HTTP.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// offering is a handshake that offers a subprotocol and compression.
func offering(path string) proxytest.Handshake {
	return proxytest.Handshake{Target: path, Extra: []string{
		"Sec-WebSocket-Protocol: chat.v1, chat.v2",
		"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; client_max_window_bits, x-known",
	}}
}

// right are answers that a tunnel may begin with, after "HTTP/1.1 101 ".
var right = map[string]string{
	"plain":                switching(),
	"any case":             request("HTTP/1.1 101 Fine", "uPGRADE: WebSocket", "CONNECTION: upgrade", "SEC-WEBSOCKET-ACCEPT: $accept"),
	"no reason":            request("HTTP/1.1 101 ", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: $accept"),
	"more in Connection":   request("HTTP/1.1 101 OK", "Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Accept: $accept"),
	"a subprotocol":        switching("Sec-WebSocket-Protocol: chat.v2"),
	"deflate":              switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12"),
	"deflate, smaller":     switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"),
	"deflate, no context":  switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; server_no_context_takeover; client_no_context_takeover"),
	"another extension":    switching("Sec-WebSocket-Extensions: x-known; how=ever"),
	"two extensions":       switching("Sec-WebSocket-Extensions: x-known, permessage-deflate; server_max_window_bits=12"),
	"deflate, not offered": switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=13; colour=red; =;"),
	"a quoted value":       switching(`Sec-WebSocket-Extensions: x-known; eid="proto::serial-1, x"`),
	"Content-Length":       switching("Content-Length: 0"),
	"Content-Length 5":     switching("Content-Length: 5"),
	"Content-Length x":     switching("Content-Length: x", "Content-Length: 3"),
	"chunked":              switching("Transfer-Encoding: chunked"),
	"identity":             switching("Transfer-Encoding: identity"),
	"both":                 switching("Content-Length: 0", "Transfer-Encoding: chunked"),
	"framed before":        "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n" + switching(),
	"100 before":           "HTTP/1.1 100 Continue\r\n\r\n" + switching(),
	"103 before":           "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + switching(),
	"many interim answers": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20) + switching(),
}

// wrong are answers that no tunnel may begin with, and a word that the log must
// say about each.
var wrong = map[string]struct{ answer, because string }{
	"no Upgrade":              {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Sec-WebSocket-Accept: $accept"), "Upgrade"},
	"another Upgrade":         {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: h2c", "Sec-WebSocket-Accept: $accept"), "h2c"},
	"two Upgrade tokens":      {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket, h2c", "Sec-WebSocket-Accept: $accept"), "Upgrade"},
	"two Upgrade lines":       {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket", "Sec-WebSocket-Accept: $accept"), "Upgrade"},
	"longer Upgrade":          {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket2", "Sec-WebSocket-Accept: $accept"), "websocket2"},
	"no Connection":           {request("HTTP/1.1 101 OK", "Upgrade: websocket", "Sec-WebSocket-Accept: $accept"), "Connection"},
	"another Connection":      {request("HTTP/1.1 101 OK", "Connection: close", "Upgrade: websocket", "Sec-WebSocket-Accept: $accept"), "Connection"},
	"no Accept":               {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket"), "Accept"},
	"wrong Accept":            {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+proxytest.Accept("x")), "Accept"},
	"Accept in another case":  {request("HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+strings.ToLower(proxytest.Accept(proxytest.SampleKey))), "Accept"},
	"two Accepts":             {switching("Sec-WebSocket-Accept: $accept"), "Accept"},
	"unoffered subprotocol":   {switching("Sec-WebSocket-Protocol: chat.v3"), "chat.v3"},
	"two subprotocols":        {switching("Sec-WebSocket-Protocol: chat.v1, chat.v2"), "chat.v1, chat.v2"},
	"two subprotocol lines":   {switching("Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: chat.v2"), "Protocol"},
	"unoffered extension":     {switching("Sec-WebSocket-Extensions: x-unheard-of"), "x-unheard-of"},
	"unclosed quote":          {switching(`Sec-WebSocket-Extensions: x-known; a="b, x-unheard-of`), "quote"},
	"no extension":            {switching("Sec-WebSocket-Extensions: ;;"), "not offered"},
	"extension twice":         {switching("Sec-WebSocket-Extensions: x-known, x-known"), "x-known"},
	"HTTP/1.0":                {strings.Replace(switching(), "1.1", "1.0", 1), "HTTP/1.0"},
	"space before a colon":    {switching("X-Odd : 1"), "header"},
	"folded line":             {switching("X-Odd: 1\r\n more"), "header"},
	"control byte in a value": {switching("X-Odd: a\x01b"), "header"},
}

func TestVerified101(t *testing.T) {
	t.Parallel()
	scripts := map[string]script{}
	for name, answer := range right {
		scripts["/right/"+slug(name)] = repeat(answer)
	}
	for name, answer := range wrong {
		scripts["/wrong/"+slug(name)] = stall(answer.answer)
	}
	b := newWire(t, scripts)
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))

	for name, answer := range right {
		t.Run(name, func(t *testing.T) {
			client := connect(t, p)
			got := ask(t, client, offering("/right/"+slug(name)).String())
			if got.status != 101 || got.header.Get("Sec-WebSocket-Accept") != proxytest.Accept(proxytest.SampleKey) {
				t.Fatalf("%d %v %q, wanted 101", got.status, got.header, got.body)
			}
			for _, said := range []string{"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
				if want := proxytest.HeaderValue(answer, said); got.header.Get(said) != want {
					t.Errorf("%s: %q, wanted %q", said, got.header.Get(said), want)
				}
			}
			for _, framing := range []string{"Content-Length", "Transfer-Encoding"} {
				if got.header.Values(framing) != nil {
					t.Errorf("the 101 has %s: %q", framing, got.header.Values(framing))
				}
			}
			echoBytes(t, client, "\x82\x81\x01\x02\x03\x04\x05")
		})
	}
	for name, answer := range wrong {
		t.Run(name, func(t *testing.T) {
			client, path := connect(t, p), "/wrong/"+slug(name)
			entry := mustBeOwn(t, p, ask(t, client, offering(path).String()), 502, path)
			if !strings.Contains(entry.text("error"), answer.because) {
				t.Errorf("logged error %q, wanted it to say %q", entry.text("error"), answer.because)
			}
			if id := proxytest.HeaderValue(b.headOf(t, path), "X-Request-Id"); id != entry.text("id") {
				t.Errorf("the backend got X-Request-Id %q, the log %q", id, entry.text("id"))
			}
			// Still HTTP, and routed from scratch.
			if got := ask(t, client, request("GET /plain HTTP/1.1", "Host: a")); got.body != "ok" {
				t.Errorf("the next request: %d %q", got.status, got.body)
			}
		})
	}
}

// slug is a name that can stand in a path.
func slug(name string) string {
	return strings.NewReplacer(" ", "-", ",", "", "/", "").Replace(name)
}

// TestSpelling: names are spelled as RFC 6455 spells them, both ways, however they
// came and whichever way the handshake is made.
func TestSpelling(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/ws": repeat(switching("sec-websocket-protocol: chat"))})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	for _, kept := range []bool{false, true} {
		client := connect(t, p)
		if kept {
			ask(t, client, request("GET /plain HTTP/1.1", "Host: a"))
		}
		asking := changed(nil, "sec-websocket-protocol: chat")
		asking.Target = fmt.Sprint("/ws/", kept)
		client.Send(asking.String())
		answer := ""
		for !strings.HasSuffix(answer, "\r\n\r\n") {
			c, err := client.Reader.ReadByte()
			if err != nil {
				t.Fatalf("%v after %q", err, answer)
			}
			answer += string([]byte{c})
		}
		for text, names := range map[string][]string{answer: {"Accept", "Protocol"}, b.headOf(t, asking.Target): {"Key", "Version", "Protocol"}} {
			for _, name := range names {
				if !strings.Contains(text, "\r\nSec-WebSocket-"+name+": ") {
					t.Errorf("kept %v: no Sec-WebSocket-%s in %q", kept, name, text)
				}
			}
		}
	}
}

// TestEmptyChoice: an empty line chooses nothing, and does not reach the client,
// which would take it for a choice.
func TestEmptyChoice(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": repeat(switching("Sec-WebSocket-Protocol:", "Sec-WebSocket-Extensions:"))})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "ws://$b"}}
`, map[string]string{"b": b.Addr}))
	for _, path := range []string{"/first", "/next"} {
		client := connect(t, p)
		if path == "/next" {
			ask(t, client, request("GET /plain HTTP/1.1", "Host: a"))
		}
		got := ask(t, client, changed(nil).String())
		if got.status != 101 || got.header.Values("Sec-WebSocket-Protocol") != nil || got.header.Values("Sec-WebSocket-Extensions") != nil {
			t.Errorf("%s: %d %v, wanted 101 and no choice", path, got.status, got.header)
		}
	}
}

// TestLenientHandshakes: what lenient names is forgiven, and what it does not name
// is not.
func TestLenientHandshakes(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{
		"/": func(conn net.Conn, in *bufio.Reader, head string) bool {
			fmt.Fprint(conn, proxytest.Switching(proxytest.HeaderValue(head, "Sec-WebSocket-Key"), "Sec-WebSocket-Protocol: ocpp1.6"))
			io.Copy(conn, in)
			return false
		},
	})
	p := start(t, web+fill(`
defaults: {lenient: [key]}
routes:
  key:  {match: {path: /key}, to: "ws://$b"}
  both: {match: {path: /both}, to: "ws://$b", lenient: [subprotocol, key]}
  sub:  {match: {path: /sub}, to: "ws://$b", lenient: subprotocol}
  none: {match: {path: /none}, to: "ws://$b", lenient: []}
`, map[string]string{"b": b.Addr}))
	const odd = "not-base64"
	for _, tt := range []struct {
		path, key, offer string
		status           int
	}{
		{"/key", odd, "ocpp1.6", 101},
		{"/key", odd, "ocpp2.0", 502},
		{"/both", odd, "ocpp2.0", 101},
		{"/sub", proxytest.SampleKey, "ocpp2.0", 101},
		{"/sub", odd, "ocpp1.6", 400},
		{"/none", odd, "ocpp1.6", 400},
		{"/none", proxytest.SampleKey, "ocpp2.0", 502},
		{"/none", proxytest.SampleKey, "ocpp1.6", 101},
	} {
		asking := changed(map[string]string{"Sec-WebSocket-Key": tt.key}, "Sec-WebSocket-Protocol: "+tt.offer)
		asking.Target = tt.path
		got := ask(t, connect(t, p), asking.String())
		if got.status != tt.status {
			t.Errorf("%+v: %d %q", tt, got.status, got.body)
		}
		if got.status == 101 && (got.header.Get("Sec-WebSocket-Protocol") != "ocpp1.6" || got.header.Get("Sec-WebSocket-Accept") != proxytest.Accept(tt.key)) {
			t.Errorf("%+v: %v", tt, got.header)
		}
	}
}

// TestUnasked101 is answered as what it is, a wrong answer to plain HTTP.
func TestUnasked101(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/": stall(switching() + "\x81\x02hi")})
	p := start(t, web+fill(`
routes:
  all:  {match: {path_prefix: /}, to: "ws://$b"}
  none: {match: {path_prefix: /none}, to: "ws://$b", upgrade: none}
`, map[string]string{"b": b.Addr}))
	client := connect(t, p)
	for path, text := range map[string]string{
		"/get":   request("GET /get HTTP/1.1", "Host: a"),
		"/post":  request("POST /post HTTP/1.1", "Host: a", "Content-Length: 2") + "ab",
		"/none/": offering("/none/").String(),
	} {
		mustBeOwn(t, p, ask(t, client, text), 502, path)
	}
}
