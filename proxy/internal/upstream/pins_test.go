package upstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// numbered is a backend that says by which of its connections it was asked, and
// asks for a login where the path says so.
func numbered(t *testing.T) (*proxytest.RawBackend, *Backend) {
	t.Helper()
	var count atomic.Int64
	over := make(chan struct{})
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		n := fmt.Sprint(count.Add(1))
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.URL.Path == "/early" { // the body is not read, so that it cannot be all on its way
				fmt.Fprintf(conn, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: %d\r\n\r\n%s", len(n), n)
				<-over
				return
			}
			io.Copy(io.Discard, r.Body)
			head := "HTTP/1.1 200 OK\r\n"
			switch r.URL.Path {
			case "/login":
				head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x, NTLM\r\n"
			case "/close":
				head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nConnection: close\r\n"
			}
			if r.URL.Path == "/chunked" {
				fmt.Fprintf(conn, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(n), n)
				continue
			}
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n", head, len(n))
			if r.Method != "HEAD" {
				io.WriteString(conn, n)
			}
			if r.URL.Path == "/close" {
				return
			}
		}
	})
	t.Cleanup(func() { close(over) })
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	t.Cleanup(b.Close)
	return backend, b
}

type pinned struct {
	*Pins
	b *Backend
}

func (p pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.Pins.RoundTrip(p.b, TLS{}, r)
}

func askPath(t *testing.T, rt http.RoundTripper, method, path, authorization, body string) string {
	t.Helper()
	req := request(t, method, body)
	req.URL.Path = path
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	_, text, err := ask(rt, req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return text
}

// TestPinned: from the first word about a login on, a connection carries one
// client's requests.
func TestPinned(t *testing.T) {
	for name, first := range map[string]struct{ method, path, authorization, body string }{
		"request":             {"GET", "/", "NTLM TlRMTVNTUAAB", ""},
		"answer":              {"GET", "/login", "", ""},
		"answer in chunks":    {"GET", "/chunked", "", ""},
		"answer to a POST":    {"POST", "/login", "", "body"},
		"answer without body": {"HEAD", "/login", "", ""},
		"both":                {"POST", "/login", "Negotiate YII=", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			backend, b := numbered(t)
			client, other := pinned{new(Pins), b}, pinned{new(Pins), b}
			defer client.Close()
			defer other.Close()
			shared := askPath(t, other, "GET", "/", "", "")
			askPath(t, client, first.method, first.path, first.authorization, first.body)
			own := askPath(t, client, "GET", "/", "", "")
			for range 3 {
				if got := askPath(t, other, "GET", "/", "", ""); got == own {
					t.Errorf("another client's request came by connection %s, which is pinned", got)
				}
				if got := askPath(t, client, "GET", "/", "", ""); got != own {
					t.Errorf("the client's request came by connection %s, want %s", got, own)
				}
			}
			if first.authorization == "" && first.body == "" && own != shared {
				t.Errorf("the client has connection %s, want %s, which asked for the login", own, shared)
			}
			conn := client.Take(b, TLS{})
			if conn == nil {
				t.Fatal("the connection cannot be taken")
			}
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(res.Body); string(got) != own {
				t.Errorf("connection %s was taken, want %s", got, own)
			}
			client.Give(b, TLS{}, conn)
			if got := askPath(t, client, "GET", "/", "", ""); got != own {
				t.Errorf("after it was given back: connection %s, want %s", got, own)
			}
			if n := backend.Accepted(); n > 3 {
				t.Errorf("%d connections, want 3 at most", n)
			}
		})
	}
}

// A connection that cannot be handed on is nobody's: it closes, or something of
// the request is still to come by it.
func TestLoginThatCannotBePinned(t *testing.T) {
	for _, path := range []string{"/close", "/early"} {
		_, b := numbered(t)
		client, other := pinned{new(Pins), b}, pinned{new(Pins), b}
		body := ""
		if path == "/early" {
			body = strings.Repeat("x", 10<<20)
		}
		had := askPath(t, client, "POST", path, "", body)
		for _, rt := range []pinned{client, other} {
			if got := askPath(t, rt, "GET", "/", "", ""); got == had {
				t.Errorf("%s: connection %s was used again", path, got)
			}
		}
		client.Close()
	}
}

// Without pins a login goes by a connection of its own, which closes.
func TestLoginWithoutPins(t *testing.T) {
	_, b := numbered(t)
	rt := pinned{nil, b}
	for _, tt := range [][2]string{{"/", "NTLM TlRMTVNTUAAB"}, {"/login", ""}} {
		had := askPath(t, rt, "GET", tt[0], tt[1], "")
		if got := askPath(t, rt, "GET", "/", "", ""); got == had {
			t.Errorf("%v: connection %s was used again", tt, got)
		}
	}
}

// TestPinsClose: a client's own connections end with it.
func TestPinsClose(t *testing.T) {
	ended := make(chan string, 4)
	backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
		proxytest.Answer("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")(conn)
		ended <- "ended"
	})
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	free := pinned{new(Pins), b}
	askPath(t, free, "GET", "/", "", "") // handed over, and nothing asked since
	used := pinned{new(Pins), b}
	askPath(t, used, "GET", "/", "NTLM x", "")
	taken := pinned{new(Pins), b}
	askPath(t, taken, "GET", "/", "NTLM x", "")
	conn := taken.Take(b, TLS{})
	for _, p := range []pinned{free, used, taken} {
		p.Close()
	}
	<-ended
	<-ended
	conn.Close()
	<-ended
	late, err := b.Dial(t.Context(), TLS{})
	if err != nil {
		t.Fatal(err)
	}
	free.Give(b, TLS{}, late)
	<-ended
}

// TestPinOfClosedConnection: a backend that has ended the connection is asked by
// another, where the login begins anew.
func TestPinOfClosedConnection(t *testing.T) {
	backend := proxytest.NewRawBackend(t, proxytest.AnswerOnce("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"))
	b := NewBackend(BackendKey{"p", "http", backend.Addr})
	defer b.Close()
	p := pinned{new(Pins), b}
	defer p.Close()
	for range 3 {
		askPath(t, p, "GET", "/", "", "")
	}
	if n := backend.Accepted(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// TestPinsPick: the backend of a pin is picked, as long as it may be.
func TestPinsPick(t *testing.T) {
	a, b := NewBackend(BackendKey{"p", "http", "a:1"}), NewBackend(BackendKey{"p", "http", "b:1"})
	pool, err := NewPool("p", Settings{}, []Member{{Backend: a}, {Backend: b, MaxTunnels: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p Pins
	if _, ok := p.Pick(pool, Choice{}); ok {
		t.Error("picked without a pin")
	}
	p.find(b, TLS{}, true)
	for range 3 {
		if got, ok := p.Pick(pool, Choice{}); !ok || got != b {
			t.Errorf("picked %v, %v, want b", got, ok)
		}
	}
	if got := b.InFlight(); got != 3 {
		t.Errorf("%d requests are counted, want 3", got)
	}
	if _, ok := p.Pick(pool, Choice{Tunnel: true}); !ok {
		t.Error("no tunnel to b")
	}
	if _, ok := p.Pick(pool, Choice{Tunnel: true}); ok {
		t.Error("more tunnels to b than it may have")
	}
	if _, ok := p.Pick(pool, Choice{Exclude: []*Backend{b}}); ok {
		t.Error("picked b, which was tried")
	}
}

// TestPinIsTheServers: a login holds for every route that leads to the server, as ws
// and as http, and for no other server.
func TestPinIsTheServers(t *testing.T) {
	_, b := numbered(t)
	site := b.Key().Authority
	var p Pins
	defer p.Close()
	first := askPath(t, pinned{&p, b}, "GET", "/login", "", "")
	for _, key := range []BackendKey{{"site", "http", site}, {"socket", "ws", site}} {
		other := NewBackend(key)
		defer other.Close()
		if got := askPath(t, pinned{&p, other}, "GET", "/", "", ""); got != first {
			t.Errorf("%v is asked by connection %s, want %s, which was logged in", key, got, first)
		}
		pool, err := NewPool(key.Pool, Settings{}, []Member{{Backend: other}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Pick(pool, Choice{}); !ok || got != other {
			t.Errorf("picked %v, %v, want the pool's own member", got, ok)
		}
	}
	_, stranger := numbered(t)
	if own := p.find(stranger, TLS{}, false); own != nil {
		t.Error("another server has the login")
	}
	for _, key := range []BackendKey{{"p", "https", site}, {"p", "unix+http", site}} {
		if b.sameServer(NewBackend(key)) {
			t.Errorf("%v is taken for the same server", key)
		}
	}
}

// TestPinOverTLS: what is taken out of a transport's hands is still in step.
func TestPinOverTLS(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	server := proxytest.ServeTLS(t, authority.Issue([]string{"127.0.0.1"}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
	}))
	b := NewBackend(BackendKey{"p", "https", server.Addr})
	defer b.Close()
	tlsOf := TLS{Key: "k", Config: &tls.Config{RootCAs: authority.Pool()}}
	var p Pins
	defer p.Close()
	ask := func() string {
		req := request(t, "GET", "")
		req.Header.Set("Authorization", "Negotiate YII=")
		_, text, err := ask(roundTripper(func(r *http.Request) (*http.Response, error) { return p.RoundTrip(b, tlsOf, r) }), req)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	own := ask()
	for range 3 {
		conn := p.Take(b, tlsOf)
		if conn == nil {
			t.Fatal("the connection cannot be taken")
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != own {
			t.Errorf("connection %s was taken, want %s", got, own)
		}
		p.Give(b, tlsOf, conn)
		if got := ask(); got != own {
			t.Errorf("given back: connection %s, want %s", got, own)
		}
	}
	if conn := p.Take(b, TLS{Key: "other"}); conn != nil {
		t.Error("taken under other TLS settings")
	}
	if got := ask(); got == own {
		t.Error("a connection of before other TLS settings was used again")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
