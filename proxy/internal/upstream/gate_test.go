package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func request(t *testing.T, method, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://x/", reader)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// ask returns status and body, or an error of either.
func ask(rt http.RoundTripper, req *http.Request) (int, string, error) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// Each bad answer is an error before the caller has a response, or before its
// body's end, and its connection is not used again.
func TestBadAnswerIsNotReused(t *testing.T) {
	for _, tt := range answers {
		if tt.want == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			backend := proxytest.NewRawBackend(t, proxytest.Answer(tt.text))
			b := NewBackend(BackendKey{"p", "http", backend.Addr})
			defer b.Close()
			for range 3 {
				_, _, err := ask(b.RoundTripper(TLS{}), request(t, "GET", ""))
				// The transport words some of its own refusals.
				if err == nil || !isAnswerError(err) && !strings.Contains(err.Error(), "http: ") {
					t.Errorf("got %v, want an AnswerError", err)
				}
			}
			if n := backend.Accepted(); n != 3 {
				t.Errorf("%d connections for 3 requests, want 3", n)
			}
		})
	}
}

func TestGoodConnectionsAreReused(t *testing.T) {
	for _, tt := range answers {
		if tt.want != "" || tt.method == "HEAD" || strings.HasPrefix(tt.name, "to the end") || strings.HasPrefix(tt.name, "no reason") {
			continue
		}
		backend := proxytest.NewRawBackend(t, proxytest.Answer(tt.text))
		b := NewBackend(BackendKey{"p", "http", backend.Addr})
		for range 3 {
			if _, _, err := ask(b.RoundTripper(TLS{}), request(t, "GET", "")); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		b.Close()
		if n := backend.Accepted(); n != 1 {
			t.Errorf("%s: %d connections for 3 requests, want 1", tt.name, n)
		}
	}
}

// Bytes behind an answer, in the same packet: the answer is delivered, and the
// next request does not get them for its own.
func TestBytesBehindAnswer(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, tt := range map[string]struct{ method, text, body string }{
		"length":  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "good"},
		"chunked": {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", "good"},
		"none":    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"HEAD":    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			backend := proxytest.NewRawBackend(t, proxytest.Answer(tt.text+poison))
			b := NewBackend(BackendKey{"p", "http", backend.Addr})
			defer b.Close()
			for range 20 {
				_, body, err := ask(b.RoundTripper(TLS{}), request(t, tt.method, ""))
				if err != nil || body != tt.body {
					t.Fatalf("got %q, %v, want %q", body, err, tt.body)
				}
			}
			if n := backend.Accepted(); n != 20 {
				t.Errorf("%d connections for 20 requests, want 20", n)
			}
		})
	}
}

// Bytes that nobody asked for are never an answer: a greeting, and what comes
// while a connection is idle.
func TestUnaskedBytes(t *testing.T) {
	greeter := proxytest.NewRawBackend(t, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		io.Copy(io.Discard, conn)
	})
	gated := newGate(dialRaw(t, greeter.Addr), new(atomic.Int64))
	if n, err := gated.Read(make([]byte, 100)); n != 0 || err != io.EOF {
		t.Errorf("greeting: read %d, %v, want nothing but EOF", n, err)
	}
	gated.begin(question{method: "GET"})
	if _, err := gated.Write([]byte("GET / HTTP/1.1\r\n\r\n")); !isAnswerError(err) {
		t.Errorf("write after it: %v, want an AnswerError", err)
	}
	if n, err := gated.Read(make([]byte, 100)); n != 0 || !isAnswerError(err) {
		t.Errorf("read after it: %d, %v, want an AnswerError", n, err)
	}
}

func isAnswerError(err error) bool {
	var bad *AnswerError
	return errors.As(err, &bad)
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := NewBackend(BackendKey{"p", "http", addr}).Dial(context.Background(), TLS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A backend that refuses a body by answering and closing is heard, although
// the writing of the body fails.
func TestEarlyAnswerIsHeard(t *testing.T) {
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		proxytest.ReadHead(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn) // so that no reset overtakes the answer
	})
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	body := &endless{release: make(chan struct{})}
	defer close(body.release)
	req := request(t, "POST", "")
	req.Body, req.ContentLength = io.NopCloser(body), -1
	status, text, err := ask(b.RoundTripper(TLS{}), req)
	if status != 413 || text != "big" || err != nil {
		t.Errorf("got %d %q, %v, want the backend's 413", status, text, err)
	}
}

// endless is a body that never ends.
type endless struct{ release chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.release:
		return 0, io.EOF
	default:
		return len(p), nil
	}
}

// A failing write is the last word only while nothing of the request is out.
func TestWriteFailsLate(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	gated := newGate(near, new(atomic.Int64))
	gated.begin(question{method: "POST"})
	go io.ReadFull(far, make([]byte, 4))
	if _, err := gated.Write([]byte("POST")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if n, err := gated.Write([]byte(" / HTTP/1.1")); n != 11 || err != nil {
		t.Errorf("late: %d, %v, want it dropped", n, err)
	}
	gated = newGate(near, new(atomic.Int64))
	gated.begin(question{method: "POST"})
	if _, err := gated.Write([]byte("POST")); err == nil {
		t.Error("first: want the error")
	}
}

// A backend that closes idle connections without saying so costs no request.
func TestIdleConnectionClosedByBackend(t *testing.T) {
	backend := proxytest.NewRawBackend(t, proxytest.AnswerOnce("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	for range 50 {
		if _, body, err := ask(b.RoundTripper(TLS{}), request(t, "GET", "")); body != "hi" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	server := proxytest.Serve(b, http.HandlerFunc(hello))
	backend := NewBackend(BackendKey{"p", "http", server.Addr})
	defer backend.Close()
	rt := backend.RoundTripper(TLS{})
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest("GET", "http://x/", nil)
		if _, _, err := ask(rt, req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	text := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 3\r\n\r\nabc")
	var a answer
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		a.begin("GET")
		if n, err := a.follow(text); n != len(text) || err != nil {
			b.Fatal(n, err)
		}
	}
}
