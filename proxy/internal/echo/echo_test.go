package echo

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialEcho speaks to the echo through an independent client.
func dialEcho(t *testing.T, subprotocols ...string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{
		NetDial:           func(_, _ string) (net.Conn, error) { return Dial() },
		Subprotocols:      subprotocols,
		EnableCompression: true, // offered, and not taken
		HandshakeTimeout:  time.Minute,
	}
	conn, _, err := dialer.Dial("ws://echo/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestWebSocketEcho(t *testing.T) {
	conn := dialEcho(t, "b", "a")
	if conn.Subprotocol() != "b" {
		t.Errorf("subprotocol %q, want the first that was offered", conn.Subprotocol())
	}
	for _, size := range []int{0, 1, 125, 126, 2047, 2048, 2049, 65535, 65536, 1 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rand.Int())
		}
		wrote := make(chan error, 1)
		go func() { wrote <- conn.WriteMessage(websocket.BinaryMessage, want) }() // larger than what the sockets hold
		kind, got, err := conn.ReadMessage()
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: kind %d, %d bytes back, %v", size, kind, len(got), err)
		}
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("grüß")); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := conn.ReadMessage(); err != nil || kind != websocket.TextMessage || string(got) != "grüß" {
		t.Errorf("text: kind %d, %q, %v", kind, got, err)
	}
}

func TestWebSocketEchoAnswersControlFrames(t *testing.T) {
	conn := dialEcho(t)
	pong := ""
	conn.SetPongHandler(func(data string) error { pong = data; return nil })
	deadline := time.Now().Add(time.Minute)
	if err := conn.WriteControl(websocket.PingMessage, []byte("are you there"), deadline); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "bye"), deadline); err != nil {
		t.Fatal(err)
	}
	_, _, err := conn.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 4000 || closed.Text != "bye" {
		t.Errorf("the Close was answered with %v, want 4000 bye", err)
	}
	if pong != "are you there" {
		t.Errorf("the Ping was answered with %q", pong)
	}
}

// exchange sends raw frames behind a handshake and returns what comes back
// until the echo closes.
func exchange(t *testing.T, frames []byte) []byte {
	t.Helper()
	conn, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	request := "GET / HTTP/1.1\r\nHost: echo\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := conn.Write(append([]byte(request), frames...)); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.UnixConn).CloseWrite()
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("handshake: %v, %v", answer, err)
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

func TestWebSocketEchoOnTheWire(t *testing.T) {
	mask := &[4]byte{1, 2, 3, 4}
	frame := func(op wsproto.Opcode, payload string) []byte {
		return wsproto.AppendFrame(nil, op, []byte(payload), mask)
	}
	unfinished := frame(wsproto.OpText, "two ")
	unfinished[0] &^= 0x80
	tests := []struct {
		name         string
		frames, want []byte
	}{
		{"a fragmented message stays fragmented", append(unfinished, frame(wsproto.OpContinuation, "parts")...), []byte("\x01\x04two \x80\x05parts")},
		{"an end of file", nil, nil},
		{"a pong is nobody's", frame(wsproto.OpPong, "x"), nil},
		{"an empty Close", frame(wsproto.OpClose, ""), []byte("\x88\x00")},
		{"nothing is echoed behind a Close", append(frame(wsproto.OpClose, ""), frame(wsproto.OpText, "late")...), []byte("\x88\x00")},
		{"unmasked", []byte("\x81\x01x"), []byte("\x88\x02\x03\xea")},
		{"a reserved bit", []byte("\xc1\x80\x00\x00\x00\x00"), []byte("\x88\x02\x03\xea")},
		{"a control frame too long", []byte("\x89\xfe\x00\x7e\x00\x00\x00\x00"), []byte("\x88\x02\x03\xea")},
		{"a length with the top bit", []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"), []byte("\x88\x02\x03\xea")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exchange(t, tt.frames); !bytes.Equal(got, tt.want) {
				t.Errorf("% x came back, want % x", got, tt.want)
			}
		})
	}
}

func FuzzEchoFrames(f *testing.F) {
	f.Add([]byte("\x81\x85\x01\x02\x03\x04abcde\x88\x80\x00\x00\x00\x00"))
	f.Add([]byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte("\x89\x84\x00\x00\x00\x00ping"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		_ = echoFrames(bufio.NewReader(bytes.NewReader(data)), w)
		_ = w.Flush()
		if out.Len() > len(data)+16 {
			t.Errorf("%d bytes for %d: an echo is no amplifier", out.Len(), len(data))
		}
	})
}

func TestHTTPEcho(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(ServeHTTP))
	defer server.Close()
	defer server.Client().CloseIdleConnections()

	answer, err := server.Client().Post(server.URL, "text/html", strings.NewReader("<script>"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(body) != "<script>" {
		t.Errorf("the body came back as %q", body)
	}
	if kind := answer.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("Content-Type %q: what a client sends must never be a page of ours", kind)
	}

	answer, err = server.Client().Get(server.URL + "/a%2Fb?c=d")
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(answer.Body)
	answer.Body.Close()
	for _, want := range []string{"GET /a%2Fb?c=d HTTP/1.1\n", "Host: 127.0.0.1", "User-Agent: Go-http-client"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is not in %q", want, body)
		}
	}
}
