package upstream

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
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
