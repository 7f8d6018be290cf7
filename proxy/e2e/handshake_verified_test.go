package e2e

// A tunnel begins only behind a 101 that answers the very handshake: any flaw in
// it is 502, and the client's connection goes on as HTTP.

import (
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
	"extension twice":         {switching("Sec-WebSocket-Extensions: x-known, x-known"), "x-known"},
	"deflate, too large":      {switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=13"), "permessage-deflate"},
	"deflate, missing bits":   {switching("Sec-WebSocket-Extensions: permessage-deflate"), "permessage-deflate"},
	"deflate, out of range":   {switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"), "server_max_window_bits"},
	"deflate, unknown":        {switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; colour=red"), "colour"},
	"extensions, garbage":     {switching("Sec-WebSocket-Extensions: ;;"), "xtension"},
	"Content-Length":          {switching("Content-Length: 0"), "Content-Length"},
	"Transfer-Encoding":       {switching("Transfer-Encoding: chunked"), "Transfer-Encoding"},
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
