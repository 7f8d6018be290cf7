package e2e

// The clients: gorilla/websocket for what is well-formed, bytes on a socket for
// what no client library would send.

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// dial opens a tunnel and closes its connection with the test.
func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	conn, _ := dialWith(t, url, websocket.Dialer{}, nil)
	return conn
}

// dialWith is dial with a dialer's settings (subprotocols, TLS, compression)
// and more headers. It returns the 101 too.
func dialWith(t *testing.T, url string, dialer websocket.Dialer, header http.Header) (*websocket.Conn, *http.Response) {
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
func refused(t *testing.T, url string, header http.Header) *http.Response {
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
func echo(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
	if got := readText(t, conn); got != text {
		t.Fatalf("echo of %q: got %q", text, got)
	}
}

// readText reads one text message.
func readText(t *testing.T, conn *websocket.Conn) string {
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
func closeCode(t *testing.T, conn *websocket.Conn) (code int, reason string) {
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
func get(t *testing.T, url string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, request)
}

// do sends a request on a connection of its own.
func do(t *testing.T, request *http.Request) reply {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	return readReply(t, answer)
}

func readReply(t *testing.T, answer *http.Response) reply {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("reading the body of %s: %v", answer.Status, err)
	}
	return reply{status: answer.StatusCode, header: answer.Header, body: string(body)}
}

// wire is a client's bare connection. It belongs to one goroutine.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// connect opens a bare connection to listener web of p; it is closed with the test.
func connect(t *testing.T, p *proxy) *wire {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.address("web"), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	setDeadline(t, conn)
	return &wire{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// send writes lines as a request's head, each ended with CR LF, and the empty
// line that ends it.
func (w *wire) send(lines ...string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		w.t.Fatal(err)
	}
}

// answer reads the next answer's head. Its body, if it is not a 101, has to be
// read before the next one.
func (w *wire) answer() *http.Response {
	w.t.Helper()
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatalf("reading an answer: %v", err)
	}
	return answer
}

// reply reads the next answer with its body.
func (w *wire) reply() reply {
	w.t.Helper()
	return readReply(w.t, w.answer())
}

// echo writes text and fails unless the very same comes back: the echo of a raw tunnel.
func (w *wire) echo(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(w.in, got); err != nil {
		w.t.Fatalf("reading the echo of %q: %v", text, err)
	}
	if string(got) != text {
		w.t.Fatalf("echo of %q: got %q", text, got)
	}
}

// closed fails unless the connection ends without another byte.
func (w *wire) closed() {
	w.t.Helper()
	if b, err := w.in.ReadByte(); err == nil {
		w.t.Fatalf("read byte %q, wanted the connection closed", b)
	}
}

// setDeadline ends a hung test.
func setDeadline(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}
