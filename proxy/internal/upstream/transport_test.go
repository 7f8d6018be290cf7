package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

func get(t *testing.T, b *Backend, with TLS) string {
	t.Helper()
	req, err := http.NewRequest("GET", "http://ignored/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.RoundTripper(with).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// counted is a server that counts its connections, open and ever.
func counted(t *testing.T, certificate *proxytest.Certificate) (addr string, ever, open *atomic.Int64, closed chan struct{}) {
	ever, open, closed = new(atomic.Int64), new(atomic.Int64), make(chan struct{}, 1000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(hello), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			ever.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
			closed <- struct{}{}
		}
	}}
	if certificate != nil {
		server.TLSConfig = certificate.ServerConfig()
		go server.ServeTLS(listener, "", "")
	} else {
		go server.Serve(listener)
	}
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), ever, open, closed
}

func TestConnectionsOutliveReloads(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	addr, ever, open, closed := counted(t, authority.Issue([]string{"127.0.0.1"}))
	b := NewBackend(BackendKey{"p", "https", addr})
	defer b.Close()

	for range 100 { // reloads that change nothing here: the files are read anew each time
		with := mustLoad(t, TLSFiles{CA: authority.File})
		b.RetainTransports(func(key string) bool { return key == with.Key })
		if got := get(t, b, with); got != "hello" {
			t.Fatalf("got %q", got)
		}
	}
	if n := ever.Load(); n != 1 {
		t.Errorf("%d connections for 100 equal reloads, want 1", n)
	}

	for i := range 100 { // reloads that change the TLS settings each time
		with := mustLoad(t, TLSFiles{CA: authority.File, ServerName: "127.0.0.1", Insecure: i%2 == 0})
		b.RetainTransports(func(key string) bool { return key == with.Key })
		get(t, b, with)
		<-closed // the former one
	}
	if n, kept := open.Load(), len(b.transports); n != 1 || kept != 1 {
		t.Errorf("%d connections and %d transports after 100 changes, want 1 and 1", n, kept)
	}
}

func TestClosedBackendKeepsNothing(t *testing.T) {
	addr, _, _, closed := counted(t, nil)
	b := NewBackend(BackendKey{"p", "http", addr})
	rt := b.RoundTripper(TLS{})
	get(t, b, TLS{})
	b.Close()
	<-closed
	for _, late := range []http.RoundTripper{rt, b.RoundTripper(TLS{})} {
		req, _ := http.NewRequest("GET", "http://x/", nil)
		res, err := late.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		<-closed // without a further word
	}
}

// The transport writes path and query as they are, whatever they look like, and
// adds no header of its own but Host.
func TestRequestOnTheWire(t *testing.T) {
	heads := make(chan string, 1)
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		heads <- string(buf[:n])
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi")
	})
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	req, _ := http.NewRequest("GET", "http://ignored/", nil)
	req.Host = ""
	req.URL.Opaque, req.URL.RawQuery = "/a%2Bb/|^[x]", "q=%2B;;a"
	req.Header = http.Header{"User-Agent": {""}}
	res, err := b.RoundTripper(TLS{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, want := <-heads, fmt.Sprintf("GET /a%%2Bb/|^[x]?q=%%2B;;a HTTP/1.1\r\nHost: %s\r\n\r\n", backend.Addr); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "hi" {
		t.Errorf("body %q, want it as it came", body)
	}
}

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

// TestAnswerNames: each answer's own, also of answers that follow each other on a
// connection, and neither those of an interim answer before it nor of trailers.
func TestAnswerNames(t *testing.T) {
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for _, lines := range []string{
			"ETag: 1\r\nx-a: 2\r\nX-A: 3\r\nContent-type: t\r\nContent-Length: 0\r\n\r\n",
			"X-B: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-trailer: 1\r\n\r\n",
			"x-c: 1\r\nContent-Length: 0\r\n\r\n",
		} {
			if _, err := proxytest.ReadHead(in); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nlink: l\r\n\r\nHTTP/1.1 200 OK\r\n"+lines)
		}
	})
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	for _, want := range []string{"[ETag x-a]", "[]", "[x-c]"} {
		var names spelling.Names
		req, err := http.NewRequestWithContext(WithAnswerNames(t.Context(), &names), "GET", "http://ignored/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.RoundTripper(TLS{}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if got := fmt.Sprint(names); got != want {
			t.Errorf("names %s, want %s", got, want)
		}
	}
}
