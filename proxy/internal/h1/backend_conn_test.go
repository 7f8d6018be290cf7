package h1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// backendTransport is http.Transport over BackendConns, to one address.
type backendTransport struct {
	http.Transport
	dialled atomic.Int64
}

func newBackendTransport(t *testing.T, addr string) *backendTransport {
	rt := &backendTransport{}
	rt.Dial = func(string, string) (net.Conn, error) {
		rt.dialled.Add(1)
		return dialBackend(t, addr), nil
	}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

func dialBackend(t *testing.T, addr string) *BackendConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return NewBackendConn(conn, new(atomic.Int64))
}

// get asks for a page and reads all of the answer.
func (rt *backendTransport) get(t *testing.T) error {
	var conn *BackendConn
	req, err := http.NewRequest("GET", "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			conn = info.Conn.(*BackendConn)
			conn.Begin(RequestInfo{Method: "GET", Shared: true})
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) { conn.End(info.Err) },
	})))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	return err
}

// Each bad answer is an error before the caller has a response, or before its
// body's end, and its connection is not used again.
func TestBadAnswerIsNotReused(t *testing.T) {
	for _, tt := range responses {
		if tt.want == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			backend := proxytest.NewRawBackend(t, proxytest.Answer(tt.text))
			rt := newBackendTransport(t, backend.Addr)
			for range 3 {
				err := rt.get(t)
				// The transport words some of its own refusals.
				if err == nil || !isResponseError(err) && !strings.Contains(err.Error(), "http: ") {
					t.Errorf("got %v, want an ResponseError", err)
				}
			}
			if n := rt.dialled.Load(); n != 3 {
				t.Errorf("%d connections for 3 requests, want 3", n)
			}
		})
	}
}

func TestGoodConnectionsAreReused(t *testing.T) {
	for _, tt := range responses {
		if tt.want != "" || tt.method == "HEAD" || strings.HasPrefix(tt.name, "to the end") || strings.HasPrefix(tt.name, "no reason") {
			continue
		}
		backend := proxytest.NewRawBackend(t, proxytest.Answer(tt.text))
		rt := newBackendTransport(t, backend.Addr)
		for range 3 {
			if err := rt.get(t); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if n := rt.dialled.Load(); n != 1 {
			t.Errorf("%s: %d connections for 3 requests, want 1", tt.name, n)
		}
	}
}

// Bytes that nobody asked for are never an answer: a greeting, and what comes
// while a connection is idle.
func TestUnaskedBytes(t *testing.T) {
	greeter := proxytest.NewRawBackend(t, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		io.Copy(io.Discard, conn)
	})
	conn := dialBackend(t, greeter.Addr)
	if n, err := conn.Read(make([]byte, 100)); n != 0 || err != io.EOF {
		t.Errorf("greeting: read %d, %v, want nothing but EOF", n, err)
	}
	conn.Begin(RequestInfo{Method: "GET"})
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); !isResponseError(err) {
		t.Errorf("write after it: %v, want an ResponseError", err)
	}
	if n, err := conn.Read(make([]byte, 100)); n != 0 || !isResponseError(err) {
		t.Errorf("read after it: %d, %v, want an ResponseError", n, err)
	}
}

func isResponseError(err error) bool {
	var bad *ResponseError
	return errors.As(err, &bad)
}

// A failing write is the last word only while nothing of the request is out.
func TestWriteFailsLate(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	conn := NewBackendConn(near, new(atomic.Int64))
	conn.Begin(RequestInfo{Method: "POST"})
	go io.ReadFull(far, make([]byte, 4))
	if _, err := conn.Write([]byte("POST")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if n, err := conn.Write([]byte(" / HTTP/1.1")); n != 11 || err != nil {
		t.Errorf("late: %d, %v, want it dropped", n, err)
	}
	conn = NewBackendConn(near, new(atomic.Int64))
	conn.Begin(RequestInfo{Method: "POST"})
	if _, err := conn.Write([]byte("POST")); err == nil {
		t.Error("first: want the error")
	}
}

func BenchmarkResponse(b *testing.B) {
	text := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 3\r\n\r\nabc")
	var r response
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.begin("GET", nil)
		if n, err := r.follow(text); n != len(text) || err != nil {
			b.Fatal(n, err)
		}
	}
}
