package proxytest

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEcho(t *testing.T) {
	authority := NewAuthority(t)
	certificate := authority.Issue([]string{"localhost", "127.0.0.1"})
	for name, options := range map[string]EchoOptions{
		"plain":      {Subprotocols: []string{"chat.v2"}},
		"compressed": {Subprotocols: []string{"chat.v2"}, Compression: true},
		"tls":        {Subprotocols: []string{"chat.v2"}, TLS: certificate},
	} {
		t.Run(name, func(t *testing.T) {
			echo := EchoServer(t, options)
			dialer := websocket.Dialer{
				Subprotocols: []string{"chat.v1", "chat.v2"}, EnableCompression: true,
				TLSClientConfig: &tls.Config{RootCAs: authority.Pool()},
			}
			conn, res, err := dialer.Dial(echo.WS()+"/some/path", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if conn.Subprotocol() != "chat.v2" {
				t.Errorf("subprotocol %q, want chat.v2", conn.Subprotocol())
			}
			if got := res.Header.Get("Sec-WebSocket-Extensions") != ""; got != options.Compression {
				t.Errorf("compression %v, want %v", got, options.Compression)
			}
			for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
				if err := conn.WriteMessage(kind, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				if gotKind, got, err := conn.ReadMessage(); gotKind != kind || string(got) != "hello" || err != nil {
					t.Errorf("got %d %q %v, want %d hello", gotKind, got, err, kind)
				}
			}
			if got := echo.Requests()[0].URL.Path; got != "/some/path" {
				t.Errorf("path %q, want /some/path", got)
			}
		})
	}
}

func TestHandshakeIsAccepted(t *testing.T) {
	client := Dial(t, EchoServer(t, EchoOptions{}).Addr)
	client.Send(Handshake{}.String())
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Sec-WebSocket-Accept"); res.StatusCode != 101 || got != Accept(SampleKey) {
		t.Errorf("status %d, accept %q, want 101, %q", res.StatusCode, got, Accept(SampleKey))
	}
}

func TestHandshakeText(t *testing.T) {
	got := Handshake{Method: "POST", Change: map[string]string{"Upgrade": "", "Connection": "close"}, Extra: []string{"A: b"}, Body: "x"}.String()
	want := "POST / HTTP/1.1\r\nHost: test.example\r\nConnection: close\r\n" +
		"Sec-WebSocket-Key: " + SampleKey + "\r\nSec-WebSocket-Version: 13\r\nA: b\r\n\r\nx"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestMirror(t *testing.T) {
	for name, addr := range map[string]string{
		"tcp":  Mirror(t).Addr,
		"unix": ServeUnix(t, http.HandlerFunc(mirror)).Addr,
	} {
		client := Dial(t, addr)
		client.Send("PUT /a%2Bb?c=%20 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc")
		_, body := client.Response("PUT")
		var seen Seen
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Target != "/a%2Bb?c=%20" || seen.Body != "abc" || seen.Header.Get("X-A") != "1" || seen.Length != 3 {
			t.Errorf("%s: got %+v", name, seen)
		}
	}
}

func TestRawBackend(t *testing.T) {
	heads := make(chan string, 1)
	backend := NewRawBackend(t, func(conn net.Conn) {
		head, _ := ReadHead(bufio.NewReader(conn))
		heads <- head
		conn.Write([]byte("anything\n"))
	})
	client := Dial(t, backend.Addr)
	client.Send("HI\r\nUpgrade:  x \r\n\r\n")
	if got := client.Rest(); got != "anything\n" {
		t.Errorf("got %q", got)
	}
	if head := <-heads; HeaderValue(head, "upgrade") != "x" || backend.Accepted() != 1 {
		t.Errorf("head %q, %d connections", head, backend.Accepted())
	}
	if conn, err := net.Dial("tcp", Refused(t)); err == nil {
		conn.Close()
		t.Error("a connection to it is accepted")
	}
}
