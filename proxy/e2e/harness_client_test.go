package e2e

// The clients: gorilla/websocket for what is well-formed, proxytest's bare
// connections for what no client library would send.

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// dial opens a tunnel and closes its connection with the test.
func dial(t testing.TB, url string) *websocket.Conn {
	t.Helper()
	conn, _ := dialWith(t, url, websocket.Dialer{}, nil)
	return conn
}

// dialWith is dial with a dialer's settings (subprotocols, TLS, compression)
// and more headers. It returns the 101 too.
func dialWith(t testing.TB, url string, dialer websocket.Dialer, header http.Header) (*websocket.Conn, *http.Response) {
	t.Helper()
	dialer.HandshakeTimeout = patience
	conn, answer, err := dialer.DialContext(t.Context(), url, header)
	if err != nil {
		t.Fatalf("dial %s: %v%s", url, err, describe(answer))
	}
	t.Cleanup(func() { conn.Close() })
	setDeadline(t, conn.NetConn())
	return conn, answer
}

// refused asks for a tunnel that must not open and returns the answer that came
// instead, its body read.
func refused(t testing.TB, url string, header http.Header) *http.Response {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, answer, err := dialer.DialContext(t.Context(), url, header)
	if err == nil {
		conn.Close()
		t.Fatalf("dial %s: a tunnel opened, wanted a refusal", url)
	}
	if answer == nil {
		t.Fatalf("dial %s: %v, wanted an answer", url, err)
	}
	return answer
}

// describe is an answer in a failure's text.
func describe(answer *http.Response) string {
	if answer == nil {
		return ""
	}
	body, _ := io.ReadAll(answer.Body) // whatever of it there is
	return ": " + answer.Status + ": " + strings.TrimSpace(string(body))
}

// echo sends a text message and fails unless the very same comes back.
func echo(t testing.TB, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
	if got := readText(t, conn); got != text {
		t.Fatalf("echo of %q: got %q", text, got)
	}
}

// readText reads one text message.
func readText(t testing.TB, conn *websocket.Conn) string {
	t.Helper()
	kind, message, err := conn.ReadMessage()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if kind != websocket.TextMessage {
		t.Fatalf("read a message of opcode %d, wanted text", kind)
	}
	return string(message)
}

// closeCode reads until the tunnel's Close frame and returns its code and reason.
func closeCode(t testing.TB, conn *websocket.Conn) (code int, reason string) {
	t.Helper()
	for {
		_, _, err := conn.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code, closed.Text
		}
		if err != nil {
			t.Fatalf("read: %v, wanted a Close frame", err)
		}
	}
}

// reply is an HTTP answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// get is an ordinary GET that follows no redirect.
func get(t testing.TB, url string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// do sends a request on a connection of its own.
func do(t testing.TB, r *http.Request) reply {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("reading the body of %s: %v", answer.Status, err)
	}
	return reply{status: answer.StatusCode, header: answer.Header, body: string(body)}
}

// connect opens a bare connection to listener web of p. It is closed with the test.
func connect(t testing.TB, p *proxy) *proxytest.Raw {
	t.Helper()
	return proxytest.Dial(t, p.address("web"))
}

// request is an HTTP request's head of these lines.
func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// ask sends text on a bare connection and reads the answer to it: of a 101 the
// head, of any other answer the body too.
func ask(t testing.TB, raw *proxytest.Raw, text string) reply {
	t.Helper()
	raw.Send(text)
	method, _, _ := strings.Cut(text, " ")
	answer, body := raw.Response(method)
	return reply{status: answer.StatusCode, header: answer.Header, body: body}
}

// echoBytes sends text through a tunnel without frames and fails unless the very
// same comes back.
func echoBytes(t testing.TB, raw *proxytest.Raw, text string) {
	t.Helper()
	raw.Send(text)
	got := make([]byte, len(text))
	if n, err := io.ReadFull(raw.Reader, got); err != nil {
		t.Fatalf("reading the echo of %q: %v, after %q", text, err, got[:n])
	}
	if string(got) != text {
		t.Fatalf("echo of %q: got %q", text, got)
	}
}

// setDeadline ends a hung test.
func setDeadline(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}
